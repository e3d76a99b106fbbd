import type { Entry, Snapshot } from 'nori-raft';
import { type DiskCompletion, EventHeap, Rng, SimulatedDisk } from 'nori-testkit';
import { expect, test } from 'vitest';
import { LogImage, type LogRecord, NO_CONFIG } from './log-image.js';
import { type Append, type LogOwner, LogStorage, type PersistPoint } from './log-storage.js';
import { encodeRecord, LogCorruptError, recoverLog } from './record-codec.js';

/** A log on a disk of its own, driven by hand. */
class Bench implements LogOwner {
  nowMs = 0;
  readonly disk: SimulatedDisk;
  storage!: LogStorage;
  isOpen = false;
  hasFailed = false;
  dieAt: PersistPoint | undefined;
  readonly reported: Append[] = [];
  readonly #events = new EventHeap<DiskCompletion>();

  constructor(seed: number) {
    const rng = new Rng(seed);
    this.disk = new SimulatedDisk({
      random: () => rng.next(),
      schedule: (delayMs, completion) => this.#events.push(this.nowMs + delayMs, completion),
    });
    this.start();
  }

  /** As a process does that finds this disk. */
  start(lazy = false): void {
    this.isOpen = false;
    this.hasFailed = false;
    const recovered = LogStorage.recover(this.disk) ?? { image: new LogImage(), sequence: 0, tornBytes: 0 };
    this.storage = new LogStorage(this.disk, this, recovered, { lazy, readsEarly: false });
    this.storage.open(this.nowMs);
    this.run();
  }

  append(record: Partial<LogRecord>, mustSync = true): void {
    const full = { hardState: undefined, entries: [], snapshot: undefined, base: undefined, ...record };
    this.storage.append(this.nowMs, { record: full, mustSync, token: undefined, afterAppend: [], reported: false });
  }

  /** Lets the disk work; at most `steps` completions. */
  run(steps = Infinity): void {
    for (let i = 0; i < steps && this.#events.size > 0; i++) {
      const { atMs, item } = this.#events.pop()!;
      this.nowMs = atMs;
      const result = this.disk.complete(atMs, item);
      if (result === 'ok' || result === 'error') this.storage.completed(atMs, item, result);
    }
  }

  powerFailure(): void {
    this.storage.close();
    this.disk.crash();
  }

  opened(): void {
    this.isOpen = true;
  }

  appended(append: Append): void {
    this.reported.push(append);
  }

  failed(): void {
    this.hasFailed = true;
    this.storage.close();
    this.disk.abandon();
  }

  reach(point: PersistPoint): boolean {
    if (point !== this.dieAt) return false;
    this.dieAt = undefined;
    this.powerFailure();
    return true;
  }

  becameDurable(): void {}
}

const entry = (index: number, term = 1, bytes = 20): Entry => ({
  index,
  term,
  type: 'normal',
  data: new Uint8Array(bytes).fill(index),
});
const snapshotAt = (index: number, term = 1): Snapshot => ({
  index,
  term,
  config: { ...NO_CONFIG, voters: [1, 2, 3] },
  data: new Uint8Array(700).fill(index),
});

test('what was reported survives a power failure, and is followed by nothing but whole records', () => {
  let torn = 0;
  for (let seed = 0; seed < 200; seed++) {
    const bench = new Bench(seed);
    for (let i = 1; i <= 6; i++) {
      bench.append({ hardState: { term: i, vote: 1, commit: i - 1 }, entries: [entry(i, i, 300)] });
      bench.run(seed % 4);
    }
    const reported = bench.reported.length;
    bench.powerFailure();
    if (LogStorage.recover(bench.disk)!.tornBytes > 0) torn++;
    bench.start();
    const { image } = bench.storage;
    expect(image.lastIndex).toBeGreaterThanOrEqual(reported);
    // A record holds its hard state and its entry, or neither.
    expect(image.hardState.term).toBe(image.lastIndex);
    for (const { index, term, data } of image.entries) {
      expect([term, data.length, data.every((byte) => byte === index)]).toEqual([index, 300, true]);
    }
  }
  expect(torn).toBeGreaterThan(10);
});

test('a log goes on behind a torn tail, and what is left of that tail never comes back', () => {
  for (let seed = 0; seed < 100; seed++) {
    const bench = new Bench(seed);
    bench.append({ entries: [entry(1)] });
    bench.run();
    // All of one size, so that old records could follow new ones seamlessly.
    for (let i = 2; i <= 30; i++) bench.append({ entries: [entry(i)] });
    bench.run(1);
    bench.powerFailure();
    bench.start();
    const kept = bench.storage.lastIndex();
    bench.append({ entries: [entry(kept + 1, 2)] });
    bench.run();
    bench.powerFailure();
    bench.start();
    expect([bench.storage.lastIndex(), bench.storage.term(kept + 1)]).toEqual([kept + 1, 2]);
  }
});

test('entries replace what is there, a received snapshot replaces all', () => {
  const bench = new Bench(1);
  bench.append({ entries: [1, 2, 3, 4].map((index) => entry(index)) });
  bench.append({ entries: [entry(3, 2)] });
  bench.run();
  bench.start();
  expect([1, 2, 3, 4].map((index) => bench.storage.term(index))).toEqual([1, 1, 2, undefined]);
  const snapshot = snapshotAt(9, 3);
  bench.append({ snapshot, base: snapshot, entries: [entry(10, 3)] });
  bench.run();
  bench.start();
  expect([bench.storage.firstIndex(), bench.storage.lastIndex()]).toEqual([10, 10]);
  expect(bench.storage.snapshot()).toEqual(snapshot);
  expect(bench.storage.initialState().config).toEqual(snapshot.config);
});

test('a compaction leaves the old log or the new one, wherever the power fails', () => {
  const points: PersistPoint[] = ['before-rename', 'after-rename'];
  for (let seed = 0; seed < 60; seed++) {
    const bench = new Bench(seed);
    bench.append({ hardState: { term: 1, vote: 2, commit: 7 }, entries: [1, 2, 3, 4, 5, 6, 7].map((i) => entry(i)) });
    bench.append({ snapshot: snapshotAt(5) });
    bench.run();
    bench.dieAt = points[seed % 3];
    bench.storage.compact(bench.nowMs, 4);
    bench.run();
    if (seed % 3 === 2) bench.powerFailure();
    bench.start();
    const { image } = bench.storage;
    expect(image.hardState).toEqual({ term: 1, vote: 2, commit: 7 });
    expect(image.snapshot).toEqual(snapshotAt(5));
    expect(image.lastIndex).toBe(7);
    expect([0, 4]).toContain(image.baseIndex);
    if (seed % 3 === 2) expect(image.baseIndex).toBe(4);
  }
});

test('after an error of the disk nothing is reported any more', () => {
  for (const operation of ['write', 'sync'] as const) {
    const bench = new Bench(3);
    bench.disk.failNext(operation);
    bench.append({ entries: [entry(1)] });
    bench.run();
    expect([bench.hasFailed, bench.reported.length]).toEqual([true, 0]);
    // What a failed sync has left in the cache is stored anew, or gone.
    bench.start();
    const { image } = bench.storage;
    bench.powerFailure();
    bench.start();
    expect(bench.storage.image.entries).toEqual(image.entries);
  }
});

test('lazy records are reported at once when nothing is under way, and written with the next that is not', () => {
  const bench = new Bench(4);
  bench.start(true);
  bench.append({ hardState: { term: 0, vote: 0, commit: 0 } }, false);
  expect(bench.reported.length).toBe(1);
  bench.append({ entries: [entry(1)] });
  bench.append({ hardState: { term: 1, vote: 0, commit: 1 } }, false);
  expect(bench.reported.length).toBe(1);
  bench.run();
  expect(bench.reported.length).toBe(3);
  bench.powerFailure();
  bench.start();
  expect(bench.storage.image.hardState.commit).toBe(0);
  expect(bench.storage.lastIndex()).toBe(1);
});

test('corruption in the middle is refused, and names its place', () => {
  const parts: Uint8Array[] = [];
  let previousChecksum = 0;
  let end = 0;
  for (let i = 1; i <= 5; i++) {
    const record: LogRecord = { hardState: undefined, entries: [entry(i)], snapshot: undefined, base: undefined };
    const { bytes, checksum } = encodeRecord(record, { previousChecksum, sequence: i, durableTo: end });
    previousChecksum = checksum;
    end += bytes.length;
    parts.push(bytes);
  }
  const log = Buffer.concat(parts);
  const size = parts[0]!.length;
  expect(recoverLog(log).image.lastIndex).toBe(5);
  for (let at = 0; at < log.length; at++) {
    const damaged = Uint8Array.from(log);
    damaged[at]! ^= 0x10;
    const record = Math.floor(at / size);
    // Of the last one nobody says that it was durable.
    if (record >= 4) expect(recoverLog(damaged).image.lastIndex).toBe(record);
    else {
      let error: unknown;
      try {
        recoverLog(damaged);
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(LogCorruptError);
      expect((error as LogCorruptError).offset).toBe(record * size);
    }
  }
});
