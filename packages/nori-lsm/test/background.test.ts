// Trouble in the background: full disks, failing writes, damaged tables.
import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { expect, test } from 'vitest';
import { inlineExecutor, Lsm, LsmError, type TaskExecutor, tableName, WriteBatch } from '../src/index.js';
import { JumpingClock, text, utf8 } from './support.js';

const DIR = '/db';
const wait = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await wait();
};

/** Calls until the call succeeds. */
const untilDone = async (call: () => Promise<void>): Promise<void> => {
  let isDone = false;
  while (!isDone) {
    isDone = await call().then(
      () => true,
      () => false,
    );
    await wait();
  }
};

test('with a full disk writes fail, reads go on, and writes resume when there is space again', async () => {
  const fs = new MemoryFileSystem({ capacityBytes: 400_000 });
  const db = await Lsm.open({ dir: DIR, fs, memtableBytes: 16_384, walSegmentBytesMax: 16_384 });
  let written = 0;
  let refused: unknown;
  for (; refused === undefined && written < 5000; written++) {
    await db.put(`key${String(written).padStart(6, '0')}`, 'x'.repeat(300)).catch((error: unknown) => {
      refused = error;
    });
  }
  expect(refused).toMatchObject({ name: 'LsmError', code: 'LSM_NO_SPACE' });
  written--;
  for (let i = 0; i < written; i++) {
    expect(text(db.getSync(`key${String(i).padStart(6, '0')}`))?.length).toBe(300);
  }
  fs.capacityBytes = 10_000_000;
  let isBack = false;
  while (!isBack) {
    isBack = await db.put('after', 'wards').then(
      () => true,
      () => false,
    );
    await wait();
  }
  await db.flush();
  expect(db.stats().backgroundError).toBeUndefined();
  expect(Array.from(db.scanSync()).length).toBe(written + 1);
  await db.close();
  const again = await Lsm.open({ dir: DIR, fs: fs.kill() });
  expect(Array.from(again.scanSync()).length).toBe(written + 1);
  await again.close();
});

test('without a log, a full disk stalls writers with LSM_NO_SPACE and lets them on again', async () => {
  const fs = new MemoryFileSystem({ capacityBytes: 20_000 });
  const db = await Lsm.open({ dir: DIR, fs, memtableBytes: 4096, wal: false });
  const batch = new WriteBatch();
  for (let i = 0; !db.stalled || db.backgroundError === undefined; i++) {
    batch.clear();
    batch.put(utf8(`key${i}`), new Uint8Array(500));
    db.apply(batch);
    await wait();
  }
  await expect(db.whenWritable()).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  expect(db.getEntry(utf8('key0'))?.value.length).toBe(500);
  fs.capacityBytes = 1_000_000;
  await until(() => !db.stalled);
  await db.whenWritable();
  await db.flush();
  await db.close();
});

test('passing I/O errors of flushes and compactions are retried until they pass', async () => {
  for (const on of ['create', 'write', 'datasync', 'sync-dir', 'rename'] as const) {
    const fs = new MemoryFileSystem();
    const db = await Lsm.open({ dir: DIR, fs, memtableBytes: 2048, l0Trigger: 2, l0Stop: 4, wal: false });
    fs.inject({ on, after: 1, times: 3 });
    const batch = new WriteBatch();
    for (let i = 0; i < 400; i++) {
      batch.clear();
      batch.put(utf8(`key${i % 100}`), utf8(`value${i}`));
      while (db.stalled) await db.whenWritable().catch(wait);
      db.apply(batch);
    }
    await untilDone(() => db.flush());
    await untilDone(() => db.compact());
    for (let i = 0; i < 100; i++) expect(text(db.getSync(`key${i}`))).toBe(`value${300 + i}`);
    expect(db.stats().backgroundError).toBeUndefined();
    await db.close();
    const again = await Lsm.open({ dir: DIR, fs, wal: false });
    expect(Array.from(again.scanSync()).length).toBe(100);
    await again.close();
  }
});

for (const path of ['.sst', 'MANIFEST']) {
  test(`with a full disk (${path}) flush and compact fail at once, and succeed when there is space again`, async () => {
    const fs = new MemoryFileSystem();
    const marks: number[] = [];
    const collectMarks = () => [[1, Uint8Array.of(marks.length)] as const];
    const onDurable = (number: number): void => {
      marks.push(number);
    };
    const db = await Lsm.open({ dir: DIR, fs, wal: false, collectMarks, onDurable });
    await db.put('a', 'v');
    const fault = fs.inject({ on: 'write', path, code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
    // Each waits for one try, which is made at once whatever the delay until the next would be.
    for (let i = 0; i < 20; i++) {
      await expect(db.flush()).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
      await expect(db.compact()).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
    }
    expect(db.stats().sealedMemtables).toBe(1);
    expect(db.sealSequence).toBe(2);
    expect((await fs.readdir(DIR)).filter((name) => name.startsWith('MANIFEST')).length).toBeLessThanOrEqual(2);
    expect(text(db.getSync('a'))).toBe('v');
    expect(marks).toEqual([]);
    fault.remove();
    await db.flush();
    await db.compact();
    expect(db.backgroundError).toBeUndefined();
    expect(marks.slice(0, 1)).toEqual([1]);
    await db.close();
    const again = await Lsm.open({ dir: DIR, fs, wal: false });
    expect(text(again.getSync('a'))).toBe('v');
    await again.close();
  });
}

test('an executor that cannot prepare keeps no write from being done', async () => {
  const fs = new MemoryFileSystem();
  let prepared = 0;
  const executor: TaskExecutor = {
    ...inlineExecutor(fs),
    prepare: () => {
      prepared++;
      throw new Error('no threads here');
    },
  };
  const db = await Lsm.open({ dir: DIR, fs, executor });
  for (let i = 0; i < 30; i++) await db.put(`key${i}`, 'x'.repeat(10_000));
  await wait();
  expect(prepared).toBe(1);
  expect(text(db.getSync('key29'))?.length).toBe(10_000);
  await db.close();
});

test('with a full disk a database closes', async () => {
  for (const wal of [true, false]) {
    const fs = new MemoryFileSystem();
    const db = await Lsm.open({ dir: DIR, fs, wal });
    await db.put('a', 'v');
    fs.inject({ on: 'write', path: '.sst', code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
    const flushed = db.flush();
    await expect(flushed).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
    await db.close();
  }
});

test('a compaction that a full disk held up goes on by itself when its caller was told', async () => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, autoCompact: false });
  for (const value of ['1', '2']) {
    await db.put('a', value);
    await db.flush();
  }
  for (const path of ['.sst', 'MANIFEST']) {
    const fault = fs.inject({ on: 'write', path, code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
    await expect(db.compact()).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
    await expect(db.compact()).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
    fault.remove();
  }
  await until(() => db.stats().compactions === 1);
  await db.compact();
  expect((await db.verify()).entries).toBe(1);
  expect(db.backgroundError).toBeUndefined();
  await db.close();
  const again = await Lsm.open({ dir: DIR, fs });
  expect(text(again.getSync('a'))).toBe('2');
  await again.close();
});

test('an onDurable that throws is reported, and flushing goes on', async () => {
  const meter = new RecordingMeter();
  const durable: number[] = [];
  const onDurable = (number: number): void => {
    durable.push(number);
    throw new Error('not today');
  };
  const db = await Lsm.open({ dir: DIR, fs: new MemoryFileSystem(), meter, wal: false, onDurable });
  for (const key of ['a', 'b']) {
    await db.put(key, 'v');
    await db.flush();
  }
  expect(durable).toEqual([1, 2]);
  expect(db.backgroundError).toBeUndefined();
  const messages = meter.events.flatMap((event) => (event.type === 'lsm.background_error' ? [event.message] : []));
  expect(messages).toEqual(new Array(2).fill(expect.stringMatching(/onDurable.*not today/)));
  await db.close();
});

test('a collectMarks that throws fails the apply that needed a new memtable, and nothing of it is done', async () => {
  const fs = new MemoryFileSystem();
  let trouble: (() => Iterable<readonly [number, Uint8Array]>) | undefined;
  let applied = 0;
  const collectMarks = () => trouble?.() ?? [[1, Uint8Array.of(applied)] as const];
  const db = await Lsm.open({ dir: DIR, fs, memtableBytes: 1024, memtablesMax: 64, wal: false, collectMarks });
  const apply = (): void => {
    db.apply(
      new WriteBatch().put(utf8(`key${applied}`), new Uint8Array(100)).put(utf8('count'), Uint8Array.of(applied)),
    );
    applied++;
  };
  while (db.sealSequence === 1) apply();
  const bad = [
    () => {
      throw new Error('no marks');
    },
    () => [[1, Uint8Array.of(0)] as const, [-1, Uint8Array.of(0)] as const],
    () => [[1, undefined as never] as const],
  ];
  for (const each of bad) {
    trouble = each;
    const before = db.sealSequence;
    while (db.sealSequence === before) {
      try {
        apply();
      } catch (error) {
        expect(error).toMatchObject({ code: 'LSM_INTERNAL', message: expect.stringMatching(/collectMarks/) });
        break;
      }
    }
    expect(db.sealSequence).toBe(before);
    expect(db.getSync(`key${applied}`)).toBeUndefined();
    expect(db.getSync('count')).toEqual(Uint8Array.of(applied - 1));
    await expect(db.flush()).rejects.toMatchObject({ code: 'LSM_INTERNAL' });
    trouble = undefined;
    apply();
    expect(db.sealSequence).toBe(before + 1);
  }
  await db.flush();
  expect(db.durableMarks().get(1)).toEqual(Uint8Array.of(applied));
  expect(Array.from(db.scanSync()).length).toBe(applied + 1);
  await db.close();
});

/** A database with one table per ten keys or so, closed; damaged in the table that holds `key-050`. */
const damaged = async (): Promise<MemoryFileSystem> => {
  const fs = new MemoryFileSystem();
  const db = await Lsm.open({ dir: DIR, fs, tableBytes: 1024, blockBytes: 64, levelBytesBase: 1024 });
  for (const odd of [0, 1]) {
    for (let i = odd; i < 100; i += 2) await db.put(`key-${String(i).padStart(3, '0')}`, 'v'.repeat(100));
    await db.flush();
  }
  await db.compact();
  await db.close();
  await flipBack(fs, await damagedPath(fs));
  return fs;
};

/** The table that holds `key-050`. */
const damagedPath = async (fs: MemoryFileSystem): Promise<string> => {
  for (const name of await fs.readdir(DIR)) {
    const path = `${DIR}/${name}`;
    if (name.endsWith('.sst') && (await offsetOfKey(fs, path)) >= 0) return path;
  }
  throw new Error('no table holds key-050');
};

const offsetOfKey = async (fs: MemoryFileSystem, path: string): Promise<number> => {
  const file = await fs.open(path, 'read');
  const bytes = new Uint8Array(file.sizeSync());
  file.readSync(bytes, 0);
  await file.close();
  return Buffer.from(bytes).indexOf('key-050');
};

/** Flips a bit in a value of the block that holds `key-050`: once damages it, twice mends it. */
const flipBack = async (fs: MemoryFileSystem, path: string): Promise<void> => {
  const at = (await offsetOfKey(fs, path)) + 20;
  const file = await fs.open(path, 'write');
  const byte = new Uint8Array(1);
  file.readSync(byte, at);
  file.writeSync(Uint8Array.of(byte[0]! ^ 1), at);
  await file.close();
};

test('a damaged block fails the reads that touch it, with file and offset, and no others', async () => {
  const fs = await damaged();
  const db = await Lsm.open({ dir: DIR, fs });
  expect(text(db.getSync('key-000'))).toBe('v'.repeat(100));
  expect(text(db.getSync('key-099'))).toBe('v'.repeat(100));
  for (const read of [() => db.getSync('key-050'), () => Array.from(db.scanSync())]) {
    let error: unknown;
    try {
      read();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(LsmError);
    expect(error).toMatchObject({ code: 'LSM_CORRUPT_TABLE', file: expect.stringMatching(/\d+\.sst$/) });
    expect((error as LsmError).offset).toBeGreaterThanOrEqual(0);
  }
  await expect(db.get('key-050')).rejects.toMatchObject({ code: 'LSM_CORRUPT_TABLE' });
  const report = await db.verify();
  expect(report.problems.map(({ code }) => code)).toEqual(['LSM_CORRUPT_TABLE']);
  await db.close();
});

test('no flipped bit in a table gives a wrong value', async () => {
  const fs = await damaged();
  const names = (await fs.readdir(DIR)).filter((name) => name.endsWith('.sst'));
  const path = `${DIR}/${names[0]}`;
  const file = await fs.open(path, 'write');
  const size = file.sizeSync();
  for (let at = 0; at < size; at += 37) {
    const byte = new Uint8Array(1);
    file.readSync(byte, at);
    file.writeSync(new Uint8Array([byte[0]! ^ 0x10]), at);
    const db = await Lsm.open({ dir: DIR, fs });
    for (let i = 0; i < 50; i += 7) {
      try {
        expect(text(db.getSync(`key-${String(i).padStart(3, '0')}`))).toBe('v'.repeat(100));
      } catch (error) {
        expect(error).toMatchObject({ code: 'LSM_CORRUPT_TABLE', file: path });
      }
    }
    await db.close();
    file.writeSync(byte, at);
  }
  await file.close();
});

test('a damaged table is left alone and reported, the others are compacted, and once mended so is it', async () => {
  const fs = await damaged();
  const path = await damagedPath(fs);
  const clock = new JumpingClock();
  const meter = new RecordingMeter();
  const options = { memtableBytes: 5000, l0Trigger: 2, l0Stop: 3, levelBytesBase: 1024, tableBytes: 1024 };
  const db = await Lsm.open({ dir: DIR, fs, clock, meter, executor: inlineExecutor(fs), ...options });
  const rewrite = async (): Promise<void> => {
    for (let i = 0; i < 300; i++) {
      if (i % 100 > 40 && i % 100 < 60) continue;
      await db.put(`key-${String(i % 100).padStart(3, '0')}`, 'w'.repeat(100), { durability: 'os' });
    }
    await db.flush();
  };
  await rewrite();
  expect(db.stats().backgroundError).toMatchObject({ code: 'LSM_CORRUPT_TABLE', file: path });
  expect(meter.events.some(({ type }) => type === 'lsm.background_error')).toBe(true);
  expect(meter.value('lsm_compaction_failures_total')).toBeGreaterThan(0);
  await expect(db.compact()).rejects.toMatchObject({ code: 'LSM_CORRUPT_TABLE', file: path });
  const compactions = db.stats().compactions;
  await rewrite();
  expect(db.stats().compactions).toBeGreaterThan(compactions);
  expect(text(db.getSync('key-000'))).toBe('w'.repeat(100));
  await flipBack(fs, path);
  // The next try comes by itself, at the latest after the longest delay.
  for (let i = 0; i < 20 && db.backgroundError !== undefined; i++) {
    clock.jump(60_000);
    for (let turn = 0; turn < 200; turn++) await wait();
  }
  expect(db.backgroundError).toBeUndefined();
  await db.compact();
  expect(Array.from(db.scanSync()).length).toBe(100);
  expect((await db.verify()).problems).toEqual([]);
  await db.close();
});

test('a durableNowMs that throws is reported, and flushing and compacting go on without dropping', async () => {
  const fs = new MemoryFileSystem();
  const meter = new RecordingMeter();
  let trouble = true;
  const expiry = {
    readNowMs: () => 0,
    durableNowMs: () => {
      if (trouble) throw new Error('no time');
      return Number.MAX_SAFE_INTEGER;
    },
  };
  const db = await Lsm.open({ dir: DIR, fs, meter, expiry });
  await db.put('a', 'v', { ttlMs: 1 });
  await db.flush();
  await db.put('b', 'v');
  await db.compact();
  expect(db.backgroundError).toMatchObject({ code: 'LSM_INTERNAL', message: expect.stringMatching(/no time/) });
  expect(meter.value('lsm_expiry_failures_total')).toBeGreaterThan(1);
  expect(meter.events.filter(({ type }) => type === 'lsm.background_error').length).toBe(1);
  expect((await db.verify()).entries).toBe(2);
  trouble = false;
  await db.compact();
  expect(db.backgroundError).toBeUndefined();
  expect((await db.verify()).entries).toBe(1);
  await db.close();
});

test('a flush that fails for a reason that no retry helps against is tried again, later each time', async () => {
  const fs = new MemoryFileSystem();
  const clock = new JumpingClock();
  const inline = inlineExecutor(fs);
  let trouble = true;
  let tries = 0;
  const executor: TaskExecutor = {
    ...inline,
    run: (task) => {
      tries++;
      return trouble ? Promise.reject(new Error('not now')) : inline.run(task);
    },
  };
  const db = await Lsm.open({ dir: DIR, fs, clock, executor, wal: false });
  await db.put('a', 'v');
  await expect(db.flush()).rejects.toMatchObject({ code: 'LSM_INTERNAL' });
  expect(db.backgroundError).toMatchObject({ code: 'LSM_INTERNAL' });
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await wait();
  };
  for (let i = 0; i < 30; i++) {
    clock.jump(1_000);
    await turns();
  }
  // At once, after 1, 3, 7 and 15 seconds, each wait a little longer than a whole number of them.
  expect(tries).toBeGreaterThan(3);
  expect(tries).toBeLessThan(7);
  trouble = false;
  clock.jump(60_000);
  await until(() => db.backgroundError === undefined);
  await db.flush();
  expect(db.stats().flushes).toBe(1);
  await db.close();
});

test('a table that was damaged while it was written does not replace what it was made of', async () => {
  const fs = new MemoryFileSystem();
  const inline = inlineExecutor(fs);
  const executor: TaskExecutor = {
    ...inline,
    run: async (task) => {
      const result = await inline.run(task);
      if (task.kind === 'flush') return result;
      const file = await fs.open(`${DIR}/${tableName(result.tables[0]!.number)}`, 'write');
      await file.write([new Uint8Array(8)], file.sizeSync() - 8);
      await file.close();
      return result;
    },
  };
  const db = await Lsm.open({ dir: DIR, fs, executor, autoCompact: false });
  for (let i = 0; i < 3; i++) {
    await db.put(`key${i}`, 'value');
    await db.put('same', 'value');
    await db.flush();
  }
  await expect(db.compact()).rejects.toMatchObject({ code: 'LSM_CORRUPT_TABLE' });
  expect(Array.from(db.scanSync()).length).toBe(4);
  await db.close();
  const again = await Lsm.open({ dir: DIR, fs });
  expect(Array.from(again.scanSync()).length).toBe(4);
  await again.close();
});
