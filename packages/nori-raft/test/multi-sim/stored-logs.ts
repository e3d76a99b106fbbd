// What one machine's disk must hold of its groups: everything that the storage has said to be durable, and perhaps more of what it was
// asked to store. Whenever a log is opened, it is held against that.
import type { GroupLog, GroupWrite, NewGroup, RaftError, RaftStorage, StoredGroup } from '../../src/index.js';
import type { WalStorage } from '../../src/wal-storage.js';
import { LogImage } from '../sim/log-image.js';
import type { SimMachine } from './machine.js';

interface Slot {
  readonly replicaId: number;
  readonly removed: boolean;
  readonly image: LogImage;
}

type Slots = Map<number, Slot>;
/** Changes slots as one write does. */
type Change = (slots: Slots) => void;

export class StoredLogs {
  #slots: Slots = new Map();
  /** What the storage was asked for and has not said to be durable, in order. */
  #pending: Change[] = [];
  readonly #machine: SimMachine;

  constructor(machine: SimMachine) {
    this.#machine = machine;
  }

  /** The disk is gone. */
  wiped(): void {
    this.#slots = new Map();
    this.#pending = [];
  }

  slot(groupId: number): Pick<Slot, 'replicaId' | 'removed'> | undefined {
    return this.#slots.get(groupId);
  }

  /** Follows a change from when it is asked for to when it is durable, or certain not to be. */
  async follow(change: Change, done: Promise<void>, isCurrent: () => boolean): Promise<void> {
    this.#pending.push(change);
    try {
      await done;
    } catch (error) {
      // Of anything else nobody knows whether it is stored.
      const { code } = error as RaftError;
      if (code === 'RAFT_NO_SPACE') this.#machine.sim.stats.noSpace++;
      if (code !== 'RAFT_STORAGE_FAILED' && isCurrent()) this.#pending.splice(this.#pending.indexOf(change), 1);
      throw error;
    }
    if (!isCurrent()) return;
    // Those that became durable together may be told in any order.
    this.#pending.splice(this.#pending.indexOf(change), 1);
    change(this.#slots);
    this.#tell();
  }

  /** A log has been opened, and is durable as it is. */
  opened(storage: WalStorage): void {
    const { sim, number } = this.#machine;
    let problem = '';
    for (let more = 0; more <= this.#pending.length; more++) {
      const slots = copied(this.#slots);
      for (const change of this.#pending.slice(0, more)) change(slots);
      const found = difference(storage, slots);
      if (found === undefined) {
        if (more > 0) sim.stats.opensWithMore++;
        this.#take(storage, slots);
        return;
      }
      problem = `with ${more} of ${this.#pending.length} writes under way: ${found}`;
      if (more === 0) sim.line(number, problem);
    }
    this.#fail('lost-durable', `Node ${number} finds another log than it had, ${problem}.`);
  }

  #take(storage: WalStorage, slots: Slots): void {
    this.#slots = new Map();
    this.#pending = [];
    for (const [groupId, { replicaId, removed }] of slots) {
      const image = removed ? new LogImage() : imageOf(storage.log(groupId));
      this.#slots.set(groupId, { replicaId, removed, image });
    }
    this.#tell();
  }

  /** Replicas look at their disks. */
  #tell(): void {
    for (const [groupId, { replicaId, removed, image }] of this.#slots) {
      const replica = this.#machine.sim.groups.get(groupId)?.replicas.get(replicaId);
      if (replica === undefined || removed || replica.isLost) continue;
      replica.durable = image;
      replica.check((invariants) => invariants.onDurable(replica));
    }
  }

  #fail(kind: string, text: string): void {
    this.#machine.sim.fail(kind, text, this.#machine.number);
  }
}

/** A storage that tells {@link StoredLogs} what it is asked for. */
export class WatchedStorage implements RaftStorage {
  readonly storedGroups: readonly StoredGroup[];
  readonly #storage: WalStorage;
  readonly #machine: SimMachine;
  readonly #epoch: number;

  constructor(storage: WalStorage, machine: SimMachine) {
    this.#storage = storage;
    this.#machine = machine;
    this.#epoch = machine.epoch;
    this.storedGroups = storage.storedGroups;
  }

  log(groupId: number): GroupLog {
    return this.#storage.log(groupId);
  }

  write(writes: readonly GroupWrite[]): Promise<void> {
    return this.#follow((slots) => {
      for (const write of writes) written(slots.get(write.groupId)!.image, write);
    }, this.#storage.write(writes));
  }

  createGroup(group: NewGroup): Promise<void> {
    const { groupId, replicaId, bootstrap } = group;
    const first = bootstrap ? 1 : 0;
    return this.#follow((slots) => {
      const image = new LogImage();
      image.hardState = { term: first, vote: 0, commit: first };
      if (bootstrap) rebase(image, { term: 1, index: 1 });
      slots.set(groupId, { replicaId, removed: false, image });
    }, this.#storage.createGroup(group));
  }

  removeGroup(groupId: number): Promise<void> {
    return this.#follow((slots) => {
      const { replicaId } = slots.get(groupId)!;
      slots.set(groupId, { replicaId, removed: true, image: new LogImage() });
    }, this.#storage.removeGroup(groupId));
  }

  compact(groupId: number, index: number): void {
    this.#storage.compact(groupId, index);
  }

  stalledMs(): number {
    return this.#storage.stalledMs();
  }

  close(): Promise<void> {
    return this.#storage.close();
  }

  #follow(change: Change, done: Promise<void>): Promise<void> {
    return this.#machine.logs.follow(change, done, () => this.#epoch === this.#machine.epoch);
  }
}

function rebase(image: LogImage, { term, index }: { readonly term: number; readonly index: number }): void {
  const config = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const snapshot = { term, index, config, data: new Uint8Array(0) };
  image.apply({ hardState: undefined, entries: [], snapshot, base: { term, index } });
}

function written(image: LogImage, { hardState, snapshot, entries }: GroupWrite): void {
  if (snapshot !== undefined) {
    rebase(image, snapshot);
    const commit = Math.max(image.hardState.commit, snapshot.index);
    image.hardState = { ...image.hardState, commit };
  }
  image.apply({ hardState, entries, snapshot: undefined, base: undefined });
}

function copied(slots: Slots): Slots {
  const copy: Slots = new Map();
  for (const [groupId, slot] of slots) copy.set(groupId, { ...slot, image: LogImage.from(slot.image.toRecord()) });
  return copy;
}

function imageOf(log: GroupLog): LogImage {
  const image = new LogImage();
  const index = log.firstIndex() - 1;
  rebase(image, { term: log.term(index)!, index });
  const entries = log.entries(index + 1, log.lastIndex() + 1, Infinity) ?? [];
  image.apply({ hardState: log.hardState, entries, snapshot: undefined, base: undefined });
  return image;
}

function difference(storage: WalStorage, slots: Slots): string | undefined {
  const found = new Map(storage.storedGroups.map((group) => [group.groupId, group]));
  for (const [groupId, { replicaId, removed, image }] of slots) {
    const group = found.get(groupId);
    if (group === undefined) return `group ${groupId} is not there`;
    if (group.replicaId !== replicaId || group.removed !== removed) {
      return `group ${groupId} has replica ${group.replicaId}${group.removed ? ', removed' : ''}`;
    }
    const problem = removed ? undefined : logDifference(storage.log(groupId), image);
    if (problem !== undefined) return `group ${groupId}: ${problem}`;
  }
  return found.size === slots.size ? undefined : `there are ${found.size} groups, not ${slots.size}`;
}

function logDifference(log: GroupLog, image: LogImage): string | undefined {
  const { term, vote, commit } = log.hardState;
  const { hardState: expected, lastIndex } = image;
  if (term !== expected.term || vote !== expected.vote) {
    return `term ${term} and vote ${vote}, not ${expected.term} and ${expected.vote}`;
  }
  // What was compacted is known to be committed, too.
  if (commit < expected.commit || commit > lastIndex) return `commit ${commit}, not ${expected.commit}`;
  if (log.lastIndex() !== lastIndex) return `it ends at ${log.lastIndex()}, not at ${lastIndex}`;
  const from = Math.max(log.firstIndex(), image.baseIndex + 1);
  const entries = log.entries(from, lastIndex + 1, Infinity) ?? [];
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    const other = image.entries[from + i - image.baseIndex - 1]!;
    const isSame =
      entry.term === other.term && entry.type === other.type && Buffer.compare(entry.data, other.data) === 0;
    if (!isSame) return `entry ${entry.index} is another one`;
  }
  return undefined;
}
