// Room made ahead of the records, and files of dropped segments that become new ones.
import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { bytes, DIR, openMemory, readAll, replaceAll, segmentFiles, texts } from './helpers.js';

const SEED = seedFromEnv();
const KIB = 1024;
const record = (index: number): Uint8Array => bytes(`record ${index} `.padEnd(1000, '.'));
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};
const spares = async (fs: MemoryFileSystem) => (await fs.readdir(DIR)).filter((name) => name.endsWith('.spare'));

describe('preallocation', () => {
  test('writes zeros ahead of small synced groups, in steps, up to the size of a segment', async () => {
    const fs = new MemoryFileSystem();
    const meter = new RecordingMeter();
    const wal = await openMemory(fs, { meter, segmentBytesMax: 400 * KIB, preallocateBytes: 128 * KIB });
    let grown = 0;
    for (let index = 0; wal.stats().segments < 2; index++) {
      const size = (await segmentFiles(fs)).length > 0 ? readAll(fs, (await segmentFiles(fs))[0]!).length : 0;
      await wal.append(record(index));
      const { preallocatedBytes } = wal.stats();
      expect(preallocatedBytes).toBeLessThanOrEqual(128 * KIB);
      if (readAll(fs, (await segmentFiles(fs))[0]!).length !== size) grown += 1;
    }
    expect(grown).toBeLessThan(15);
    expect(meter.value('wal_preallocated_bytes_total')).toBeGreaterThan(300 * KIB);
    const [first] = await segmentFiles(fs);
    expect(readAll(fs, first!).length).toBeLessThan(400 * KIB);
    await wal.close();
  });

  test('is for synced groups only, and can be left off', async () => {
    for (const options of [{ fsync: 'os' as const }, { preallocateBytes: 0 }]) {
      const wal = await openMemory(undefined, { segmentBytesMax: 2 ** 20, ...options });
      for (let index = 0; index < 50; index++) await wal.append(record(index));
      expect(wal.stats().preallocatedBytes).toBe(0);
      await wal.close();
    }
  });

  test('leaves nothing in a log that was closed, and nothing to report in one that was not', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { segmentBytesMax: 2 ** 20 });
    for (let index = 0; index < 20; index++) await wal.append(record(index));
    expect(wal.stats().preallocatedBytes).toBeGreaterThan(30 * KIB);
    const open = await openMemory(fs.kill(), { segmentBytesMax: 2 ** 20 });
    expect(open.recovery).toMatchObject({ records: 20 });
    expect(open.recovery.cut).toBeUndefined();
    await wal.close();
    const [path] = await segmentFiles(fs);
    expect(readAll(fs, path!).length).toBe(wal.stats().bytes);
    const after = fs.crash({ next: () => 0 });
    await (await openMemory(after)).close();
    expect(after.stats().bytesWritten).toBe(0);
  });

  test('a group too large for the room that is being made waits for it, and is not overwritten', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { segmentBytesMax: 2 ** 24 });
    let release = (): void => undefined;
    // Holds back the zeros, which are the only write of that size.
    fs.onOperation = ({ kind, length }) =>
      kind === 'write' && length > 30 * KIB && length < 70 * KIB
        ? new Promise<void>((resolve) => (release = resolve))
        : undefined;
    await wal.append(record(0));
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    const big = new Uint8Array(300_000).fill(7);
    const appended = wal.append(big);
    await turns(5);
    fs.onOperation = undefined;
    release();
    await appended;
    await wal.append(record(1));
    const found: Uint8Array[] = [];
    for await (const { data } of wal.readFrom(0)) found.push(data);
    expect(found.map((data) => data.length)).toEqual([1000, 300_000, 1000]);
    expect(found[1]!.every((byte) => byte === 7)).toBe(true);
    await wal.close();
  });

  test('that finds no space, or fails, fails no append that fits', async () => {
    for (const code of ['IO_NO_SPACE', 'IO_FAILED'] as const) {
      const fs = new MemoryFileSystem();
      const wal = await openMemory(fs, { segmentBytesMax: 2 ** 20 });
      await wal.append(bytes('first'));
      await wal.close();
      const again = await openMemory(fs, { segmentBytesMax: 2 ** 20 });
      fs.inject({ on: 'write', after: 1, code, writtenFraction: 0.5 });
      for (let index = 0; index < 20; index++) await again.append(record(index));
      await again.close();
      expect(readAll(fs, (await segmentFiles(fs))[0]!).length).toBe(again.stats().bytes);
    }
  });

  test('on a disk that fills up gives its room to the records', async () => {
    const fs = new MemoryFileSystem({ capacityBytes: 20 * 4096 });
    const wal = await openMemory(fs, { segmentBytesMax: 40 * KIB });
    const kept: string[] = [];
    let failed = 0;
    for (let index = 0; index < 120; index++) {
      const text = `record ${index} `.padEnd(1000, '.');
      await wal.append(bytes(text)).then(
        () => kept.push(text),
        (error: unknown) => {
          expect(error).toMatchObject({ code: 'WAL_NO_SPACE' });
          failed += 1;
        },
      );
    }
    expect(failed).toBeGreaterThan(0);
    // All but the rest of a page of each segment is used, and one append that was too large for its segment.
    expect(kept.length).toBeGreaterThan(72);
    expect(await texts(wal)).toEqual(kept);
    await wal.close();
    expect(await texts(await openMemory(fs))).toEqual(kept);
  });
});

describe('recycling', () => {
  /** A log whose first segments were dropped; the files of some are kept. */
  async function withSpares(fs: MemoryFileSystem, spareSegmentsMax: number, meter = new RecordingMeter()) {
    const wal = await openMemory(fs, { spareSegmentsMax, meter });
    for (let index = 0; index < 30; index++) await wal.append(record(index));
    await wal.truncateBefore(wal.end);
    return wal;
  }

  test('keeps a bounded number of dropped files, and begins segments in them', async () => {
    const fs = new MemoryFileSystem();
    const meter = new RecordingMeter();
    const wal = await withSpares(fs, 2, meter);
    expect(wal.stats()).toMatchObject({ segments: 1, spareSegments: 2 });
    expect(wal.stats().spareBytes).toBeGreaterThan(4 * KIB);
    expect(await spares(fs)).toHaveLength(2);
    const creates = fs.stats().operations.create;
    for (let index = 30; index < 35; index++) await wal.append(record(index));
    expect(wal.stats().spareSegments).toBeLessThan(2);
    expect(fs.stats().operations.create).toBe(creates);
    expect(meter.value('wal_segments_recycled_total')).toBeGreaterThan(0);
    const found = await texts(wal);
    expect(found.at(-1)).toContain('record 34');
    for (const disk of [fs.kill(), fs.crash({ next: () => 0 })]) {
      const again = await openMemory(disk);
      expect(await texts(again)).toEqual(found);
      expect(again.recovery.cut).toBeUndefined();
      expect(await spares(disk)).toEqual([]);
      await again.close();
    }
    await wal.close();
    expect(await spares(fs)).toEqual([]);
    expect(await texts(await openMemory(fs))).toEqual(found);
  });

  test('can be left off, and takes no file that a reader has open', async () => {
    const off = new MemoryFileSystem();
    await withSpares(off, 0);
    expect(await spares(off)).toEqual([]);
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { spareSegmentsMax: 9 });
    for (let index = 0; index < 7; index++) await wal.append(record(index));
    const reading = wal.readFrom(0);
    await reading.next();
    await wal.truncateBefore(wal.end);
    expect(await spares(fs)).toEqual(['000000000002.spare']);
    const read = await reading.next();
    expect(new TextDecoder().decode(read.value!.data)).toContain('record 1');
    await reading.return();
    await wal.close();
  });

  test('never writes into a file whose name may still be that of a dropped segment', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { spareSegmentsMax: 3 });
    for (let index = 0; index < 11; index++) await wal.append(record(index));
    let held = 0;
    const disks: MemoryFileSystem[] = [];
    fs.onOperation = ({ kind }) => {
      disks.push(fs.crash({ next: () => 0 }));
      if (kind !== 'sync-dir' || held++ > 0) return undefined;
      return turns(20);
    };
    await Promise.all([wal.truncateBefore(wal.end), ...[11, 12, 13, 14].map((index) => wal.append(record(index)))]);
    fs.onOperation = undefined;
    for (const disk of disks) await (await openMemory(disk)).close();
    expect(disks.length).toBeGreaterThan(5);
    await wal.close();
  });

  test('gives spare files back when the disk is full', async () => {
    const fs = new MemoryFileSystem();
    const wal = await withSpares(fs, 3);
    fs.capacityBytes = 4 * 4096;
    const room = wal.append(new Uint8Array(3000));
    await room;
    for (let index = 0; index < 2; index++) await wal.append(new Uint8Array(3000));
    await wal.truncateBefore(wal.end);
    await wal.append(new Uint8Array(9000));
    expect(wal.stats().spareSegments).toBe(0);
    await wal.close();
  });

  test('a spare that cannot be opened is done without', async () => {
    const fs = new MemoryFileSystem();
    const wal = await withSpares(fs, 1);
    for (const name of await spares(fs)) await fs.unlink(`${DIR}/${name}`);
    for (let index = 0; index < 5; index++) await wal.append(record(index));
    expect((await texts(wal)).length).toBeGreaterThan(4);
    await wal.close();
  });

  test('a spare that has no space for its header is given up', async () => {
    const fs = new MemoryFileSystem();
    const wal = await withSpares(fs, 1);
    const fault = fs.inject({ on: 'write', path: '.spare', code: 'IO_NO_SPACE' });
    for (let index = 0; index < 5; index++) await wal.append(record(index));
    expect(fault.hits).toBe(1);
    expect(await spares(fs)).toEqual([]);
    await wal.close();
  });

  test('old bytes behind the end of a recycled segment never speak, wherever it ends', async () => {
    const fs = new MemoryFileSystem();
    const wal = await withSpares(fs, 3);
    for (let index = 30; index < 33; index++) await wal.append(record(index));
    await wal.append(bytes('short')); // A group of 41 bytes
    const found = await texts(wal);
    const path = (await segmentFiles(fs)).at(-1)!;
    const content = readAll(fs, path);
    const used =
      wal.stats().bytes -
      (await segmentFiles(fs)).slice(0, -1).reduce((sum, file) => sum + readAll(fs, file).length, 0);
    expect(content.length).toBeGreaterThan(used + 500);
    const rng = new Rng(SEED);
    for (let round = 0; round < 200; round++) {
      const disk = fs.kill();
      const at = rng.range(used - 41, content.length);
      const noise = content.slice();
      noise.set(rng.bytes(Math.min(rng.int(200), content.length - at)), at);
      await replaceAll(disk, path, noise);
      const again = await openMemory(disk);
      const left = await texts(again);
      expect(left).toEqual(found.slice(0, left.length));
      if (at >= used) expect(left.length).toBe(found.length);
      await again.close();
    }
    await wal.close();
  });
});
