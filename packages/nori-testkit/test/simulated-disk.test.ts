import { expect, test } from 'vitest';
import {
  type DiskCompletion,
  type DiskOperation,
  type DiskResult,
  EventHeap,
  Rng,
  SECTOR_BYTES,
  SimulatedDisk,
  seedFromEnv,
} from '../src/index.js';

/** A disk on a heap of its own, driven by hand. */
class Bench {
  nowMs = 0;
  readonly done: { tag: number; operation: DiskOperation; result: DiskResult; atMs: number }[] = [];
  readonly disk: SimulatedDisk;
  readonly #events = new EventHeap<DiskCompletion>();
  #tag = 0;

  constructor(seed = 1) {
    const rng = new Rng(seed);
    this.disk = new SimulatedDisk({
      random: () => rng.next(),
      schedule: (delayMs, completion) => this.#events.push(this.nowMs + delayMs, completion),
    });
  }

  write(name: string, offset: number, bytes: Uint8Array): void {
    this.disk.write(this.nowMs, name, offset, bytes, ++this.#tag);
  }

  sync(name: string): void {
    this.disk.sync(this.nowMs, name, ++this.#tag);
  }

  syncDirectory(): void {
    this.disk.syncDirectory(this.nowMs, ++this.#tag);
  }

  /** Completes everything; returns how each operation ended. */
  run(untilMs = Infinity): DiskResult[] {
    const results: DiskResult[] = [];
    while ((this.#events.nextAtMs ?? Infinity) <= Math.min(untilMs, 1e12)) {
      const { atMs, item } = this.#events.pop()!;
      this.nowMs = atMs;
      const result = this.disk.complete(atMs, item);
      if (result === 'stalled') continue;
      results.push(result);
      this.done.push({ tag: item.tag, operation: item.operation, result, atMs });
    }
    return results;
  }

  crash(): void {
    this.disk.crash();
  }
}

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte);

test('what is written can be read at once, and survives a crash once file and directory are synced', () => {
  for (let seed = 0; seed < 50; seed++) {
    const bench = new Bench(seed);
    bench.write('a', 0, filled(1300, 1));
    expect(bench.disk.read('a')).toEqual(filled(1300, 1));
    expect(bench.disk.readDurable('a')).toBeUndefined();
    bench.sync('a');
    bench.syncDirectory();
    expect(bench.run()).toEqual(['ok', 'ok', 'ok']);
    expect(bench.disk.readDurable('a')).toEqual(filled(1300, 1));
    bench.crash();
    expect(bench.disk.read('a')).toEqual(filled(1300, 1));
  }
});

test('a sync covers what was written before it was called, not what came during it', () => {
  const bench = new Bench();
  bench.write('a', 0, filled(10, 1));
  bench.syncDirectory();
  bench.sync('a');
  bench.write('a', 10, filled(10, 2));
  bench.run();
  expect(bench.disk.readDurable('a')).toEqual(filled(10, 1));
  bench.sync('a');
  bench.run();
  expect(bench.disk.readDurable('a')).toEqual(new Uint8Array([...filled(10, 1), ...filled(10, 2)]));
});

test('a crash keeps, loses or tears each unsynced sector, and never touches a synced one', () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const bench = new Bench(seed);
    bench.write('a', 0, filled(2 * SECTOR_BYTES, 1));
    bench.sync('a');
    bench.syncDirectory();
    bench.run();
    bench.write('a', SECTOR_BYTES, filled(3 * SECTOR_BYTES, 2));
    bench.crash();
    const bytes = bench.disk.read('a')!;
    expect(bytes.subarray(0, SECTOR_BYTES).every((byte) => byte === 1)).toBe(true);
    const fates = [1, 2, 3].map((sector) => {
      const part = bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
      const old = sector === 1 ? 1 : 0;
      expect(part.every((byte) => byte === 2 || byte === old)).toBe(true);
      if (part.length < SECTOR_BYTES) return 'short';
      return part.every((byte) => byte === 2) ? 'kept' : part.every((byte) => byte === old) ? 'lost' : 'torn';
    });
    seen.add(fates.join());
    expect(Buffer.compare(bench.disk.readDurable('a')!, bytes)).toBe(0);
  }
  for (const fates of ['kept,kept,kept', 'lost,kept,kept', 'torn,lost,kept', 'lost,short,short']) {
    expect(seen).toContain(fates);
  }
});

test('names are durable in the order of their changes, and a rename replaces a file as one', () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const bench = new Bench(seed);
    bench.write('a', 0, filled(5, 1));
    bench.sync('a');
    bench.syncDirectory();
    bench.run();
    bench.write('b', 0, filled(5, 2));
    bench.sync('b');
    bench.run();
    bench.disk.rename('b', 'a');
    expect(bench.disk.read('a')).toEqual(filled(5, 2));
    bench.crash();
    const first = bench.disk.read('a')![0]!;
    seen.add(`${bench.disk.names().join()}:${first}`);
  }
  expect([...seen].sort()).toEqual(['a,b:1', 'a:1', 'a:2']);
});

test('a removed file is gone for good only after the directory is synced', () => {
  const bench = new Bench();
  bench.write('a', 0, filled(5, 1));
  bench.sync('a');
  bench.syncDirectory();
  bench.disk.remove('a');
  expect(bench.disk.names()).toEqual([]);
  bench.run();
  expect(bench.disk.readDurable('a')).toEqual(filled(5, 1));
  bench.syncDirectory();
  bench.run();
  bench.crash();
  expect(bench.disk.names()).toEqual([]);
});

test('after a failed sync the bytes can be read, but no later sync writes them', () => {
  const survived = new Set<number>();
  for (let seed = 0; seed < 60; seed++) {
    const bench = new Bench(seed);
    bench.write('a', 0, filled(SECTOR_BYTES, 1));
    bench.syncDirectory();
    bench.run();
    bench.disk.failNext('sync');
    bench.sync('a');
    expect(bench.run()).toEqual(['error']);
    bench.sync('a');
    expect(bench.run()).toEqual(['ok']);
    expect(bench.disk.read('a')).toEqual(filled(SECTOR_BYTES, 1));
    bench.crash();
    survived.add(bench.disk.read('a')!.filter((byte) => byte === 1).length);
  }
  expect(survived).toContain(0);
  expect(survived).toContain(SECTOR_BYTES);
  expect(survived.size).toBeGreaterThan(3);
});

test('a failed write may leave a part of itself', () => {
  const bench = new Bench();
  bench.disk.failNext('write');
  bench.write('a', 0, filled(100, 1));
  expect(bench.run()).toEqual(['error']);
  expect(bench.disk.read('a')!.length).toBeLessThan(100);
  bench.disk.writeErrorRate = 1;
  bench.write('a', 0, filled(100, 1));
  expect(bench.run()).toEqual(['error']);
  bench.disk.heal();
  bench.write('a', 0, filled(100, 1));
  expect(bench.run()).toEqual(['ok']);
});

test('nothing completes during a stall, and the order of the calls is kept over it', () => {
  const bench = new Bench();
  bench.write('a', 0, filled(10, 1));
  bench.disk.stallUntil(1000);
  bench.sync('a');
  bench.run(500);
  bench.nowMs = 500;
  bench.write('b', 0, filled(10, 1));
  bench.disk.stallUntil(2000);
  bench.run();
  expect(bench.done.map(({ tag }) => tag)).toEqual([1, 2, 3]);
  for (const { atMs } of bench.done) expect(atMs).toBeGreaterThanOrEqual(2000);
});

test('what a dead process had asked for is not reported, and its writes stay in the cache', () => {
  const bench = new Bench();
  bench.write('a', 0, filled(10, 1));
  bench.sync('a');
  bench.disk.abandon();
  expect(bench.run()).toEqual(['stale', 'stale']);
  expect(bench.disk.read('a')).toEqual(filled(10, 1));
  expect(bench.disk.readDurable('a')).toBeUndefined();
});

test('random calls agree with a model: synced bytes survive, others come from what was written', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  for (let round = 0; round < 100; round++) {
    const bench = new Bench(rng.uint32());
    bench.write('f', 0, filled(1, 0));
    bench.sync('f');
    bench.syncDirectory();
    bench.run();
    /** By offset: the byte that is certain, and those that may be there instead. */
    const certain = new Map<number, number>();
    const possible = new Map<number, Set<number>>();
    for (let step = 0; step < 40; step++) {
      const action = rng.int(10);
      if (action < 6) {
        const offset = rng.int(3000);
        const byte = 1 + rng.int(200);
        const length = 1 + rng.int(800);
        bench.write('f', offset, filled(length, byte));
        for (let i = offset; i < offset + length; i++) {
          if (!possible.has(i)) possible.set(i, new Set());
          possible.get(i)!.add(byte);
        }
      } else if (action < 8) {
        bench.sync('f');
        bench.run();
        const bytes = bench.disk.read('f')!;
        for (let i = 0; i < bytes.length; i++) certain.set(i, bytes[i]!);
        possible.clear();
      } else if (action === 8) {
        bench.crash();
        const bytes = bench.disk.read('f')!;
        for (const [i, byte] of certain) {
          const now = bytes[i] ?? 0;
          if (!possible.has(i) && now !== byte) expect(now, `NORI_SEED=${seed}, offset ${i}`).toBe(byte);
        }
        for (const [i, choices] of possible) {
          const byte = bytes[i] ?? 0;
          const old = certain.get(i) ?? 0;
          expect(choices.has(byte) || byte === old, `NORI_SEED=${seed}`).toBe(true);
          certain.set(i, byte);
        }
        possible.clear();
      }
    }
  }
});

test('the same seed gives the same crash', () => {
  const run = (seed: number) => {
    const bench = new Bench(seed);
    bench.write('a', 0, filled(5000, 3));
    bench.syncDirectory();
    bench.run();
    bench.crash();
    return bench.disk.read('a')!.slice();
  };
  expect(run(5)).toEqual(run(5));
  expect(run(5)).not.toEqual(run(6));
});
