// One run: a database on a simulated disk beside its model. Knows how to write to both, how to compare them, and what
// must be left after a restart, a killed process and a power failure.
//
//   write ─ history (in the order of the calls) ─ acknowledged: must survive   crash ─ history is cut to what was recovered
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng } from 'nori-testkit';
import { compareKeys } from '../../src/bytes.js';
import type { Cursor, Durability, RangeOptions, Snapshot } from '../../src/index.js';
import { Lsm, type LsmOptions } from '../../src/index.js';
import { hardKeys, hex, TestClock, text, utf8 } from '../support.js';
import { History, KeyModel, type ModelWrite } from './model.js';
import { randomOptions } from './options.js';

const DIR = '/data/db';

/** A cursor that stays open while the database goes on. */
export interface StandingCursor {
  readonly cursor: Cursor;
  readonly model: KeyModel;
  readonly options: RangeOptions;
  /** Slot of the key it stands on; -1: on none. */
  at: number;
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
  fs = new MemoryFileSystem();
  readonly #history = new History();
  /** Operations that survive a power failure, and those that survive a killed process. */
  #durable = 0;
  #handedOver = 0;
  /** Operations in the memtables up to each seal. */
  readonly #seals = new Map<number, number>();
  #aftermath: Aftermath | undefined;

  private constructor(rng: Rng) {
    this.keys = hardKeys(rng, rng.range(3, 60)).sort(compareKeys);
    this.wal = rng.chance(0.75);
    this.model = new KeyModel(this.keys);
  }

  static async start(seed: number): Promise<Run> {
    const rng = new Rng(seed);
    const run = new Run(rng);
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

  /** Issues one write; `call` makes it happen. */
  write(writes: readonly ModelWrite[], durability: Durability, call: () => Promise<void>): Promise<void> {
    const end = this.#history.add(writes);
    this.model.apply(writes);
    return call().then(() => {
      if (durability === 'sync' || durability === 'batch') this.#durable = Math.max(this.#durable, end);
      if (durability !== 'none') this.#handedOver = Math.max(this.#handedOver, end);
    });
  }

  async flush(): Promise<void> {
    const end = this.#history.sequence;
    await this.db.flush();
    this.#durable = Math.max(this.#durable, end);
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
      fs.onOperation = undefined;
      this.#aftermath = {
        fs: isPowerFailure ? fs.crash(rng) : fs.kill(),
        promised: isPowerFailure ? this.#durable : Math.max(this.#durable, this.#handedOver),
        durable: this.#durable,
        issued: this.#history.sequence,
      };
    };
    if (operations === 0) strike();
    else fs.onOperation = strike;
  }

  /** If death struck: goes on with what it left. It may strike again before the database is open. */
  async recoverIfDead(rng: Rng): Promise<void> {
    for (let aftermath = this.#aftermath; aftermath !== undefined; aftermath = this.#aftermath) {
      this.#forget();
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
    this.compareList(this.db.cursor(), this.model.list({}, this.nowMs), this.model);
    const { problems } = await this.db.verify();
    if (problems.length > 0) throw problems[0];
    const { backgroundError } = this.db.stats();
    if (backgroundError !== undefined) throw backgroundError;
    this.#forget();
    await this.db.close();
  }

  /** Throws unless the cursor shows exactly the entries in these slots; closes it. */
  compareList(cursor: Cursor, expected: readonly number[], model: KeyModel): void {
    let count = 0;
    for (; cursor.valid; cursor.next()) {
      const slot = expected[count++];
      if (slot === undefined) throw new Error(`shows ${hex(cursor.key)}, which comes after the last of ${count - 1}`);
      this.compareEntry(cursor, slot, model);
    }
    cursor.close();
    if (count < expected.length) throw new Error(`shows ${count} entries of ${expected.length}`);
  }

  /** Throws unless the cursor stands on the entry in this slot. */
  compareEntry(cursor: Cursor, slot: number, model: KeyModel): void {
    if (compareKeys(cursor.key, this.keys[slot]!) !== 0) {
      throw new Error(`stands on ${hex(cursor.key)} instead of ${hex(this.keys[slot]!)}`);
    }
    const { value, expiresAtMs } = model.entries[slot]!;
    this.compareValue(cursor.value, value, slot);
    if (cursor.expiresAtMs !== expiresAtMs) throw new Error(`expires at ${cursor.expiresAtMs}, not at ${expiresAtMs}`);
  }

  /** Throws unless the values are the same. */
  compareValue(found: Uint8Array | undefined, expected: Uint8Array | undefined, slot: number): void {
    const isSame =
      found === undefined || expected === undefined ? found === expected : Buffer.compare(found, expected) === 0;
    if (isSame) return;
    const show = (bytes: Uint8Array | undefined): string => (bytes === undefined ? 'nothing' : hex(bytes));
    throw new Error(`key ${hex(this.keys[slot]!)} (#${slot}) gives ${show(found)} instead of ${show(expected)}`);
  }

  async #open(rng: Rng): Promise<void> {
    const options: Omit<LsmOptions, 'dir' | 'fs'> = randomOptions(rng, this);
    this.#seals.clear();
    this.note(`open ${JSON.stringify(options, (name, value) => (name === 'clock' ? undefined : value))}`);
    this.db = await Lsm.open({ dir: DIR, fs: this.fs, ...options, ...(this.wal ? {} : this.#markOptions()) });
  }

  #markOptions(): Pick<LsmOptions, 'collectMarks' | 'onDurable'> {
    return {
      collectMarks: () => {
        const { lastSequence } = this.db.stats();
        this.#seals.set(this.db.sealSequence, lastSequence);
        return [[7, utf8(String(lastSequence))]];
      },
      onDurable: (seal) => {
        this.#durable = Math.max(this.#durable, this.#seals.get(seal) ?? 0);
      },
    };
  }

  /** Cuts the history to what is there, which must be between `promised` and `issued`, and compares all of it. */
  #compareAll(promised: number, issued: number): void {
    const recovered = this.db.stats().lastSequence;
    if (recovered < promised) throw new Error(`${recovered} operations were recovered; ${promised} were promised`);
    if (recovered > issued) throw new Error(`${recovered} operations were recovered; only ${issued} were issued`);
    if (!this.#history.cut(recovered)) throw new Error(`operation ${recovered}, the last recovered, splits a batch`);
    if (!this.wal) {
      const mark = Number(text(this.db.durableMarks().get(7)) ?? 0);
      if (mark !== recovered) throw new Error(`the mark tells of ${mark} operations; the tables have ${recovered}`);
    }
    this.#history.replay(this.model);
    this.#durable = this.#handedOver = recovered;
    this.note(`  recovered ${recovered} of ${issued} operations, ${promised} promised`);
    this.compareList(this.db.cursor(), this.model.list({}, this.nowMs), this.model);
  }

  /** Before the database closes: its cursors and snapshots end with it. */
  #forget(): void {
    this.snapshots.length = 0;
    this.cursors.length = 0;
  }
}
