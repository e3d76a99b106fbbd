// Reading what there is of a damaged log. Nothing that was not written is ever read, nothing is lost but what is
// damaged (and what shares a group with it, if its own length is), and the disk is left as it was.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { readLog, salvageLog, Wal, WalError } from 'nori-wal';
import { expect, test } from 'vitest';
import { bytes, DIR, openMemory, readAll, replaceAll, segmentFiles } from './helpers.js';

const ROUNDS = 300;
const GROUPS = 60;

/** A log of groups of three records, over several segments. */
const filled = async (): Promise<MemoryFileSystem> => {
  const fs = new MemoryFileSystem();
  const wal = await openMemory(fs, { preallocateBytes: 0 });
  for (let group = 0; group < GROUPS; group++) {
    await Promise.all([0, 1, 2].map((i) => wal.append([bytes(`${group}.${i} ${'x'.repeat((group * 7) % 100)}`)])));
  }
  await wal.close();
  return fs;
};

const salvage = async (fs: MemoryFileSystem) => {
  const names: string[] = [];
  const positions: number[] = [];
  const found = await salvageLog({
    dir: DIR,
    fs,
    onRecords: (records) => {
      for (const { data, position } of records) {
        names.push(new TextDecoder().decode(data).split(' ')[0]!);
        positions.push(position);
      }
    },
  });
  return { ...found, names, positions };
};

const all = Array.from({ length: GROUPS * 3 }, (_, i) => `${Math.floor(i / 3)}.${i % 3}`);

test('a sound log is read whole, as by readLog, and not changed', async () => {
  const fs = await filled();
  const before = fs.stats().mutations;
  const { names, problems, start, segments, records } = await salvage(fs);
  expect([names, problems, start, records]).toEqual([all, [], 0, all.length]);
  let count = 0;
  const found = await readLog({ dir: DIR, fs, onRecords: (some) => void (count += some.length) });
  expect(fs.stats().mutations).toBe(before);
  const wal = await openMemory(fs);
  expect([found.start, found.end, found.segments, found.cut]).toEqual([wal.start, wal.end, segments, undefined]);
  expect(count).toBe(all.length);
  await wal.close();
});

test('a log that is not there is an empty one', async () => {
  const fs = new MemoryFileSystem();
  expect(await salvageLog({ dir: DIR, fs })).toMatchObject({ records: 0, start: 0, problems: [] });
});

test('of a damaged log all is read but the group of the damage', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const original = await filled();
  const files = await segmentFiles(original);
  expect(files.length).toBeGreaterThan(2);
  const place = new Map(all.map((name, i) => [name, i]));
  let single = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const fs = original.kill();
    const path = rng.pick(files);
    const content = readAll(fs, path);
    const at = rng.int(content.length);
    content[at]! ^= 1 + rng.int(255);
    await replaceAll(fs, path, content);
    const { names, positions, problems } = await salvage(fs);
    const where = `NORI_SEED=${seed}, ${path} at ${at}`;
    const order = names.map((name) => place.get(name) ?? -1);
    expect([where, order.includes(-1), order.every((n, i) => i === 0 || order[i - 1]! < n)]).toEqual([
      where,
      false,
      true,
    ]);
    expect(positions.every((position, i) => i === 0 || positions[i - 1]! < position)).toBe(true);
    const lost = all.filter((name) => !names.includes(name));
    expect([where, new Set(lost.map((name) => name.split('.')[0])).size <= 1]).toEqual([where, true]);
    if (lost.length === 1) single++;
    if (lost.length > 0) expect(problems.length).toBeGreaterThan(0);
    for (const { file, offset } of problems) expect([file, (offset ?? -1) >= 0 && offset! <= at]).toEqual([path, true]);
  }
  // Mostly a record's own length is sound.
  expect(single).toBeGreaterThan(ROUNDS / 3);
});

test('a segment that is gone, or has lost its end, is told; the others are read', async () => {
  const fs = await filled();
  const [first, second, third] = (await segmentFiles(fs)) as [string, string, string];
  const whole = (await salvage(fs)).names.length;
  await fs.unlink(second);
  const without = await salvage(fs);
  expect(without.names.length).toBeLessThan(whole);
  expect(without.problems.map(({ code, file }) => [code, file])).toEqual([['WAL_MISSING_SEGMENT', first]]);
  await replaceAll(fs, third, readAll(fs, third).subarray(0, 2000));
  const shorter = await salvage(fs);
  expect(shorter.names.length).toBeLessThan(without.names.length);
  expect(shorter.names.at(-1)).toBe(all.at(-1));
});

test('what a cut has dropped is not read', async () => {
  const fs = await filled();
  const wal = await Wal.open({ dir: DIR, fs, segmentBytesMax: 4096 });
  const { positions } = await salvage(fs);
  await wal.truncateAfter(positions[50]!);
  await wal.append([bytes('new ')]);
  await wal.close();
  expect((await salvage(fs)).names).toEqual([...all.slice(0, 50), 'new']);
});

test('a disk that cannot read a place loses what was there', async () => {
  const fs = await filled();
  const [first] = (await segmentFiles(fs)) as [string];
  fs.inject({ on: 'read', path: first, after: 1, times: Number.POSITIVE_INFINITY });
  const { names, problems } = await salvage(fs);
  expect(names.length).toBeGreaterThan(30);
  expect(problems.length).toBeGreaterThan(0);
  fs.inject({ on: 'open', path: first });
  await expect(salvage(fs)).rejects.toThrow(WalError);
});
