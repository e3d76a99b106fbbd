// One group of the store, as nori-raft drives it: where it stands, applying its entries, how far it is durable.
import type { Entry, Mark, StateMachine as RaftStateMachine, SnapshotSource, StagedSnapshot } from 'nori-raft';
import type { GroupConfig } from '../../domain/group-config.js';
import type { StateMachine } from '../../ports/replicated-log.js';

/** What a new group's log begins with: an entry that holds its first configuration. */
const FOUNDATION = { term: 1, index: 1 };

export class GroupMachine implements RaftStateMachine<unknown> {
  readonly #group: number;
  readonly #machine: StateMachine;
  readonly #first: GroupConfig;

  /** @param first who replicated the group when it was made; nobody for a replica that joins later */
  constructor(group: number, machine: StateMachine, first: GroupConfig) {
    this.#group = group;
    this.#machine = machine;
    this.#first = first;
  }

  get mark(): Mark {
    const position = this.#machine.position(this.#group);
    const config = position?.config ?? this.#first;
    if (position !== undefined) return { term: position.term, index: position.index, config };
    return this.#first.voters.length === 0 ? { term: 0, index: 0, config } : { ...FOUNDATION, config };
  }

  apply(entries: readonly Entry[]): readonly unknown[] | Promise<readonly unknown[]> {
    const wait = this.#machine.writable();
    return wait === undefined ? this.#apply(entries) : wait.then(() => this.apply(entries));
  }

  #apply(entries: readonly Entry[]): readonly unknown[] {
    const results: unknown[] = [];
    for (let i = 0; i < entries.length; i++) {
      const { term, index, data } = entries[i]!;
      results.push(this.#machine.apply({ group: this.#group, term, index }, data));
    }
    return results;
  }

  applied({ term, index, config }: Mark): void {
    this.#machine.moved(this.#group, { term, index, config });
  }

  durableIndex(): number {
    return this.#machine.durableIndex(this.#group);
  }

  snapshot(): SnapshotSource {
    return this.#machine.snapshot(this.#group, this.mark);
  }

  stage(_mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot> {
    return this.#machine.stage(this.#group, chunks);
  }
}
