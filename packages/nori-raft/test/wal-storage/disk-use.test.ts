// Disk use is bounded by what is needed, however unevenly groups are written.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { entriesOf, openStorage, texts, writeOf } from './helpers.js';

const SEED = seedFromEnv();
const SEGMENT_BYTES = 128 * 1024;
const COLD_ENTRY_BYTES = 40;
/** What the cold groups need, by `entryBytes`. */
const COLD_BYTES = 1024 * 3 * (COLD_ENTRY_BYTES + 16);
/**
 * What the log may have, from the rules of checkpoints.ts: the limit, of two segments; one segment, because segments are dropped whole; one
 * for what is written between two checkpoints; and what is written while all cold entries are carried. Of each interval half
 * its bytes are carried and a quarter is the checkpoint: 1 + 1/2 + 1/4 bytes for each 1/2 that is carried.
 */
const LOG_BYTES_MAX = (2 + 1 + 1) * SEGMENT_BYTES + 3.5 * COLD_BYTES;

/** Makes a thousand groups; each gets a few entries. */
async function manyGroups(fs: MemoryFileSystem) {
  const storage = await openStorage(fs, { segmentBytesMax: SEGMENT_BYTES });
  const ids = Array.from({ length: 1024 }, (_, index) => index);
  await Promise.all(ids.map((groupId) => storage.createGroup({ groupId, replicaId: 1, bootstrap: true })));
  for (const groupId of ids) {
    const hardState = { term: 1, vote: 2, commit: 3 };
    await storage.write([writeOf(groupId, { hardState, entries: entriesOf(2, 4, 1, COLD_ENTRY_BYTES) })]);
  }
  return storage;
}

/** Writes to a few hot groups and compacts them, as a server does that flushes by size. */
async function heat(storage: Awaited<ReturnType<typeof manyGroups>>, rng: Rng, totalBytes: number): Promise<number> {
  let most = 0;
  let sinceFlush = 0;
  for (let written = 0; written < totalBytes; ) {
    const writes = [1, 2, 3].map((groupId) => {
      const last = storage.log(groupId).lastIndex();
      const size = rng.range(100, 1000);
      written += 2 * size;
      const hardState = { term: 1, vote: 2, commit: last };
      return writeOf(groupId, { hardState, entries: entriesOf(last + 1, last + 2, 1, size) });
    });
    await storage.write(writes);
    sinceFlush += 1;
    if (sinceFlush % 30 === 0)
      for (const groupId of [1, 2, 3]) storage.compact(groupId, storage.log(groupId).hardState.commit);
    most = Math.max(most, storage.stats().bytes);
  }
  return most;
}

test('a thousand cold groups keep a part of the log that does not grow, and lose nothing', async () => {
  const rng = new Rng(SEED);
  const fs = new MemoryFileSystem();
  const storage = await manyGroups(fs);
  for (let part = 0; part < 3; part++) {
    const most = await heat(storage, rng, 4 * 2 ** 20);
    expect(most, `NORI_SEED=${SEED}, part ${part}`).toBeLessThan(LOG_BYTES_MAX);
  }
  const { entriesCarried, segments, checkpoints, entriesInMemory } = storage.stats();
  expect(entriesCarried).toBeGreaterThan(3 * 1000);
  expect(segments * SEGMENT_BYTES).toBeLessThan(LOG_BYTES_MAX + 2 * SEGMENT_BYTES);
  expect(checkpoints).toBeLessThan(600);
  expect(entriesInMemory).toBeLessThan(3 * 1024 + 500);
  for (const found of [storage, await openStorage(fs.kill())]) {
    for (let groupId = 4; groupId < 1024; groupId++) {
      expect(texts(found.log(groupId)).length).toBe(3);
      expect(found.log(groupId).hardState).toEqual({ term: 1, vote: 2, commit: 3 });
    }
  }
  // All that is written besides entries is a small part of it.
  expect(fs.stats().bytesWritten).toBeLessThan(2 * 12 * 2 ** 20);
}, 120_000);

test('what a checkpoint carries is kept after reopening, again and again', async () => {
  const rng = new Rng(SEED);
  let fs = new MemoryFileSystem();
  let storage = await manyGroups(fs);
  for (let round = 0; round < 3; round++) {
    // By now the segments are gone in which the cold entries were written first.
    await heat(storage, rng, 4 * 2 ** 20);
    fs = fs.kill();
    storage = await openStorage(fs, { segmentBytesMax: SEGMENT_BYTES });
    for (let groupId = 4; groupId < 1024; groupId++) {
      expect(texts(storage.log(groupId)).length, `NORI_SEED=${SEED}, round ${round}`).toBe(3);
    }
  }
}, 120_000);

test('what was written and compacted is dropped though nothing is written any more', async () => {
  const fs = new MemoryFileSystem();
  const storage = await openStorage(fs, { segmentBytesMax: SEGMENT_BYTES });
  await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
  let last = 1;
  for (; last < 3000; last += 10)
    await storage.write([writeOf(0, { entries: entriesOf(last + 1, last + 10, 1, 500) })]);
  await storage.write([writeOf(0, { hardState: { term: 1, vote: 0, commit: last } })]);
  expect(storage.stats().segments).toBeGreaterThan(10);
  storage.compact(0, last);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(storage.stats()).toMatchObject({ segments: 1, entriesInMemory: 0, bytesInMemory: 0 });
  const again = await openStorage(fs.crash({ next: () => 0 }));
  expect([again.log(0).firstIndex(), again.log(0).lastIndex()]).toEqual([last + 1, last]);
});

test('a group that is removed keeps nothing', async () => {
  const fs = new MemoryFileSystem();
  const storage = await openStorage(fs, { segmentBytesMax: SEGMENT_BYTES });
  for (const groupId of [0, 1]) await storage.createGroup({ groupId, replicaId: 1, bootstrap: true });
  for (let last = 1; last < 3000; last += 10) {
    await storage.write([writeOf(0, { entries: entriesOf(last + 1, last + 10, 1, 500) })]);
  }
  await storage.removeGroup(0);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(storage.stats().segments).toBe(1);
});

test('a group whose state machine does not become durable keeps its own log, and others are not written again for nothing', async () => {
  const rng = new Rng(SEED);
  const fs = new MemoryFileSystem();
  const storage = await manyGroups(fs);
  let last = storage.log(9).lastIndex();
  for (let i = 0; i < 100; i++) {
    await storage.write([writeOf(9, { entries: entriesOf(last + 1, last + 10, 1, 500) })]);
    last += 10;
  }
  const before = storage.stats().entriesCarried;
  await heat(storage, rng, 2 * 2 ** 20);
  // Those with older entries than group 9 are; then nothing helps.
  expect(storage.stats().entriesCarried - before).toBeLessThan(3 * 1024);
  expect(storage.stats().bytes).toBeGreaterThan(2 * 2 ** 20);
  await storage.write([writeOf(9, { hardState: { term: 1, vote: 2, commit: last } })]);
  storage.compact(9, last);
  await heat(storage, rng, 2 ** 20);
  expect(storage.stats().bytes, `NORI_SEED=${SEED}`).toBeLessThan(LOG_BYTES_MAX);
}, 120_000);
