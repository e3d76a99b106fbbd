// Shared by the tests of the log: small logs in memory, a model of what they should hold, and random writes that are allowed.
import type { FileSystem } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import type { Entry, EntryId, HardState } from 'nori-raft';
import { WalStorage, type WalStorageOptions } from 'nori-raft/wal-storage';
import { Rng } from 'nori-testkit';
import type { GroupLog, GroupWrite, NewGroup } from '../../src/multi/ports.js';

export const DIR = '/data/raft';

/** Opens a log in memory, with small segments. */
export function openStorage(
  fs: FileSystem = new MemoryFileSystem(),
  options: Partial<WalStorageOptions> = {},
): Promise<WalStorage> {
  const rng = new Rng(7);
  return WalStorage.open({ dir: DIR, nodeId: 'n1', random: () => rng.next(), fs, segmentBytesMax: 16_384, ...options });
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

export function entry(index: number, term: number, data: string | Uint8Array = `${index}@${term}`): Entry {
  return { index, term, type: 'normal', data: typeof data === 'string' ? bytes(data) : data };
}

/** Entries of one term. */
export function entriesOf(from: number, to: number, term: number, size?: number): Entry[] {
  const data = size === undefined ? undefined : new Uint8Array(size);
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term, data?.fill(from + i).slice()));
}

/** A write of one group. */
export function writeOf(groupId: number, write: Partial<Omit<GroupWrite, 'groupId'>>): GroupWrite {
  return { groupId, hardState: undefined, snapshot: undefined, entries: [], ...write };
}

/** All entries of a log, as text. */
export function texts(log: GroupLog): string[] {
  const found = log.entries(log.firstIndex(), log.lastIndex() + 1, Number.POSITIVE_INFINITY);
  return (found ?? []).map(({ data }) => new TextDecoder().decode(data));
}

/** Paths of the segment files. */
export async function segmentFiles(fs: FileSystem): Promise<string[]> {
  return (await fs.readdir(DIR)).filter((name) => name.endsWith('.wal')).map((name) => `${DIR}/${name}`);
}

/** The whole content of a file. */
export function readAll(fs: FileSystem, path: string): Uint8Array {
  const file = fs.openSync(path, 'read');
  const content = new Uint8Array(file.sizeSync());
  file.readSync(content, 0);
  file.closeSync();
  return content;
}

/** Makes a file hold exactly `content`. */
export async function replaceAll(fs: FileSystem, path: string, content: Uint8Array): Promise<void> {
  const file = await fs.open(path, (await fs.stat(path)) ? 'write' : 'create');
  await file.truncate(0);
  await file.write([content], 0);
  await file.close();
}

/** What a group should be. */
export interface ModelGroup {
  readonly replicaId: number;
  readonly removed: boolean;
  readonly hardState: HardState;
  readonly start: EntryId;
  readonly entries: readonly Entry[];
}

/** What a log should hold, at one moment. Never changed: each operation makes a new one. */
export type Model = ReadonlyMap<number, ModelGroup>;

export const NO_GROUPS: Model = new Map();

const lastOf = ({ start, entries }: ModelGroup): number => start.index + entries.length;

function termAt({ start, entries }: ModelGroup, index: number): number {
  return index === start.index ? start.term : entries[index - start.index - 1]!.term;
}

export function created(model: Model, { groupId, replicaId, bootstrap }: NewGroup): Model {
  const first = bootstrap ? 1 : 0;
  const start = { term: first, index: first };
  const hardState = { term: first, vote: 0, commit: first };
  return new Map(model).set(groupId, { replicaId, removed: false, hardState, start, entries: [] });
}

export function removed(model: Model, groupId: number): Model {
  return new Map(model).set(groupId, { ...model.get(groupId)!, removed: true, entries: [] });
}

export function written(model: Model, writes: readonly GroupWrite[]): Model {
  const after = new Map(model);
  for (const { groupId, hardState, snapshot, entries } of writes) {
    let group = after.get(groupId)!;
    if (snapshot) {
      const commit = Math.max(group.hardState.commit, snapshot.index);
      group = { ...group, start: snapshot, entries: [], hardState: { ...group.hardState, commit } };
    }
    if (hardState) group = { ...group, hardState };
    if (entries.length > 0) {
      const kept = group.entries.slice(0, entries[0]!.index - group.start.index - 1);
      group = { ...group, entries: [...kept, ...entries] };
    }
    after.set(groupId, group);
  }
  return after;
}

export function compacted(model: Model, groupId: number, index: number): Model {
  const group = model.get(groupId)!;
  if (index <= group.start.index) return model;
  const start = { index, term: termAt(group, index) };
  return new Map(model).set(groupId, { ...group, start, entries: group.entries.slice(index - group.start.index) });
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/**
 * How a log differs from a model; undefined if it does not. A log that was opened may begin earlier than it was compacted to, unless it
 * was closed.
 */
export function difference(storage: WalStorage, model: Model, isExact = false): string | undefined {
  for (const [groupId, group] of model) {
    const found = group.removed ? undefined : differenceOf(logOf(storage, groupId), group, isExact);
    if (found !== undefined) return `group ${groupId}: ${found}`;
    if (group.removed && logOf(storage, groupId)) return `group ${groupId} is there`;
  }
  const live = [...model.values()].filter((group) => !group.removed).length;
  return storage.stats().groups === live ? undefined : `there are ${storage.stats().groups} groups, not ${live}`;
}

function logOf(storage: WalStorage, groupId: number): GroupLog | undefined {
  try {
    return storage.log(groupId);
  } catch {
    return undefined;
  }
}

function differenceOf(log: GroupLog | undefined, group: ModelGroup, isExact: boolean): string | undefined {
  if (!log) return 'it is not there';
  const { hardState, start, entries } = group;
  if (JSON.stringify(log.hardState) !== JSON.stringify(hardState)) {
    return `hard state ${JSON.stringify(log.hardState)}, not ${JSON.stringify(hardState)}`;
  }
  if (log.lastIndex() !== lastOf(group)) return `it ends at ${log.lastIndex()}, not at ${lastOf(group)}`;
  const first = log.firstIndex();
  if (isExact ? first !== start.index + 1 : first > start.index + 1)
    return `it begins with ${first}, not ${start.index + 1}`;
  if (log.term(start.index) !== start.term) return `entry ${start.index} is of term ${log.term(start.index)}`;
  if (log.term(first - 2) !== undefined || log.term(lastOf(group) + 1) !== undefined) return 'it has terms outside';
  const found = log.entries(start.index + 1, log.lastIndex() + 1, Number.POSITIVE_INFINITY) ?? [];
  if (found.length !== entries.length) return `it has ${found.length} entries, not ${entries.length}`;
  for (let i = 0; i < entries.length; i++) {
    const [a, b] = [found[i]!, entries[i]!];
    const same = a.index === b.index && a.term === b.term && a.type === b.type && sameBytes(a.data, b.data);
    if (!same || log.term(b.index) !== b.term) return `entry ${b.index} is another one`;
  }
  return undefined;
}

/** What random writes are like. */
export interface WriteStyle {
  /** Most groups a write names. */
  readonly groupsMax: number;
  /** Largest data of most entries. */
  readonly bytesMax: number;
}

/** A write that a log which holds `model` must take. */
export function randomWrite(rng: Rng, model: Model, { groupsMax, bytesMax }: WriteStyle): GroupWrite[] {
  const ids = [...model].filter(([, group]) => !group.removed).map(([groupId]) => groupId);
  return rng
    .shuffle(ids)
    .slice(0, rng.range(1, groupsMax))
    .map((groupId) => randomGroupWrite(rng, groupId, model.get(groupId)!, bytesMax));
}

function randomGroupWrite(rng: Rng, groupId: number, group: ModelGroup, bytesMax: number): GroupWrite {
  const old = group.hardState;
  const isNewTerm = rng.chance(0.2);
  const term = isNewTerm ? old.term + rng.range(1, 3) : Math.max(1, old.term);
  const vote = isNewTerm ? rng.int(4) : old.vote === 0 ? rng.int(4) : old.vote;
  let last = lastOf(group);
  let snapshot: EntryId | undefined;
  let commit = old.commit;
  if (rng.chance(0.05)) {
    const index = old.commit + rng.range(1, 20);
    // A snapshot is of a term that the log may have held there.
    snapshot = { index, term: rng.range(termAt(group, Math.min(old.commit, last)), term) };
    last = index;
    commit = index;
  }
  const entries: Entry[] = [];
  if (rng.chance(0.8)) {
    let index = snapshot || rng.chance(0.8) ? last + 1 : rng.range(commit + 1, last + 1);
    const before = snapshot && index === last + 1 ? snapshot.term : termAt(group, index - 1);
    let entryTerm = rng.chance(0.7) ? term : rng.range(before, term);
    for (let count = rng.range(1, 5); count > 0; count--) {
      const size = rng.chance(0.01) ? rng.range(15_000, 40_000) : rng.chance(0.1) ? 0 : rng.int(bytesMax);
      const type = rng.chance(0.1) ? 'conf-change' : 'normal';
      entries.push({ index: index++, term: entryTerm, type, data: rng.bytes(size) });
      if (rng.chance(0.1)) entryTerm = rng.range(entryTerm, term);
    }
    last = index - 1;
  }
  if (rng.chance(0.5)) commit = rng.range(commit, last);
  const hardState = { term, vote, commit };
  const isSame = term === old.term && vote === old.vote && commit === Math.max(old.commit, snapshot?.index ?? 0);
  return { groupId, hardState: isSame && rng.chance(0.8) ? undefined : hardState, snapshot, entries };
}
