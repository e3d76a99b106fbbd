import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { VirtualClock } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { Deferred } from '../src/write-group.js';
import { bytes, openMemory, texts } from './helpers.js';

describe('a full disk', () => {
  test('fails the appends that do not fit, keeps the log readable, and is over when there is space again', async () => {
    const fs = new MemoryFileSystem({ capacityBytes: 12 * 4096 });
    const wal = await openMemory(fs, { segmentBytesMax: 16_384 });
    const kept: string[] = [];
    let failures = 0;
    for (let index = 0; index < 40; index++) {
      const text = `record ${index} `.padEnd(2000, '.');
      await wal.append(bytes(text)).then(
        () => kept.push(text),
        (error: unknown) => {
          failures += 1;
          expect(error).toMatchObject({ code: 'WAL_NO_SPACE' });
        },
      );
    }
    expect(failures).toBeGreaterThan(5);
    expect(await texts(wal)).toEqual(kept);
    fs.capacityBytes = Number.POSITIVE_INFINITY;
    await wal.append(bytes('space again'));
    kept.push('space again');
    expect(await texts(wal)).toEqual(kept);
    await wal.close();
    const again = await openMemory(fs.crash({ next: () => 0 }));
    expect(again.recovery.cut).toBeUndefined();
    expect(await texts(again)).toEqual(kept);
  });

  test('that stops a write half-way leaves nothing of it', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    await wal.append(bytes('before'));
    for (const writtenFraction of [0, 0.3, 0.99]) {
      fs.inject({ on: 'write', code: 'IO_NO_SPACE', writtenFraction });
      const results = await Promise.allSettled([
        wal.append(bytes('lost')),
        wal.appendBatch([bytes('lost'), bytes('too')]),
      ]);
      for (const result of results) expect(result).toMatchObject({ reason: { code: 'WAL_NO_SPACE' } });
      expect(wal.stats().synced).toBe(wal.end);
    }
    await wal.append(bytes('after'));
    expect(await texts(wal)).toEqual(['before', 'after']);
    expect(await texts(await openMemory(fs.kill()))).toEqual(['before', 'after']);
    await wal.close();
  });

  test('that stops a write half-way leaves nothing behind what is written in its place', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    fs.inject({ on: 'write', after: 1, code: 'IO_NO_SPACE', writtenFraction: 0.99 });
    const lost = ['lost 1', 'lost 2', 'lost 3'].map((text) => wal.append(bytes(text)));
    for (const result of await Promise.allSettled(lost)) expect(result.status).toBe('rejected');
    await wal.append(bytes('kept 1'));
    for (const found of [fs.kill(), fs.crash({ next: () => 0 }), fs.crash({ next: () => 0.99 })]) {
      const again = await openMemory(found);
      expect(again.recovery.cut).toBeUndefined();
      expect(await texts(again)).toEqual(['kept 1']);
    }
    await wal.close();
  });

  test('does not keep what was only written from being synced', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    await wal.append(bytes('written'), { durability: 'os' });
    fs.inject({ on: 'write', code: 'IO_NO_SPACE' });
    const failing = wal.append(bytes('lost'));
    const synced = wal.sync();
    await expect(failing).rejects.toMatchObject({ code: 'WAL_NO_SPACE' });
    await synced;
    expect(await texts(await openMemory(fs.crash({ next: () => 0 })))).toEqual(['written']);
    await wal.close();
  });

  test('when a segment is begun fails that group only', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    await wal.append(new Uint8Array(4000));
    for (const on of ['create', 'write'] as const) {
      fs.inject({ on, path: '2.wal', code: 'IO_NO_SPACE', writtenFraction: 0.5, times: 2 });
      await expect(wal.append(new Uint8Array(4000))).rejects.toMatchObject({ code: 'WAL_NO_SPACE' });
      expect(wal.stats().segments).toBe(1);
    }
    fs.inject({ on: 'create', code: 'IO_TOO_MANY_FILES' });
    await expect(wal.append(new Uint8Array(4000))).rejects.toMatchObject({ code: 'WAL_IO_FAILED' });
    const results = await Promise.all([wal.append(new Uint8Array(4000)), wal.append(new Uint8Array(3000))]);
    expect(results.length).toBe(2);
    expect(wal.stats().segments).toBe(3);
    await wal.close();
    const again = await openMemory(fs);
    expect(again.recovery.records).toBe(3);
    await again.close();
  });

  test('does not keep a log from being opened and read', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    await wal.append(bytes('here'));
    const full = fs.kill();
    full.capacityBytes = 4096;
    const again = await openMemory(full);
    expect(await texts(again)).toEqual(['here']);
    await expect(again.append(bytes('no'))).rejects.toMatchObject({ code: 'WAL_NO_SPACE' });
    await again.close();
  });
});

describe('a failed sync', () => {
  test('fails everything that is not acknowledged and everything after, and says why', async () => {
    const fs = new MemoryFileSystem();
    const meter = new RecordingMeter();
    const wal = await openMemory(fs, { meter, stagingBytesMax: 300 });
    await wal.append(bytes('before'));
    fs.inject({ on: 'datasync' });
    const osAppend = wal.append(bytes('written'), { durability: 'os' });
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => wal.append(new Uint8Array(100))));
    for (const result of results) expect(result).toMatchObject({ reason: { code: 'WAL_POISONED' } });
    await osAppend;
    await expect(wal.append(bytes('after'))).rejects.toMatchObject({ code: 'WAL_POISONED', message: /injected/ });
    await expect(wal.appendBatch([bytes('after')])).rejects.toMatchObject({ code: 'WAL_POISONED' });
    await expect(wal.sync()).rejects.toMatchObject({ code: 'WAL_POISONED' });
    expect(wal.stats().poisoned).toBe(true);
    expect(meter.events.filter(({ type }) => type === 'wal.poisoned').length).toBe(1);
    expect(await texts(wal)).toEqual(['before']);
    await wal.close();
    expect(await texts(await openMemory(fs))).toContain('before');
  });

  test('of a new segment, or of the directory, poisons as well', async () => {
    for (const rule of [{ on: 'datasync', path: '2.wal' }, { on: 'sync-dir' }] as const) {
      const fs = new MemoryFileSystem();
      const wal = await openMemory(fs);
      await wal.append(new Uint8Array(4000));
      fs.inject(rule);
      await expect(wal.append(new Uint8Array(4000))).rejects.toMatchObject({ code: 'WAL_POISONED' });
      await wal.close();
      const again = await openMemory(fs);
      expect(again.recovery.records).toBe(1);
      await again.close();
    }
  });

  test('beside writes fails what waits for a sync of its own, and everything after', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { syncBehindBytes: 1 });
    await wal.append(bytes('before'));
    const began = new Deferred<void>();
    const held = new Deferred<void>();
    let dataSyncs = 0;
    fs.onOperation = ({ kind }) => {
      if (kind !== 'datasync') return undefined;
      dataSyncs += 1;
      began.resolve();
      return held.promise;
    };
    await wal.append(bytes('written'), { durability: 'os' });
    await began.promise;
    // Written while that sync goes on. The kernel tells of a lost page once: a sync of its own might be told that all is well.
    const own = wal.append(bytes('own'));
    await wal.append(bytes('also written'), { durability: 'os' });
    expect(dataSyncs).toBe(1);
    fs.inject({ on: 'datasync' });
    held.resolve();
    await expect(own).rejects.toMatchObject({ code: 'WAL_POISONED' });
    await expect(wal.append(bytes('after'), { durability: 'os' })).rejects.toMatchObject({ code: 'WAL_POISONED' });
    expect(dataSyncs).toBe(1);
    await wal.close();
  });

  test('in the background poisons the log', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { fsync: 'os', syncIntervalMs: 1 });
    fs.inject({ on: 'datasync', after: 1 });
    await wal.append(bytes('x'));
    await wal.sync().catch(() => undefined);
    await expect(wal.append(bytes('y'))).rejects.toMatchObject({ code: 'WAL_POISONED' });
    await wal.close();
  });
});

test('a write that fails otherwise poisons, and a read that fails is reported', async () => {
  const fs = new MemoryFileSystem();
  const wal = await openMemory(fs);
  await wal.append(bytes('before'));
  fs.inject({ on: 'read' });
  await expect(texts(wal)).rejects.toMatchObject({ code: 'WAL_IO_FAILED' });
  fs.inject({ on: 'write', writtenFraction: 0.5 });
  await expect(wal.append(bytes('lost'))).rejects.toMatchObject({ code: 'WAL_POISONED' });
  expect(await texts(wal)).toEqual(['before']);
  await wal.close();
  expect(await texts(await openMemory(fs))).toEqual(['before']);
});

test('a slow disk is reported: data syncs beyond slowSyncMs become events', async () => {
  const fs = new MemoryFileSystem();
  const meter = new RecordingMeter();
  const clock = new VirtualClock();
  const wal = await openMemory(fs, { meter, clock, fsync: 'always', slowSyncMs: 250 });
  const slow = () => meter.events.filter(({ type }) => type === 'wal.slow_sync');
  await wal.append(bytes('fast'));
  expect(slow()).toEqual([]);
  fs.onOperation = ({ kind }) => (kind === 'datasync' ? clock.advanceAsync(300) : undefined);
  await wal.append(bytes('slow'));
  fs.onOperation = undefined;
  expect(slow()).toMatchObject([{ durationMs: 300 }]);
  expect(meter.count('wal_fsync_duration_seconds')).toBe(2);
  await wal.close();
});

test('the name of a new segment that was not synced is lost with a crash, and nothing acknowledged with it', async () => {
  const fs = new MemoryFileSystem();
  const wal = await openMemory(fs);
  await wal.append(new Uint8Array(4000));
  const disks: MemoryFileSystem[] = [];
  fs.onOperation = ({ kind }) => {
    if (kind === 'sync-dir') disks.push(fs.crash({ next: () => 0 }));
  };
  await wal.append(new Uint8Array(4000));
  fs.onOperation = undefined;
  expect(disks.length).toBe(1);
  const before = await openMemory(disks[0]);
  expect(before.recovery).toMatchObject({ segments: 1, records: 1 });
  await before.close();
  const after = await openMemory(fs.crash({ next: () => 0 }));
  expect(after.recovery).toMatchObject({ segments: 2, records: 2 });
  await after.close();
  await wal.close();
});

test('segments that cannot be removed are reported, and removed the next time', async () => {
  const fs = new MemoryFileSystem();
  const wal = await openMemory(fs);
  for (let index = 0; index < 4; index++) await wal.append(new Uint8Array(4000));
  fs.inject({ on: 'unlink' });
  await expect(wal.truncateBefore(wal.end)).rejects.toMatchObject({ code: 'WAL_IO_FAILED' });
  await wal.truncateBefore(wal.end);
  expect(wal.stats().segments).toBe(1);
  await wal.close();
});
