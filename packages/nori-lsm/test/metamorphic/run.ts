// One run: a database on a simulated disk beside its model. Knows how to write to both, how to compare them, and what
// must be left after a restart, a killed process and a power failure.
//
//   write ─ history (in the order of the calls) ─ acknowledged: must survive   crash ─ history is cut to what was recovered
import { MemoryFileSystem, type MemoryOperation } from 'nori-io/memory';
import { SSTableWriter } from 'nori-sstable';
import { Rng } from 'nori-testkit';
import { compareKeys } from '../../src/bytes.js';
import type {
  BatchOperation,
  Cursor,
  Durability,
  KeyBounds,
  KeyedStore,
  RangeOptions,
  Snapshot,
} from '../../src/index.js';
import { Lsm, type LsmOptions } from '../../src/index.js';
import { hardKeys, TestClock, utf8 } from '../support.js';
import { COUNTER, checkRecovered, compareList, MARK_ID, OTHER, storeIn } from './compare.js';
import { History, type HistoryView, isInRange, KeyModel, type ModelWrite } from './model.js';
import { randomOptions, randomSettings } from './options.js';

export const DIR = '/data/db';

/** A cursor that stays open while the database goes on. */
export interface StandingCursor {
  readonly cursor: Cursor;
  readonly model: KeyModel;
  readonly options: RangeOptions;
  /** Slot of the key it stands on; -1: on none. */
  at: number;
  /** Where its last seek has said that the range ends. */
  end?: Uint8Array | undefined;
}

/** What a power failure or a kill has left, and what was promised in that moment. */
interface Aftermath {
  readonly fs: MemoryFileSystem;
  /** Operations that must be there, and those that must be there even if power fails next. */
  readonly promised: number;
  readonly durable: number;
  /** Operations issued so far. */
  readonly issued: number;
}

/** See the top of the file. Made by {@link Run.start}. */
export class Run {
  readonly keys: readonly Uint8Array[];
  readonly clock = new TestClock();
  readonly wal: boolean;
  readonly model: KeyModel;
  readonly snapshots: { readonly snapshot: Snapshot; readonly model: KeyModel }[] = [];
  readonly cursors: StandingCursor[] = [];
  /** What each step did, for the trace of a failing run. */
  readonly notes: string[] = [];
  db!: Lsm;
  /** What the run reads and writes: the database, or a keyspace of it. */
  store!: KeyedStore;
  /** Name of the keyspace; empty: the default one. */
  readonly keyspace: string;
  /** There are keyspaces at all. */
  readonly hasKeyspaces: boolean;
  #count = 0;
  fs = new MemoryFileSystem();
  /** Called before each operation that changes the file system, in every life. */
  watch: ((operation: MemoryOperation) => void) | undefined;
  /** How often the database was opened. */
  lives = 0;
  /** Folders made beside the database. */
  #folders = 0;
  readonly #history = new History();
  /** Operations that survive a power failure, and those that survive a killed process. */
  #durable = 0;
  #handedOver = 0;
  /** Operations in the memtables up to each seal. */
  readonly #seals = new Map<number, number>();
  #aftermath: Aftermath | undefined;
  /** Lets death strike when its operation comes. */
  #strike: (() => void) | undefined;

  private constructor(rng: Rng, wal = rng.chance(0.75)) {
    this.keys = hardKeys(rng, rng.range(3, 60)).sort(compareKeys);
    this.wal = wal;
    this.hasKeyspaces = rng.chance(0.6);
    this.keyspace = this.hasKeyspaces && rng.chance(0.5) ? 'own' : '';
    this.model = new KeyModel(this.keys);
  }

  static async start(seed: number, settings: { wal?: boolean; watch?: Run['watch'] } = {}): Promise<Run> {
    const rng = new Rng(seed);
    const run = new Run(rng, settings.wal);
    run.watch = settings.watch;
    await run.#open(rng);
    return run;
  }

  get nowMs(): number {
    return this.clock.now();
  }

  note(what: string): void {
    this.notes.push(what);
  }

  /** Durabilities that this database takes. */
  get durabilities(): readonly Durability[] {
    return this.wal ? ['sync', 'batch', 'os', 'none'] : ['none'];
  }

  /** Issues one write, of so many operations for the database; `call` makes it happen. */
  write(
    writes: readonly ModelWrite[],
    durability: Durability,
    call: () => Promise<void>,
    operations = writes.length,
    count?: number,
  ): Promise<void> {
    const end = this.#history.add(writes, operations, count);
    this.model.apply(writes);
    return call().then(() => {
      if (durability === 'sync' || durability === 'batch') this.#durable = Math.max(this.#durable, end);
      if (durability !== 'none') this.#handedOver = Math.max(this.#handedOver, end);
    });
  }

  /** As {@link Run.write}, with one more operation in the same batch, in the other keyspace. */
  writeAcross(
    writes: readonly ModelWrite[],
    operations: readonly BatchOperation[],
    durability: Durability,
  ): Promise<void> {
    const count = ++this.#count;
    const more: BatchOperation = { type: 'put', keyspace: OTHER, key: COUNTER, value: String(count) };
    const call = (): Promise<void> => this.store.batch([...operations, more], { durability });
    return this.write(writes, durability, call, writes.length + 1, count);
  }

  async flush(): Promise<void> {
    const end = this.#history.sequence;
    await this.db.flush();
    this.#durable = Math.max(this.#durable, end);
  }

  /** Makes a checkpoint, opens it beside the database, compares it, and removes it. */
  async checkpoint(): Promise<void> {
    const dir = `/data/copy-${++this.#folders}`;
    const end = this.#history.sequence;
    await this.db.checkpoint(dir);
    this.#durable = Math.max(this.#durable, end);
    const { fs, clock, wal } = this;
    const copy = await Lsm.open({ dir, fs, clock, wal });
    compareList(storeIn(copy, this.keyspace)!.cursor(), this.model.list({}, this.nowMs), this.model);
    const { problems } = await copy.verify();
    if (problems.length > 0) throw problems[0];
    await copy.close();
    for (const folder of wal ? [`${dir}/wal`, dir] : [dir]) await removeFiles(fs, folder);
  }

  /** Takes prebuilt tables, written beside the database, which hold `entries` (ascending slots; cut into `parts` tables). */
  async ingest(
    entries: readonly ModelWrite[],
    parts: number,
    replace: KeyBounds | undefined,
    level?: number,
  ): Promise<void> {
    const dir = `/data/tables-${++this.#folders}`;
    const paths = await writeTables(this.fs, dir, this.keys, entries, parts);
    const end = this.#history.sequence + 2;
    const marks: [number, Uint8Array][] = this.wal ? [] : [[MARK_ID, utf8(String(end))]];
    const deleted =
      replace === undefined ? [] : this.keys.flatMap((key, slot) => (isInRange(key, replace) ? [slot] : []));
    const writes = [...deleted.map((key): ModelWrite => ({ key, entry: undefined })), ...entries];
    const options = { marks, ...(replace && { replace }), ...(level === undefined ? {} : { level }) };
    const take = async (): Promise<void> => {
      const { sequence } = await this.store.ingest(paths, options);
      if (sequence !== end) throw new Error(`took sequence number ${sequence} instead of ${end}`);
    };
    await this.write(writes, 'sync', take, 2);
    for (const path of paths) await this.fs.unlink(path);
  }

  /** Exports a range, takes the tables into another database, compares it with the model, and removes both. */
  async exportTables(
    range: KeyBounds,
    held: { readonly snapshot: Snapshot; readonly model: KeyModel } | undefined,
  ): Promise<void> {
    const dir = `/data/export-${++this.#folders}`;
    const end = this.#history.sequence;
    const model = held?.model ?? this.model.copy();
    const { tables } = await this.store.exportTables(dir, {
      ...range,
      tableBytes: 1024,
      ...(held && { snapshot: held.snapshot }),
    });
    this.#durable = Math.max(this.#durable, end);
    const { fs, clock } = this;
    const other = await Lsm.open({ dir: `${dir}/db`, fs, clock, wal: false });
    await other.ingest(tables.map(({ path }) => path));
    compareList(other.cursor(), model.list(range, this.nowMs), model);
    await other.close();
    await removeFiles(fs, `${dir}/db`);
    await removeFiles(fs, dir);
  }

  /** Closes and opens again, under other options. */
  async restart(rng: Rng): Promise<void> {
    if (!this.wal) await this.flush();
    this.#forget();
    const { db } = this;
    await db.close();
    if (this.#aftermath !== undefined) return;
    this.#durable = this.#handedOver = this.#history.sequence;
    await this.#open(rng);
    if (this.#aftermath === undefined) this.#compareAll(this.#history.sequence, this.#history.sequence);
  }

  /** Lets the machine, or only the process, die after `operations` more operations of the file system (0: now). */
  plantDeath(rng: Rng, isPowerFailure: boolean, operations: number): void {
    const { fs } = this;
    let left = operations;
    const strike = (): void => {
      if (left-- > 0) return;
      this.#strike = undefined;
      this.#aftermath = {
        fs: isPowerFailure ? fs.crash(rng) : fs.kill(),
        promised: isPowerFailure ? this.#durable : Math.max(this.#durable, this.#handedOver),
        durable: this.#durable,
        issued: this.#history.sequence,
      };
    };
    if (operations === 0) strike();
    else this.#strike = strike;
  }

  /** What a power failure in this moment must leave. */
  get promise(): { readonly durable: number; readonly issued: number; readonly history: HistoryView } {
    return { durable: this.#durable, issued: this.#history.sequence, history: this.#history.view() };
  }

  /** If death struck: goes on with what it left. It may strike again before the database is open. */
  async recoverIfDead(rng: Rng): Promise<void> {
    for (let aftermath = this.#aftermath; aftermath !== undefined; aftermath = this.#aftermath) {
      this.#forget();
      this.#strike = undefined;
      this.fs.onOperation = undefined;
      await this.db.close();
      this.#aftermath = undefined;
      this.fs = aftermath.fs;
      this.#durable = aftermath.durable;
      this.#handedOver = aftermath.promised;
      if (rng.chance(0.4)) this.plantDeath(rng, rng.chance(0.8), rng.int(14));
      await this.#open(rng);
      if (this.#aftermath !== undefined) continue;
      this.#compareAll(aftermath.promised, aftermath.issued);
      const { problems } = await this.db.verify();
      if (problems.length > 0) throw problems[0];
    }
  }

  /** Compares everything, and closes. */
  async finish(): Promise<void> {
    compareList(this.store.cursor(), this.model.list({}, this.nowMs), this.model);
    const { problems } = await this.db.verify();
    if (problems.length > 0) throw problems[0];
    const { backgroundError } = this.db.stats();
    if (backgroundError !== undefined) throw backgroundError;
    this.#forget();
    await this.db.close();
  }

  async #open(rng: Rng): Promise<void> {
    const options: Omit<LsmOptions, 'dir' | 'fs'> = randomOptions(rng, this);
    this.#seals.clear();
    this.lives++;
    this.fs.onOperation = (operation) => {
      this.watch?.(operation);
      this.#strike?.();
    };
    this.note(`open ${JSON.stringify(options, (name, value) => (name === 'clock' ? undefined : value))}`);
    this.db = await Lsm.open({ dir: DIR, fs: this.fs, ...options, ...(this.wal ? {} : this.#markOptions()) });
    if (this.hasKeyspaces) await this.db.openKeyspace(OTHER);
    this.store = this.keyspace === '' ? this.db : await this.db.openKeyspace(this.keyspace, randomSettings(rng));
  }

  #markOptions(): Pick<LsmOptions, 'collectMarks' | 'onDurable'> {
    return {
      collectMarks: () => {
        const { lastSequence } = this.db.stats();
        this.#seals.set(this.db.sealSequence, lastSequence);
        return [[MARK_ID, utf8(String(lastSequence))]];
      },
      onDurable: (seal) => {
        this.#durable = Math.max(this.#durable, this.#seals.get(seal) ?? 0);
      },
    };
  }

  /** Cuts the history to what is there, and compares all of it. */
  #compareAll(promised: number, issued: number): void {
    const recovered = this.db.stats().lastSequence;
    const state = checkRecovered(this.db, { durable: promised, issued, history: this.#history.view() }, this);
    this.#history.cut(recovered);
    this.model.entries.splice(0, Infinity, ...state.entries);
    this.#durable = this.#handedOver = recovered;
    this.note(`  recovered ${recovered} of ${issued} operations, ${promised} promised`);
  }

  /** Before the database closes: its cursors and snapshots end with it. */
  #forget(): void {
    this.snapshots.length = 0;
    this.cursors.length = 0;
  }
}

/** Writes entries as tables of a folder, and tells their paths. */
const writeTables = async (
  fs: MemoryFileSystem,
  dir: string,
  keys: readonly Uint8Array[],
  entries: readonly ModelWrite[],
  parts: number,
): Promise<string[]> => {
  await fs.mkdir(dir);
  const paths: string[] = [];
  const each = Math.max(1, Math.ceil(entries.length / parts));
  for (let i = 0; i < entries.length; i += each) {
    const path = `${dir}/${i}.sst`;
    const writer = SSTableWriter.createSync({ fs, path, blockBytes: 256 });
    for (const { key, entry } of entries.slice(i, i + each)) {
      // Whatever sequence number it has: the database gives its own.
      writer.add(
        keys[key]!,
        7,
        entry === undefined ? 2 : 1,
        entry?.expiresAtMs ?? 0,
        entry?.value ?? new Uint8Array(0),
      );
    }
    writer.finishSync();
    paths.push(path);
  }
  return paths;
};

const removeFiles = async (fs: MemoryFileSystem, dir: string): Promise<void> => {
  for (const name of await fs.readdir(dir)) {
    if ((await fs.stat(`${dir}/${name}`))?.kind === 'file') await fs.unlink(`${dir}/${name}`);
  }
};
