// Power failures at random operations of the file system. With its own log: what is recovered is a prefix of the writes
// issued, and holds every acknowledged durable one. Without: it is exactly what the durable marks describe.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { type BatchOperation, type Durability, Lsm, WriteBatch } from '../src/index.js';
import { hex, listCursor, Model, smallOptions, TestClock, utf8, withSeed } from './support.js';

const LINEAGES = Number(process.env.NORI_ROUNDS ?? 25);
const CRASHES = 6;
const DURABILITIES: readonly (readonly Durability[])[] = [
  ['sync', 'batch', 'batch', 'os', 'none'],
  ['os', 'none'],
];
const COUNTER = utf8('~counter');

/** Takes one crash of `fs` before a random one of its next `within` mutations; `onCrash` is called in that moment. */
const plantCrash = (
  fs: MemoryFileSystem,
  rng: Rng,
  within: number,
  onCrash: (found: MemoryFileSystem) => void,
): void => {
  let left = rng.int(within);
  fs.onOperation = () => {
    if (left-- === 0) onCrash(fs.crash(rng));
  };
};

const asNumber = (bytes: Uint8Array | undefined): number =>
  bytes === undefined ? 0 : Number(new TextDecoder().decode(bytes));

test('with its own log, a crash leaves a prefix of the writes, with all that was acknowledged as durable', async () => {
  const seed = seedFromEnv();
  const root = new Rng(seed);
  for (let lineage = 0; lineage < LINEAGES; lineage++) {
    await withSeed(seed, () => ownLogLineage(root.fork()));
  }
});

const ownLogLineage = async (rng: Rng): Promise<void> => {
  let fs = new MemoryFileSystem();
  const clock = new TestClock();
  const keys = Array.from({ length: 40 }, (_, i) => utf8(`key-${String(i).padStart(12, '0')}`));
  /** Operations of all lives, each a batch that also counts. */
  let history: BatchOperation[][] = [];
  for (let crash = 0; crash < CRASHES; crash++) {
    let durable = history.length;
    let found: { readonly fs: MemoryFileSystem; readonly durable: number; readonly issued: number } | undefined;
    plantCrash(fs, rng, rng.pick([20, 200, 600]), (crashed) => {
      found = { fs: crashed, durable, issued: history.length };
    });
    const db = await Lsm.open({ dir: '/data/db', fs, clock, ...smallOptions(rng) });
    const writes: Promise<void>[] = [];
    const durabilities = rng.pick(DURABILITIES);
    for (let i = 0; i < 400 && found === undefined; i++) {
      const operations = randomOperations(rng, keys, history.length + 1);
      history.push(operations);
      const number = history.length;
      const durability = rng.pick(durabilities);
      writes.push(
        db.batch(operations, { durability }).then(() => {
          if (durability === 'sync' || durability === 'batch') durable = Math.max(durable, number);
        }),
      );
      if (rng.chance(0.2)) await writes.at(-1);
      if (rng.chance(0.02)) await db.flush();
      if (rng.chance(0.01)) await db.compact();
    }
    await Promise.all(writes);
    await db.close();
    fs.onOperation = undefined;
    const life = found ?? { fs: fs.crash(rng), durable: history.length, issued: history.length };
    fs = life.fs;
    const recovered = await Lsm.open({ dir: '/data/db', fs, clock, ...smallOptions(rng) });
    const count = asNumber(recovered.getSync(COUNTER));
    expect(count).toBeGreaterThanOrEqual(life.durable);
    expect(count).toBeLessThanOrEqual(life.issued);
    history = history.slice(0, count);
    expect(listCursor(recovered.cursor())).toEqual(modelOf(history).list(0));
    expect((await recovered.verify()).problems).toEqual([]);
    await recovered.close();
  }
};

const randomOperations = (rng: Rng, keys: readonly Uint8Array[], number: number): BatchOperation[] => {
  const operations: BatchOperation[] = [{ type: 'put', key: COUNTER, value: String(number) }];
  for (let i = rng.int(4); i > 0; i--) {
    const key = rng.pick(keys);
    if (rng.chance(0.3)) operations.push({ type: 'delete', key });
    else operations.push({ type: 'put', key, value: rng.bytes(rng.int(120)) });
  }
  return operations;
};

const modelOf = (history: readonly BatchOperation[][]): Model => {
  const model = new Model();
  for (const operation of history.flat()) {
    if (operation.type === 'delete') model.delete(operation.key as Uint8Array);
    else if (typeof operation.value === 'string') model.put(operation.key as Uint8Array, utf8(operation.value));
    else model.put(operation.key as Uint8Array, operation.value);
  }
  return model;
};

test('without its own log, a crash leaves exactly what the durable marks describe', async () => {
  const seed = seedFromEnv();
  const root = new Rng(seed);
  for (let lineage = 0; lineage < LINEAGES; lineage++) {
    await withSeed(seed, () => marksLineage(root.fork()));
  }
});

/** One group: its operations in order; the mark is how many were applied. */
type Groups = { readonly key: Uint8Array; readonly value: Uint8Array | undefined }[][];

const marksLineage = async (rng: Rng): Promise<void> => {
  const groups: Groups = [[], [], []];
  let fs = new MemoryFileSystem();
  for (let crash = 0; crash < CRASHES; crash++) {
    let found: MemoryFileSystem | undefined;
    let durableAtCrash = 0;
    let durableSeal = 0;
    let marksAtSeal: number[] = groups.map((operations) => operations.length);
    const sealedMarks = new Map<number, number[]>();
    plantCrash(fs, rng, rng.pick([10, 60, 200]), (crashed) => {
      found = crashed;
      durableAtCrash = durableSeal;
    });
    const db = await Lsm.open({
      dir: '/db',
      fs,
      ...smallOptions(rng),
      wal: false,
      collectMarks: () => {
        sealedMarks.set(
          db.sealSequence,
          groups.map((operations) => operations.length),
        );
        return groups.map((operations, id) => [id, utf8(String(operations.length))] as const);
      },
      onDurable: (number) => {
        expect(number).toBe(durableSeal + 1);
        durableSeal = number;
      },
    });
    for (let i = 0; i < 1500 && found === undefined; i++) {
      if (db.stalled) await db.whenWritable();
      applyRandom(rng, db, groups);
      if (rng.chance(0.01)) await db.flush();
    }
    await db.close();
    fs.onOperation = undefined;
    if (found === undefined) durableAtCrash = durableSeal;
    fs = found ?? fs.crash(rng);
    marksAtSeal = sealedMarks.get(durableAtCrash) ?? marksAtSeal;
    const recovered = await Lsm.open({ dir: '/db', fs, ...smallOptions(rng), wal: false });
    const marks = recovered.durableMarks();
    const model = new Model();
    groups.forEach((operations, id) => {
      const mark = asNumber(marks.get(id));
      expect(mark).toBeGreaterThanOrEqual(marksAtSeal[id]!);
      operations.length = mark;
      for (const { key, value } of operations) {
        if (value === undefined) model.delete(key);
        else model.put(key, value);
      }
    });
    expect(listCursor(recovered.cursor())).toEqual(model.list(0));
    await recovered.close();
  }
};

const applyRandom = (rng: Rng, db: Lsm, groups: Groups): void => {
  const id = rng.int(groups.length);
  const batch = new WriteBatch();
  for (let i = rng.range(1, 5); i > 0; i--) {
    const key = new Uint8Array([0, id, ...rng.bytes(1)]);
    const value = rng.chance(0.3) ? undefined : rng.bytes(rng.int(50));
    if (value === undefined) batch.delete(key);
    else batch.put(key, value);
    groups[id]!.push({ key, value });
  }
  // A seal happens before the batch goes in: its mark must not count the batch.
  const { length } = groups[id]!;
  groups[id]!.length = length - batch.count;
  db.apply(batch);
  for (let i = 0; i < batch.count; i++) {
    const value = batch.kinds[i] === 1 ? batch.values[i]! : undefined;
    groups[id]!.push({ key: batch.keys[i]!, value });
  }
};

test('a killed process loses nothing that was acknowledged, not even what was never synced', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: '/db', fs, durability: 'os', memtableBytes: 2048 });
  for (let i = 0; i < 200; i++) await db.put(`k${i}`, `v${i}`);
  const after = await Lsm.open({ dir: '/db', fs: fs.kill() });
  expect(Array.from(after.scanSync()).length).toBe(200);
  expect(hex(after.getSync('k7')!)).toBe(hex(utf8('v7')));
  await after.close();
  await db.close();
});
