import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { VirtualClock } from 'nori-testkit';
import { Wal } from 'nori-wal';
import { describe, expect, test } from 'vitest';
import { Deferred } from '../src/write-group.js';
import { bytes, DIR, openMemory, readAll, segmentFiles, texts } from './helpers.js';

const sequence = (count: number) => Array.from({ length: count }, (_, index) => `record ${index}`);

describe('appending and reading', () => {
  test('records come back in order, before and after reopening', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    expect(wal.recovery).toEqual({ segments: 0, records: 0, bytes: 0, start: 0, end: 0 });
    const positions = await Promise.all(sequence(50).map((text) => wal.append(bytes(text))));
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    expect(await texts(wal)).toEqual(sequence(50));
    await wal.close();
    const again = await openMemory(fs);
    expect(again.recovery).toMatchObject({ segments: 1, records: 50, start: 0, end: again.end });
    expect(again.recovery.cut).toBeUndefined();
    expect(await texts(again)).toEqual(sequence(50));
    await again.append(bytes('more'));
    expect(await texts(again)).toEqual([...sequence(50), 'more']);
    await again.close();
  });

  test('reading can begin at any record, and go on from where it stopped', async () => {
    const wal = await openMemory();
    const positions: number[] = [];
    for (const text of sequence(300)) positions.push(await wal.append(bytes(text)));
    expect(wal.stats().segments).toBeGreaterThan(2);
    for (const index of [0, 1, 150, 299])
      expect(await texts(wal, positions[index]!)).toEqual(sequence(300).slice(index));
    let at = 0;
    const read: string[] = [];
    for (let step = 0; step < 300; step++) {
      for await (const { data, next, position } of wal.readFrom(at)) {
        expect(position).toBe(positions[step]);
        read.push(new TextDecoder().decode(data));
        at = next;
        break;
      }
    }
    expect(read).toEqual(sequence(300));
    expect(await texts(wal, at)).toEqual([]);
    expect(await texts(wal, wal.end)).toEqual([]);
    await wal.close();
  });

  test('a position where no record begins, or beyond the end, is refused', async () => {
    const wal = await openMemory();
    const position = await wal.append(bytes('hello'));
    for (const wrong of [position + 1, wal.end + 1, -1, Number.NaN]) {
      await expect(texts(wal, wrong)).rejects.toMatchObject({ code: 'WAL_INVALID_POSITION' });
    }
    await wal.close();
  });

  test('a record may be empty, be given in parts, or be larger than a segment and every buffer', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { stagingBytesMax: 100_000 });
    const parts = [bytes('a'), new Uint8Array(0), bytes('bc')];
    const big = new Uint8Array(700_000).map((_, index) => index * 7);
    const sent = [
      bytes(''),
      parts,
      big,
      [big.subarray(0, 90_000), bytes('x'), big.subarray(5)],
      bytes('end'),
      new Uint8Array(0),
    ];
    await Promise.all(sent.map((record) => wal.append(record)));
    const expected = sent.map((record) => (record instanceof Uint8Array ? record : Buffer.concat(record)));
    await wal.close();
    const again = await openMemory(fs);
    let index = 0;
    for await (const { data } of again.readFrom(0)) expect(Buffer.compare(data, expected[index++]!)).toBe(0);
    expect(index).toBe(sent.length);
    await again.close();
  });

  test('what a reader was given stays as it was while the log is read and written on', async () => {
    const wal = await openMemory(undefined, { segmentBytesMax: 2 ** 21 });
    for (let index = 0; index < 900; index++) await wal.append(new Uint8Array(1000).fill(index), { durability: 'os' });
    await wal.sync();
    const kept: Uint8Array[] = [];
    for await (const { data } of wal.readFrom(0)) kept.push(data);
    await wal.append(new Uint8Array(1000));
    kept.forEach((data, index) => {
      expect(data.every((byte) => byte === (index & 255))).toBe(true);
    });
    expect(kept.length).toBe(900);
    await wal.close();
  });

  test('the records of a batch stand together and each has its position', async () => {
    const wal = await openMemory();
    const [first, batch, last] = await Promise.all([
      wal.append(bytes('before')),
      wal.appendBatch([bytes('one'), [bytes('t'), bytes('wo')], bytes('three')]),
      wal.append(bytes('after')),
    ]);
    expect(await texts(wal)).toEqual(['before', 'one', 'two', 'three', 'after']);
    expect(batch.length).toBe(3);
    expect(first).toBeLessThan(batch[0]!);
    expect(last).toBeGreaterThan(batch[2]!);
    expect(await texts(wal, batch[1]!)).toEqual(['two', 'three', 'after']);
    expect(await wal.appendBatch([])).toEqual([]);
    expect(await wal.appendBatch([bytes('single')])).toHaveLength(1);
    await wal.close();
  });

  test('readers see only what is acknowledged', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    await wal.append(bytes('seen'));
    let release = (): void => undefined;
    fs.onOperation = ({ kind }) =>
      kind === 'datasync' ? new Promise<void>((resolve) => (release = resolve)) : undefined;
    const appended = wal.append(bytes('unseen'), { durability: 'sync' });
    while (fs.stats().operations.datasync < 3) await Promise.resolve();
    expect(await texts(wal)).toEqual(['seen']);
    fs.onOperation = undefined;
    release();
    await appended;
    expect(await texts(wal)).toEqual(['seen', 'unseen']);
    await wal.close();
  });
});

describe('durability', () => {
  test('sync and batch are acknowledged after a data sync, os before it', async () => {
    for (const durability of ['sync', 'batch', 'os'] as const) {
      const fs = new MemoryFileSystem();
      const wal = await openMemory(fs);
      await wal.append(bytes('first'));
      const before = fs.stats().operations.datasync;
      await wal.append(bytes('second'), { durability });
      expect(fs.stats().operations.datasync - before).toBe(durability === 'os' ? 0 : 1);
      expect(wal.stats().synced === wal.end).toBe(durability !== 'os');
      await wal.sync();
      expect(wal.stats().synced).toBe(wal.end);
      await wal.close();
    }
  });

  test('appends of one turn share one write and one data sync', async () => {
    for (const fsync of ['always', 'batch'] as const) {
      const fs = new MemoryFileSystem();
      const wal = await openMemory(fs, { fsync, segmentBytesMax: 2 ** 20 });
      await wal.append(bytes('first'));
      const before = fs.stats().operations;
      await Promise.all(sequence(100).map((text) => wal.append(bytes(text))));
      expect(fs.stats().operations.datasync - before.datasync).toBe(1);
      expect(fs.stats().operations.write - before.write).toBe(1);
      await wal.close();
    }
  });

  test('what was only written is synced when the interval is over', async () => {
    const clock = new VirtualClock();
    const wal = await openMemory(undefined, { clock, fsync: 'os', syncIntervalMs: 50 });
    const appended = wal.append(bytes('later'));
    await clock.advanceAsync(0);
    await appended;
    expect(wal.stats().synced).toBeLessThan(wal.end);
    await clock.advanceAsync(49);
    expect(wal.stats().synced).toBeLessThan(wal.end);
    await clock.advanceAsync(1);
    expect(wal.stats().synced).toBe(wal.end);
    await wal.close();
  });

  test('when it is much, it is synced at once, beside what is written next', async () => {
    const clock = new VirtualClock();
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { clock, fsync: 'os', syncBehindBytes: 1000 });
    const write = async (size: number): Promise<void> => {
      const appended = wal.append(new Uint8Array(size));
      await clock.advanceAsync(0);
      await appended;
    };
    await write(500);
    expect(wal.stats().synced).toBeLessThan(wal.end);
    const syncing = new Deferred<void>();
    fs.onOperation = ({ kind }) => (kind === 'datasync' ? syncing.promise : undefined);
    await write(500);
    const { end } = wal;
    await write(100);
    syncing.resolve();
    await clock.advanceAsync(0);
    expect(wal.stats().synced).toBe(end);
    expect(wal.end).toBeGreaterThan(end);
    await wal.close();
  });

  test('closing makes everything durable, and the next opening writes nothing', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { fsync: 'os' });
    for (const text of sequence(10)) await wal.append(bytes(text));
    await wal.close();
    const crashed = fs.crash({ next: () => 0 });
    const again = await openMemory(crashed);
    expect(await texts(again)).toEqual(sequence(10));
    await again.close();
    expect(crashed.stats().bytesWritten).toBe(0);
    expect(crashed.stats().operations.datasync).toBe(0);
  });
});

describe('segments', () => {
  test('records below the position are dropped by whole segments, the rest stays', async () => {
    const fs = new MemoryFileSystem();
    const meter = new RecordingMeter();
    const wal = await openMemory(fs, { meter });
    const positions: number[] = [];
    for (const text of sequence(500)) positions.push(await wal.append(bytes(text)));
    const segments = wal.stats().segments;
    await Promise.all([wal.truncateBefore(positions[250]!), wal.truncateBefore(positions[200]!)]);
    expect(wal.stats().segments).toBeLessThan(segments);
    expect(wal.start).toBeLessThanOrEqual(positions[250]!);
    const left = await texts(wal);
    expect(left.length).toBeGreaterThanOrEqual(250);
    expect(left).toEqual(sequence(500).slice(-left.length));
    await wal.truncateBefore(Number.MAX_SAFE_INTEGER);
    expect(wal.stats().segments).toBe(1);
    const end = wal.end;
    await wal.close();
    const again = await openMemory(fs);
    expect(again.end).toBe(end);
    expect(await again.append(bytes('next'))).toBeGreaterThanOrEqual(end);
    await again.close();
    expect(meter.events.map(({ type }) => type)).toContain('wal.segments_removed');
    expect(meter.value('wal_segments')).toBe(1);
  });

  test('a segment does not grow beyond its limit, unless a single record or batch does', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    await Promise.all(Array.from({ length: 100 }, () => wal.append(new Uint8Array(300))));
    await wal.appendBatch([new Uint8Array(5000), new Uint8Array(5000)]);
    await wal.append(bytes('next'));
    await wal.close();
    const sizes = (await segmentFiles(fs)).map((path) => readAll(fs, path).length);
    expect(sizes.filter((size) => size > 4096 + 30).length).toBe(1);
  });
});

describe('limits and misuse', () => {
  test('records and batches over the limit are refused', async () => {
    const wal = await openMemory(undefined, { recordBytesMax: 100 });
    await wal.append(new Uint8Array(100));
    await expect(wal.append(new Uint8Array(101))).rejects.toMatchObject({ code: 'WAL_RECORD_TOO_LARGE' });
    await expect(wal.appendBatch([new Uint8Array(50), new Uint8Array(51)])).rejects.toMatchObject({
      code: 'WAL_RECORD_TOO_LARGE',
    });
    await wal.close();
  });

  test('appends wait in line when too much is staged, and keep their order', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { stagingBytesMax: 2000, segmentBytesMax: 2 ** 20 });
    const appended = Promise.all(sequence(400).map((text) => wal.append(bytes(text.padEnd(100)))));
    const synced = wal.sync();
    expect(wal.stats().pendingBytes).toBeLessThanOrEqual(2000);
    await synced;
    expect(wal.stats().synced).toBe(wal.end);
    await appended;
    expect((await texts(wal)).map((text) => text.trim())).toEqual(sequence(400));
    expect(wal.stats()).toMatchObject({ pendingBytes: 0 });
    await wal.close();
  });

  test('a closed log refuses everything, and closing waits for what was appended', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    const appended = wal.append(bytes('last'));
    const closing = [wal.close(), wal.close(), wal[Symbol.asyncDispose]()];
    await expect(wal.append(bytes('late'))).rejects.toMatchObject({ code: 'WAL_CLOSED' });
    await expect(wal.appendBatch([bytes('late')])).rejects.toMatchObject({ code: 'WAL_CLOSED' });
    await expect(wal.sync()).rejects.toMatchObject({ code: 'WAL_CLOSED' });
    await expect(wal.truncateBefore(0)).rejects.toMatchObject({ code: 'WAL_CLOSED' });
    await expect(texts(wal)).rejects.toMatchObject({ code: 'WAL_CLOSED' });
    await Promise.all(closing);
    await appended;
    expect(await texts(await openMemory(fs))).toEqual(['last']);
  });

  test('a log that is open is locked for others', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    await expect(openMemory(fs)).rejects.toMatchObject({ code: 'WAL_LOCKED' });
    await wal.close();
    await (await openMemory(fs)).close();
    const unlocked = await openMemory(fs, { lock: false });
    expect(await fs.readdir(DIR)).toEqual([]);
    await unlocked.close();
  });

  test('options out of range are refused', async () => {
    const wrong = [
      { segmentBytesMax: 10 },
      { stagingBytesMax: 1.5 },
      { recordBytesMax: 0 },
      { dir: '' },
      { fsync: 'never' },
    ];
    for (const options of wrong) {
      await expect(openMemory(undefined, options as never)).rejects.toMatchObject({ code: 'WAL_INVALID_OPTION' });
    }
  });

  test('a directory is created with its parents, and a file in its place is refused', async () => {
    const fs = new MemoryFileSystem();
    const wal = await Wal.open({ dir: '/a/b/c', fs });
    await wal.append(bytes('kept'));
    await wal.close();
    const found = await Wal.open({ dir: '/a/b/c', fs: fs.crash({ next: () => 0 }) });
    expect(await texts(found)).toEqual(['kept']);
    fs.openSync('/file', 'create');
    await expect(Wal.open({ dir: '/file', fs })).rejects.toMatchObject({ code: 'WAL_NOT_A_LOG' });
  });
});

test('records, bytes, syncs and segments are measured', async () => {
  const meter = new RecordingMeter();
  const fs = new MemoryFileSystem();
  const wal = await openMemory(fs, { meter });
  for (const text of sequence(200)) await wal.append(bytes(text));
  expect(meter.value('wal_records_total')).toBe(200);
  expect(meter.value('wal_bytes_total')).toBe(wal.stats().bytes - 64 * wal.stats().segments);
  expect(meter.count('wal_fsync_duration_seconds')).toBe(200);
  expect(meter.value('wal_segments')).toBe(wal.stats().segments);
  expect(meter.events.filter(({ type }) => type === 'wal.segment_rotated').length).toBe(wal.stats().segments);
  expect(meter.events[0]).toMatchObject({ type: 'wal.recovered', records: 0, bytesCut: 0 });
  await wal.close();
});
