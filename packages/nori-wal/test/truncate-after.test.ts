import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import type { Wal } from 'nori-wal';
import { describe, expect, test } from 'vitest';
import { bytes, DIR, openMemory, readAll, segmentFiles, texts } from './helpers.js';

const sequence = (count: number) => Array.from({ length: count }, (_, index) => `record ${index}`);

/** A log of several segments; positions of its records. */
async function filled(fs = new MemoryFileSystem(), count = 300): Promise<{ wal: Wal; positions: number[] }> {
  const wal = await openMemory(fs);
  const positions = await Promise.all(sequence(count).map((text) => wal.append(bytes(text))));
  for (let index = 0; index < 3; index++) await wal.append(new Uint8Array(4000));
  expect(wal.stats().segments).toBeGreaterThan(3);
  return { wal, positions };
}

describe('truncateAfter', () => {
  test('drops every record from a position on, across segments, and the log goes on behind the cut', async () => {
    const fs = new MemoryFileSystem();
    const { wal, positions } = await filled(fs);
    const endBefore = wal.end;
    for (const kept of [250, 100, 99, 1, 0]) {
      await wal.truncateAfter(positions[kept]!);
      expect(await texts(wal)).toEqual(sequence(kept));
      const added = await wal.append(bytes('new'));
      expect(added).toBeGreaterThan(endBefore);
      expect(await texts(wal)).toEqual([...sequence(kept), 'new']);
      expect(await texts(wal, positions[kept]!)).toEqual(['new']);
      const again = await openMemory(fs.kill());
      expect(await texts(again)).toEqual([...sequence(kept), 'new']);
      expect(again.recovery.cut).toBeUndefined();
      expect(await texts(again, positions[kept]!)).toEqual(['new']);
      await again.close();
      await wal.truncateAfter(added);
    }
    await wal.close();
  });

  test('takes the next of a record, the end, and the beginning', async () => {
    const { wal } = await filled();
    const nexts: number[] = [];
    for await (const { next } of wal.readFrom(0)) nexts.push(next);
    await wal.truncateAfter(wal.end);
    expect((await texts(wal)).length).toBe(303);
    for (const kept of [299, 150, 10]) {
      await wal.truncateAfter(nexts[kept - 1]!);
      expect(await texts(wal)).toEqual(sequence(kept));
    }
    await wal.truncateAfter(0);
    expect(await texts(wal)).toEqual([]);
    await wal.close();
    const empty = await openMemory();
    await empty.truncateAfter(0);
    expect(empty.stats().segments).toBe(0);
    await empty.close();
  });

  test('inside a batch keeps the records before the position', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    const batch = await wal.appendBatch(sequence(5).map(bytes));
    await wal.truncateAfter(batch[3]!);
    await wal.append(bytes('new'));
    await wal.close();
    const again = await openMemory(fs);
    expect(again.recovery.records).toBe(4);
    expect(await texts(again)).toEqual([...sequence(3), 'new']);
    await again.close();
  });

  test('settles what was appended before the call, and lets what comes after go behind the cut', async () => {
    const { wal, positions } = await filled();
    const before = wal.append(bytes('dropped'), { durability: 'os' });
    const cut = wal.truncateAfter(positions[10]!);
    const after = [wal.append(bytes('one'), { durability: 'os' }), wal.append(bytes('two'))];
    const second = wal.truncateAfter(positions[5]!);
    const last = wal.append(bytes('three'), { durability: 'sync' });
    const synced = wal.sync();
    const order: string[] = [];
    const named: [string, Promise<unknown>][] = [
      ['before', before],
      ['cut', cut],
      ['one', after[0]!],
      ['two', after[1]!],
      ['second', second],
      ['last', last],
    ];
    await Promise.all(named.map(([name, done]) => done.then(() => order.push(name))));
    expect(order).toEqual(['before', 'cut', 'one', 'two', 'second', 'last']);
    await synced;
    const positionsSeen = [await before, await after[0]!, await after[1]!, await last];
    expect(positionsSeen).toEqual([...positionsSeen].sort((a, b) => a - b));
    expect(await texts(wal)).toEqual([...sequence(5), 'three']);
    await wal.close();
  });

  test('refuses positions where no record begins, and those that were dropped', async () => {
    const { wal, positions } = await filled();
    for (const wrong of [positions[7]! + 1, wal.end + 1, -1, Number.NaN]) {
      await expect(wal.truncateAfter(wrong)).rejects.toMatchObject({ code: 'WAL_INVALID_POSITION' });
    }
    await wal.truncateAfter(positions[7]!);
    await wal.append(bytes('new'));
    await expect(wal.truncateAfter(positions[8]!)).rejects.toMatchObject({ code: 'WAL_TRUNCATED' });
    await expect(texts(wal, positions[8]!)).rejects.toMatchObject({ code: 'WAL_TRUNCATED' });
    expect(await texts(wal)).toEqual([...sequence(7), 'new']);
    await wal.close();
    await expect(wal.truncateAfter(0)).rejects.toMatchObject({ code: 'WAL_CLOSED' });
  });

  test('works beside truncateBefore, and leaves no file of a dropped segment', async () => {
    const fs = new MemoryFileSystem();
    const meter = new RecordingMeter();
    const wal = await openMemory(fs, { meter });
    const positions: number[] = [];
    for (const text of sequence(500)) positions.push(await wal.append(bytes(text)));
    await Promise.all([
      wal.truncateBefore(positions[200]!),
      wal.truncateAfter(positions[400]!),
      wal.truncateBefore(positions[300]!),
    ]);
    const left = await texts(wal);
    expect(left).toEqual(sequence(400).slice(-left.length));
    expect(left.length).toBeLessThan(200);
    expect((await segmentFiles(fs)).length).toBe(wal.stats().segments);
    expect(meter.events.filter(({ type }) => type === 'wal.cut').length).toBe(1);
    await wal.truncateBefore(Number.MAX_SAFE_INTEGER);
    await wal.close();
    const again = await openMemory(fs);
    expect(await texts(again)).toEqual([]);
    await again.append(bytes('new'));
    expect(await texts(again)).toEqual(['new']);
    await again.close();
  });

  test('without space for it changes nothing, and poisons if a sync fails', async () => {
    for (const on of ['create', 'write'] as const) {
      const fs = new MemoryFileSystem();
      const { wal, positions } = await filled(fs);
      fs.inject({ on, path: '.spare', code: 'IO_NO_SPACE', times: 2 });
      await expect(wal.truncateAfter(positions[5]!)).rejects.toMatchObject({ code: 'WAL_NO_SPACE' });
      expect((await texts(wal)).length).toBe(303);
      await wal.append(bytes('goes on'));
      expect((await texts(await openMemory(fs.kill()))).length).toBe(304);
      await wal.truncateAfter(positions[5]!);
      expect(await texts(wal)).toEqual(sequence(5));
      await wal.close();
    }
    for (const on of ['datasync', 'rename', 'sync-dir'] as const) {
      const fs = new MemoryFileSystem();
      const { wal, positions } = await filled(fs);
      fs.inject({ on });
      await expect(wal.truncateAfter(positions[5]!)).rejects.toMatchObject({ code: 'WAL_POISONED' });
      await expect(wal.append(bytes('no'))).rejects.toMatchObject({ code: 'WAL_POISONED' });
      await expect(wal.truncateAfter(positions[4]!)).rejects.toMatchObject({ code: 'WAL_POISONED' });
      await wal.close();
      expect([5, 303]).toContain((await texts(await openMemory(fs))).length);
    }
  });

  test('is done although dropped files cannot be removed; they mean nothing and go later', async () => {
    const fs = new MemoryFileSystem();
    const { wal, positions } = await filled(fs);
    const files = (await segmentFiles(fs)).length;
    const fault = fs.inject({
      on: ['unlink', 'rename', 'truncate'],
      path: /00[2-9]\.(wal|spare)/,
      after: 1,
      times: 100,
    });
    await wal.truncateAfter(positions[5]!);
    await wal.append(bytes('new'));
    expect(await texts(wal)).toEqual([...sequence(5), 'new']);
    expect((await segmentFiles(fs)).length).toBeGreaterThan(files - 2);
    const again = await openMemory(fs.kill());
    expect(await texts(again)).toEqual([...sequence(5), 'new']);
    await again.close();
    await expect(wal.truncateBefore(0)).rejects.toMatchObject({ code: 'WAL_IO_FAILED' });
    fault.remove();
    await wal.truncateBefore(0);
    expect((await segmentFiles(fs)).length).toBe(2);
    await wal.close();
  });

  test('a segment that continues another than the one before it is told from one that is missing', async () => {
    const fs = new MemoryFileSystem();
    const { wal, positions } = await filled(fs);
    await wal.append(bytes('x'));
    await wal.truncateAfter(positions[299]!);
    await wal.append(bytes('y'));
    await wal.close();
    const files = await segmentFiles(fs);
    expect(readAll(fs, files.at(-1)!)[8]).toBe(2);
    await fs.unlink(files.at(-2)!);
    await expect(openMemory(fs)).rejects.toMatchObject({ code: 'WAL_MISSING_SEGMENT', file: files.at(-2) });
    expect(files[0]!.startsWith(DIR)).toBe(true);
  });
});
