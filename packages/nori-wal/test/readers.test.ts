// Many readers beside appends, rotation, truncateBefore and truncateAfter.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { type Wal, WalError } from 'nori-wal';
import { describe, expect, test } from 'vitest';
import { bytes, openMemory } from './helpers.js';

const SEED = seedFromEnv();

/** What the log should hold, by position, and what was dropped from where on. */
interface Model {
  readonly records: { position: number; number: number }[];
}

/** Reads from `position` and checks that the records are contiguous in some state the log was in. Returns how it ended. */
async function read(wal: Wal, position: number, model: Model, rng: Rng, inBatches: boolean): Promise<string> {
  const expected = model.records.map((record) => ({ ...record }));
  const seen: { position: number; number: number }[] = [];
  const take = (record: { position: number; data: Uint8Array }) =>
    seen.push({ position: record.position, number: Number(new TextDecoder().decode(record.data.subarray(0, 6))) });
  let ended = 'end';
  try {
    if (inBatches) {
      for await (const batch of wal.readBatches(position)) {
        batch.forEach(take);
        if (rng.chance(0.3)) await pause(rng);
      }
    } else {
      for await (const record of wal.readFrom(position)) {
        take(record);
        if (rng.chance(0.02)) await pause(rng);
      }
    }
  } catch (error) {
    expect(error).toBeInstanceOf(WalError);
    ended = (error as WalError).code;
    expect(ended).toBe('WAL_TRUNCATED');
  }
  // What it saw was in the log when it began, from its place on and without a gap.
  const first = expected.findIndex((record) => record.position === seen[0]?.position);
  if (seen.length > 0) {
    expect(first).toBeGreaterThanOrEqual(0);
    expect(seen).toEqual(expected.slice(first, first + seen.length));
  }
  return ended;
}

const pause = async (rng: Rng): Promise<void> => {
  for (let turn = rng.int(4); turn >= 0; turn--) await new Promise((resolve) => setImmediate(resolve));
};

describe('readers', () => {
  test('each see a contiguous prefix while the log is written, rotated, truncated and cut', async () => {
    const rng = new Rng(SEED);
    const ends = new Map<string, number>();
    for (let round = 0; round < 12; round++) {
      const fs = new MemoryFileSystem();
      const wal = await openMemory(fs, {
        segmentBytesMax: 40_000,
        spareSegmentsMax: rng.pick([0, 2]),
        compression: rng.pick(['none', 'lz4']),
      });
      const model: Model = { records: [] };
      const readers: Promise<string>[] = [];
      let numbers = 0;
      for (let step = 0; step < 120; step++) {
        const count = rng.range(1, 20);
        const added = Array.from({ length: count }, () => numbers++);
        const positions = await Promise.all(
          added.map((number) => wal.append(bytes(String(number).padEnd(rng.range(6, 900)).padEnd(6)))),
        );
        positions.forEach((position, index) => {
          model.records.push({ position, number: added[index]! });
        });
        for (let more = rng.int(3); more > 0; more--) {
          const from = rng.chance(0.3) ? 0 : rng.pick(model.records).position;
          readers.push(read(wal, from, model, rng.fork(), rng.chance(0.5)));
        }
        if (rng.chance(0.1)) await wal.truncateBefore(rng.pick(model.records).position);
        if (rng.chance(0.1)) {
          const at = model.records.length - 1 - rng.int(Math.min(60, model.records.length - 1));
          const { position } = model.records[at]!;
          if (position >= wal.start) {
            await wal.truncateAfter(position);
            model.records.length = at;
          }
        }
        if (model.records.length === 0) break;
      }
      for (const ended of await Promise.all(readers)) ends.set(ended, (ends.get(ended) ?? 0) + 1);
      await wal.close();
    }
    expect(ends.get('end')).toBeGreaterThan(100);
    expect(ends.get('WAL_TRUNCATED')).toBeGreaterThan(3);
  });

  test('that stand beyond a cut are told so, and those before it are once they reach it', async () => {
    const wal = await openMemory(undefined, { segmentBytesMax: 2 ** 20 });
    const positions: number[] = [];
    for (let index = 0; index < 100; index++) positions.push(await wal.append(bytes(String(index))));
    const beyond = wal.readFrom(0);
    for (let index = 0; index < 60; index++) await beyond.next();
    const before = wal.readFrom(0);
    for (let index = 0; index < 10; index++) await before.next();
    const batches = wal.readBatches(0);
    await wal.truncateAfter(positions[50]!);
    await wal.append(bytes('new'));
    await expect(beyond.next()).rejects.toMatchObject({ code: 'WAL_TRUNCATED' });
    for (let index = 10; index < 50; index++) {
      expect(new TextDecoder().decode((await before.next()).value!.data)).toBe(String(index));
    }
    await expect(before.next()).rejects.toMatchObject({ code: 'WAL_TRUNCATED' });
    expect((await batches.next()).value!.length).toBe(50);
    await wal.close();
  });

  test('batches hold the records in order, as many as a chunk has', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { segmentBytesMax: 2 ** 21, fsync: 'os' });
    const sent = Array.from({ length: 5000 }, (_, index) => String(index).padEnd(index % 300));
    for (const text of sent) void wal.append(bytes(text));
    await wal.sync();
    const seen: string[] = [];
    let batches = 0;
    for await (const batch of wal.readBatches(0)) {
      batches += 1;
      for (const { data } of batch) seen.push(new TextDecoder().decode(data));
    }
    expect(seen).toEqual(sent);
    expect(batches).toBeLessThan(10);
    await wal.close();
  });

  test('records are handed over while a log is opened, from a position on, and what the taker throws is passed on', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    const positions: number[] = [];
    for (let index = 0; index < 500; index++) positions.push(await wal.append(bytes(String(index))));
    await wal.appendBatch([bytes('a'), bytes('b')]);
    const disk = fs.kill();
    for (const from of [0, 1, 250, 499]) {
      const seen: string[] = [];
      const onRecords = async (records: { data: Uint8Array }[]) => {
        for (const { data } of records) seen.push(new TextDecoder().decode(data));
      };
      const again = await openMemory(disk.kill(), { onRecords, onRecordsFrom: positions[from]! });
      expect(seen).toEqual([...Array.from({ length: 500 - from }, (_, index) => String(index + from)), 'a', 'b']);
      await again.close();
    }
    const own = new Error('mine');
    const failing = openMemory(disk, { onRecords: () => Promise.reject(own) });
    await expect(failing).rejects.toBe(own);
    await (await openMemory(disk)).close();
    await wal.close();
  });
});
