// What the tests of repair share: a database with a known history, damage of all kinds, and what a repair must have kept.
import type { FileSystem } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { SSTableReader, SSTableWriter } from 'nori-sstable';
import type { Rng } from 'nori-testkit';
import { expect } from 'vitest';
import { readWhole } from '../src/directory.js';
import { type BatchOperation, Lsm } from '../src/index.js';
import { keyMapOf, keyspaceOf } from '../src/key-map.js';
import type { KeyedStore } from '../src/keyed-store.js';
import type { Keyspace } from '../src/keyspace.js';
import { findManifest } from '../src/repair/find-manifest.js';
import type { RepairReport } from '../src/repair.js';
import { tableName } from '../src/table-meta.js';
import { DIR, overwrite } from './faults-support.js';
import { hex, smallOptions, text, utf8 } from './support.js';

/** One change; its place in the history is when it happened. Values are told apart by it. */
export type Change =
  | {
      readonly type: 'write';
      readonly seq: number;
      /** Number of the keyspace. */
      readonly space: number;
      readonly key: string;
      /** Undefined: a deletion. */
      readonly value: string | undefined;
      readonly isIngested: boolean;
    }
  /** A range was deleted, replaced by an ingestion, or dropped with its keyspace. */
  | {
      readonly type: 'range';
      readonly seq: number;
      readonly space: number;
      readonly from: string;
      readonly to: string;
    };

/** Every change of a database. */
export type History = readonly Change[];

/** Everything as it is now is durable. */
export const settled = (fs: MemoryFileSystem): MemoryFileSystem => fs.crash({ next: () => 0.999_999 });

const LAST_KEY = 'z';
const randomKey = (rng: Rng): string => `key${String(rng.int(60)).padStart(3, '0')}`;

/** Changes a database at random, and keeps the history. */
class RandomLoad {
  readonly history: Change[] = [];
  readonly #fs: MemoryFileSystem;
  readonly #rng: Rng;
  readonly #db: Lsm;
  /** Keyspaces by number; the first is the default one. */
  readonly #spaces = new Map<number, KeyedStore>();
  #lastSpace = 0;
  #ingested = 0;

  constructor(fs: MemoryFileSystem, rng: Rng, db: Lsm) {
    this.#fs = fs;
    this.#rng = rng;
    this.#db = db;
    this.#spaces.set(0, db);
  }

  async openKeyspace(): Promise<void> {
    const id = ++this.#lastSpace;
    const settings = this.#rng.pick([{}, { blockBytes: 128 }, { compression: 'deflate' as const }]);
    this.#spaces.set(id, await this.#db.openKeyspace(`space${id}`, settings));
  }

  async step(): Promise<void> {
    const rng = this.#rng;
    if (rng.chance(0.03)) await this.#ingest();
    else if (rng.chance(0.01) && this.#lastSpace > 0) await this.#drop();
    else await this.#batch();
    if (rng.chance(0.05)) await this.#db.flush();
    if (rng.chance(0.02)) await this.#db.compact();
  }

  async #batch(): Promise<void> {
    const rng = this.#rng;
    const operations: BatchOperation[] = [];
    const { lastSequence } = this.#db.stats();
    for (let i = rng.range(1, 6); i > 0; i--) {
      const space = rng.pick([...this.#spaces.keys()]);
      const keyspace = space === 0 ? undefined : `space${space}`;
      if (rng.chance(0.03)) {
        const [from, to] = [randomKey(rng), rng.chance(0.2) ? LAST_KEY : randomKey(rng)];
        if (from >= to) continue;
        operations.push({ type: 'deleteRange', keyspace, gte: from, lt: to });
        this.history.push({ type: 'range', seq: lastSequence + operations.length, space, from, to });
        continue;
      }
      const key = randomKey(rng);
      const value = rng.chance(0.2) ? undefined : this.#value();
      operations.push(value === undefined ? { type: 'delete', keyspace, key } : { type: 'put', keyspace, key, value });
      const seq = lastSequence + operations.length;
      this.history.push({ type: 'write', seq, space, key, value, isIngested: false });
    }
    if (operations.length > 0) await this.#db.batch(operations, { durability: 'os' });
  }

  /** A table from elsewhere, with sequence numbers of its own. */
  async #ingest(): Promise<void> {
    const rng = this.#rng;
    const space = rng.pick([...this.#spaces.keys()]);
    const path = `/elsewhere/${++this.#ingested}.sst`;
    const writer = await SSTableWriter.create({ fs: this.#fs, path, level: 0, blockBytes: 256, bloomBitsPerKey: 10 });
    const stored = rng.pick([1, 50, 10_000]);
    const keys = [...new Set(Array.from({ length: rng.range(1, 20) }, () => randomKey(rng)))].sort();
    const values = keys.map((_, i) => (rng.chance(0.2) ? undefined : `${this.history.length + 1 + i}.ingested`));
    for (const [i, key] of keys.entries()) {
      const value = values[i];
      writer.add(utf8(key), stored + i, value === undefined ? 2 : 1, 0, utf8(value ?? ''));
    }
    await writer.finish();
    await this.#fs.syncDir('/elsewhere');
    const replace = rng.chance(0.3) ? { gte: randomKey(rng), lt: LAST_KEY } : undefined;
    const { sequence } = await this.#spaces.get(space)!.ingest([path], { ...(replace && { replace }) });
    const range = { space, from: replace?.gte ?? LAST_KEY, to: LAST_KEY };
    this.history.push({ type: 'range', seq: sequence - 1, ...range });
    for (const [i, key] of keys.entries()) {
      this.history.push({ type: 'write', seq: sequence, space, key, value: values[i], isIngested: true });
    }
  }

  async #drop(): Promise<void> {
    const named = [...this.#spaces.keys()].filter((id) => id > 0);
    if (named.length === 0) return this.openKeyspace();
    const space = this.#rng.pick(named);
    this.#spaces.delete(space);
    await this.#db.dropKeyspace(`space${space}`);
    const { lastSequence } = this.#db.stats();
    this.history.push({ type: 'range', seq: lastSequence - 1, space, from: '', to: LAST_KEY });
    if (this.#rng.chance(0.5)) await this.openKeyspace();
  }

  /** Says where it is in the history. */
  #value(): string {
    return `${this.history.length}.${'v'.repeat(this.#rng.int(120))}`;
  }
}

/** A database after random changes, flushes and compactions; closed, or killed. */
export const randomDatabase = async (rng: Rng): Promise<{ fs: MemoryFileSystem; history: History }> => {
  const fs = new MemoryFileSystem();
  await fs.mkdir('/elsewhere');
  const options = { ...smallOptions(rng), compression: rng.pick(['none', 'lz4'] as const) };
  const db = await Lsm.open({ dir: DIR, fs, ...options });
  const load = new RandomLoad(fs, rng, db);
  for (let keyspaces = rng.pick([0, 0, 2]); keyspaces > 0; keyspaces--) await load.openKeyspace();
  for (let steps = rng.range(20, 150); steps > 0; steps--) await load.step();
  if (rng.chance(0.5)) {
    await db.close();
    return { fs: settled(fs), history: load.history };
  }
  const killed = settled(fs.kill());
  await db.close();
  return { fs: killed, history: load.history };
};

/** Paths of all files below a directory, relative to it. */
export const filesBelow = async (fs: FileSystem, dir: string, prefix = ''): Promise<string[]> => {
  const found: string[] = [];
  for (const name of await fs.readdir(`${dir}/${prefix}`)) {
    const path = `${prefix}${name}`;
    if ((await fs.stat(`${dir}/${path}`))?.kind === 'directory') found.push(...(await filesBelow(fs, dir, `${path}/`)));
    else if (!name.startsWith('LOCK')) found.push(path);
  }
  return found;
};

/** Damages one random file in a random way; returns its name and what was done. */
export const damage = async (fs: FileSystem, rng: Rng): Promise<readonly [file: string, what: string]> => {
  const file = rng.pick(await filesBelow(fs, DIR));
  const path = `${DIR}/${file}`;
  const bytes = await readWhole(fs, path);
  const at = rng.int(Math.max(1, bytes.length));
  const kind = rng.pick(['flip', 'flip', 'flip', 'cut', 'zero', 'noise', 'append', 'remove'] as const);
  if (kind === 'remove') await fs.unlink(path);
  else if (kind === 'cut') await overwrite(fs, path, bytes.slice(0, at));
  else if (kind === 'append') await overwrite(fs, path, new Uint8Array([...bytes, ...rng.bytes(rng.range(1, 50))]));
  else {
    const changed = bytes.slice();
    const length = rng.range(1, 300);
    if (kind === 'flip' && changed.length > 0) changed[at]! ^= 1 << rng.int(8);
    if (kind === 'zero') changed.fill(0, at, at + length);
    if (kind === 'noise') changed.set(rng.bytes(Math.min(length, changed.length - at)), at);
    await overwrite(fs, path, changed);
  }
  return [file, `${kind} at ${at} of ${bytes.length}`];
};

const nameOf = (space: number, key: string): string => `${space}/${key}`;

/** The key of a stored one, and the number of its keyspace. */
const keyOf = (stored: Uint8Array): string => {
  const space = keyspaceOf(stored, 0, stored.length);
  return nameOf(space, text(keyMapOf(space).toKey(stored, stored.length))!);
};

/**
 * The newest write of each key that files hold which were not damaged, as its place in the history: what a repair must not lose.
 */
export const mustBeKept = async (
  before: MemoryFileSystem,
  damaged: ReadonlySet<string>,
  history: History,
): Promise<Map<string, number>> => {
  const kept = new Map<string, number>();
  const note = (name: string, at: number): void => void kept.set(name, Math.max(kept.get(name) ?? 0, at));
  const places = new Map<string, number>();
  for (const [at, change] of history.entries()) {
    if (change.type === 'write') places.set(`${nameOf(change.space, change.key)}@${change.seq}`, at);
  }
  const { state } = (await findManifest(before, DIR)).found!;
  for (const { number, sequence } of state.levels.flatMap((tables) => [...tables.values()])) {
    if (damaged.has(tableName(number))) continue;
    const reader = await SSTableReader.open({ fs: before, path: `${DIR}/${tableName(number)}` });
    const cursor = reader.cursor();
    for (cursor.first(); cursor.valid; cursor.next()) {
      const name = keyOf(cursor.key);
      note(name, places.get(`${name}@${sequence === 0 ? cursor.seq : sequence}`)!);
    }
    await reader.close();
  }
  const isLogDamaged = [...damaged].some((file) => file.startsWith('wal/'));
  for (const [at, change] of history.entries()) {
    if (isLogDamaged || change.type !== 'write' || change.isIngested || change.seq <= state.flushedSeq) continue;
    note(nameOf(change.space, change.key), at);
  }
  return kept;
};

/** What the oracle has to know of the damage, and of what a repair said. */
export interface Damage {
  readonly files: ReadonlySet<string>;
  readonly report: RepairReport;
}

/** Everything that a database shows, by keyspace number and key. */
const shownBy = async (fs: FileSystem, db: Lsm): Promise<Map<string, string>> => {
  const shown = new Map<string, string>();
  const { keyspaces } = (await findManifest(fs, DIR)).found!.state;
  expect(db.keyspaces()).toEqual(Array.from(keyspaces.values(), ({ name }) => name).sort());
  const stores: (readonly [number, KeyedStore])[] = [[0, db]];
  for (const { id, name } of keyspaces.values()) stores.push([id, db.keyspace(name)]);
  for (const [id, store] of stores) {
    for (const [key, value] of store.scanSync()) shown.set(nameOf(id, text(key)!), text(value)!);
  }
  return shown;
};

/**
 * Fails unless the database shows of each key what was written, at or after the write that had to be kept, and nothing that a range
 * delete had hidden. When tables were ingested, and what they and range deletes hid, only the manifest knows: where that was damaged, such
 * keys may show anything that was written, and if the list of tables was made anew, the report says so.
 */
export const checkKept = async (
  fs: FileSystem,
  db: Lsm,
  history: History,
  kept: ReadonlyMap<string, number>,
  { files, report }: Damage,
): Promise<void> => {
  const problems: string[] = [];
  const isRebuilt = report.manifest === 'rebuilt';
  const isManifestHurt = isRebuilt || [...files].some((file) => file.startsWith('MANIFEST'));
  const isLogHurt = [...files].some((file) => file.startsWith('wal/'));
  const ingested = new Set(
    history.flatMap((each) => (each.type === 'write' && each.isIngested ? [nameOf(each.space, each.key)] : [])),
  );
  const hiddenAfter = (name: string, at: number): boolean =>
    history.slice(at + 1).some((each) => each.type === 'range' && covers(each, name));
  const deletedFrom = (name: string, at: number): boolean =>
    history.slice(at).some((each) => each.type === 'write' && each.value === undefined && isOf(each, name));
  const shown = new Map<string, number>();
  let isBack = false;
  for (const [name, value] of await shownBy(fs, db)) {
    const at = Number(value.split('.')[0]);
    const write = history[at];
    if (write?.type !== 'write' || !isOf(write, name) || write.value !== value) {
      problems.push(`${name} has a value that was never written`);
      continue;
    }
    shown.set(name, at);
    if (!hiddenAfter(name, at)) continue;
    isBack = true;
    if (!isManifestHurt && !isLogHurt) problems.push(`${name} shows write ${at}, which a range delete had hidden`);
  }
  let newest = 0;
  for (const [name, at] of kept) {
    const write = history[at]! as Extract<Change, { type: 'write' }>;
    if (!isManifestHurt || !write.isIngested) newest = Math.max(newest, write.seq);
    if (isManifestHurt && ingested.has(name)) continue;
    const found = shown.get(name);
    if (found !== undefined && found < at) problems.push(`${name} shows write ${found}, not ${at} or later`);
    const isGone = deletedFrom(name, at) || hiddenAfter(name, at);
    if (found === undefined && !isGone) problems.push(`${name} is lost, though write ${at} was not damaged`);
  }
  if (db.stats().lastSequence < newest) problems.push(`sequence number ${newest} would be given twice`);
  if (isRebuilt && isBack) expect(report.notes.join()).toContain('had hidden may be back');
  expect(problems).toEqual([]);
};

const isOf = ({ space, key }: { readonly space: number; readonly key: string }, name: string): boolean =>
  nameOf(space, key) === name;

const covers = ({ space, from, to }: Extract<Change, { type: 'range' }>, name: string): boolean =>
  name >= nameOf(space, from) && name < nameOf(space, to);

/** Every file of before is still somewhere, byte for byte. */
export const checkNothingDeleted = async (before: FileSystem, after: FileSystem): Promise<void> => {
  const contents = new Set<string>();
  for (const file of await filesBelow(after, DIR)) contents.add(hex(await readWhole(after, `${DIR}/${file}`)));
  const gone: string[] = [];
  for (const file of await filesBelow(before, DIR)) {
    if (!contents.has(hex(await readWhole(before, `${DIR}/${file}`)))) gone.push(file);
  }
  expect(gone).toEqual([]);
};

/** Opens, checks everything, and writes; closes. Returns what was there. */
export const openAndCheck = async (
  fs: FileSystem,
  check: (db: Lsm) => void | Promise<void> = () => {},
): Promise<string[]> => {
  const db = await Lsm.open({ dir: DIR, fs, autoCompact: false });
  const entries = entriesOf(db);
  await check(db);
  expect((await db.verify()).problems).toEqual([]);
  await db.put('written after', utf8('repair'));
  await db.close();
  const again = await Lsm.open({ dir: DIR, fs });
  expect(text(again.getSync('written after'))).toBe('repair');
  await again.compact();
  expect(entriesOf(again).filter((line) => line !== 'written after repair')).toEqual(entries);
  await again.close();
  return entries;
};

/** All entries of all keyspaces. */
const entriesOf = (db: Lsm): string[] =>
  [db, ...db.keyspaces().map((name) => db.keyspace(name))].flatMap((store) => {
    const name = store === db ? '' : `${(store as Keyspace).name}/`;
    return Array.from(store.scanSync(), ([key, value]) => `${name}${text(key)} ${text(value)}`);
  });
