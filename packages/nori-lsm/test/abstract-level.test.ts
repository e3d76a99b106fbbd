// NoriLevel: abstract-level's own suite in a process of its own, and what that does not look at.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EntryStream, KeyStream } from 'level-read-stream';
import { systemClock } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { NoriLevel, type NoriLevelOptions } from '../src/abstract-level.js';
import { Lsm, LsmError } from '../src/index.js';

const run = promisify(execFile);
const dirs: string[] = [];

const directory = async (): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-level-'));
  dirs.push(dir);
  return join(dir, 'db');
};

const open = async <K = string, V = string>(options?: NoriLevelOptions<K, V>): Promise<NoriLevel<K, V>> => {
  const db = new NoriLevel<K, V>(await directory(), options);
  await db.open();
  return db;
};

afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});

test('the suite of abstract-level passes whole', { timeout: 120_000 }, async () => {
  const { stdout } = await run(process.execPath, [fileURLToPath(new URL('./level-suite.mjs', import.meta.url))], {
    maxBuffer: 64 * 1024 * 1024,
  });
  const count = (what: string): number => Number(new RegExp(`^# ${what} +(\\d+)`, 'm').exec(stdout)?.[1] ?? 0);
  expect(stdout).not.toMatch(/^not ok/m);
  expect({ failed: count('fail'), passed: count('pass') === count('tests') }).toEqual({ failed: 0, passed: true });
  // classic-level runs 5,168 of them.
  expect(count('tests')).toBeGreaterThan(5000);
});

describe('values and keys', () => {
  test('belong to the caller: changing them changes nothing in the store', async () => {
    const db = await open<Buffer, Buffer>({ keyEncoding: 'buffer', valueEncoding: 'buffer' });
    const key = Buffer.from('key');
    await db.put(key, Buffer.from('value'));
    const read = async (): Promise<Buffer[]> => [
      (await db.get(key))!,
      db.getSync(key)!,
      (await db.getMany([key]))[0]!,
      ...(await db.iterator().all()).flat(),
      ...(await db.keys().all()),
      ...(await db.values().all()),
    ];
    for (const where of ['memtable', 'table'] as const) {
      if (where === 'table') await db.lsm.flush();
      const before = (await read()).map(String);
      for (const bytes of await read()) bytes.fill(0);
      expect((await read()).map(String)).toEqual(before);
      expect(before.filter((text) => text === 'value').length).toBe(5);
    }
    await db.close();
  });

  test('come in the encodings asked for, whatever they were written in', async () => {
    const db = await open();
    await db.put('ключ', 'значение');
    expect(await db.get(Buffer.from('ключ'), { keyEncoding: 'buffer' })).toBe('значение');
    expect(await db.get<string, Uint8Array>('ключ', { valueEncoding: 'view' })).toEqual(
      new Uint8Array(Buffer.from('значение')),
    );
    await db.put<string, object>('json', { a: [1] }, { valueEncoding: 'json' });
    expect(db.getSync<string, object>('json', { valueEncoding: 'json' })).toEqual({ a: [1] });
    await db.close();
  });

  test('may live for a time only', async () => {
    let aheadMs = 0;
    const clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
    const db = await open({ clock });
    await db.put('short', '1', { ttlMs: 1000 });
    await db.batch([{ type: 'put', key: 'shorter', value: '2', ttlMs: 500 }]);
    expect(await db.keys().all()).toEqual(['short', 'shorter']);
    aheadMs = 600;
    expect(await db.keys().all()).toEqual(['short']);
    aheadMs = 1200;
    expect(await db.get('short')).toBeUndefined();
    await db.close();
  });
});

describe('iterators', () => {
  const filled = async (): Promise<NoriLevel> => {
    const db = await open({ durability: 'os' });
    await db.batch([...'abcdefgh'].map((key) => ({ type: 'put' as const, key, value: key.toUpperCase() })));
    return db;
  };

  test('see the database as it was when they were made, or as a snapshot has it', async () => {
    const db = await filled();
    const snapshot = db.snapshot();
    const iterator = db.keys({ gte: 'f' });
    await db.del('g');
    await db.put('i', 'I');
    expect(await iterator.all()).toEqual(['f', 'g', 'h']);
    expect(await db.keys({ gte: 'f' }).all()).toEqual(['f', 'h', 'i']);
    expect(await db.keys({ gte: 'f', snapshot }).all()).toEqual(['f', 'g', 'h']);
    expect(await db.get('g', { snapshot })).toBe('G');
    expect(await db.has('i', { snapshot })).toBe(false);
    await db.clear({ snapshot, gte: 'f' });
    expect(await db.keys().all()).toEqual(['a', 'b', 'c', 'd', 'e', 'i']);
    await snapshot.close();
    await db.close();
  });

  test('take bounds, a direction and a limit, and no other way to choose: what nori-lsm knows beyond that is no option of theirs', async () => {
    const db = await filled();
    const sublevel = db.sublevel('x');
    await sublevel.batch([...'abc'].map((key) => ({ type: 'put' as const, key, value: key })));
    expect(await sublevel.keys({ prefix: 'a' } as object).all()).toEqual(['a', 'b', 'c']);
    await sublevel.clear({ prefix: 'a', gt: 'b' } as object);
    expect(await sublevel.keys().all()).toEqual(['a', 'b']);
    await db.iterator({ prefix: 5 } as object).close();
    await db.close();
  });

  test('of which the making fails keep no database from being closed', async () => {
    const db = await filled();
    await db.lsm.close();
    expect(() => db.iterator()).toThrow(expect.objectContaining({ code: 'LEVEL_DATABASE_NOT_OPEN' }));
    await db.close();
    await db.open();
    expect((await db.keys().all()).length).toBe(8);
    await db.close();
  });

  test('and hasMany keep a snapshot until they are done, though it is closed meanwhile', async () => {
    const db = await open({ durability: 'os', memtableBytes: 65_536, tableBytes: 65_536 });
    const keys = Array.from({ length: 60_000 }, (_, i) => `key${i}`);
    for (let from = 0; from < keys.length; from += 5000) {
      await db.batch(keys.slice(from, from + 5000).map((key) => ({ type: 'put' as const, key, value: 'v' })));
    }
    const snapshot = db.snapshot();
    for (let from = 0; from < keys.length; from += 5000) {
      await db.batch(keys.slice(from, from + 5000).map((key) => ({ type: 'del' as const, key })));
    }
    await db.lsm.flush();
    // Asked over and over, so that some of it is under way while the compaction, which begins after the close, takes what was deleted.
    const found = db.hasMany([...keys, ...keys, ...keys, ...keys], { snapshot });
    const closed = snapshot.close();
    await db.compactRange('', '');
    expect((await found).filter((isThere) => isThere).length).toBe(4 * keys.length);
    await closed;
    await db.close();
  });

  test('seek within their range, and end outside of it', async () => {
    const db = await filled();
    const up = db.keys({ gt: 'b', lte: 'g' });
    up.seek('e');
    expect(await up.nextv(2)).toEqual(['e', 'f']);
    for (const outside of ['b', 'h']) {
      up.seek(outside);
      expect(await up.next()).toBeUndefined();
    }
    up.seek('c');
    expect(await up.next()).toBe('c');
    await up.close();
    const down = db.keys({ reverse: true, lt: 'g' });
    down.seek('dd');
    expect(await down.nextv(2)).toEqual(['d', 'c']);
    await down.close();
    await db.close();
  });

  test('stop in the middle of a long read when they are aborted', async () => {
    const db = await open({ durability: 'os' });
    for (let from = 0; from < 60_000; from += 1000) {
      await db.batch(
        Array.from({ length: 1000 }, (_, i) => ({ type: 'put' as const, key: String(from + i), value: 'v' })),
      );
    }
    const controller = new AbortController();
    const reading = db.iterator({ signal: controller.signal }).all();
    setTimeout(() => controller.abort(), 1);
    await expect(reading).rejects.toMatchObject({ name: 'AbortError', code: 'LEVEL_ABORTED' });
    await db.close();
  });
});

describe('errors', () => {
  test('have the codes of the family, and the error of the store as cause', async () => {
    const db = await open();
    await expect(new NoriLevel(db.location).open()).rejects.toMatchObject({
      code: 'LEVEL_DATABASE_NOT_OPEN',
      cause: { code: 'LEVEL_LOCKED', cause: { code: 'LSM_LOCKED' } },
    });
    await db.close();
    await expect(new NoriLevel(db.location, { errorIfExists: true }).open()).rejects.toMatchObject({
      code: 'LEVEL_DATABASE_NOT_OPEN',
      cause: { code: 'LSM_EXISTS' },
    });
    await expect(new NoriLevel(await directory(), { createIfMissing: false }).open()).rejects.toMatchObject({
      cause: { code: 'LSM_NOT_FOUND' },
    });
    expect(() => db.lsm).toThrow(expect.objectContaining({ code: 'LEVEL_DATABASE_NOT_OPEN' }));
    expect(() => new NoriLevel('')).toThrow(TypeError);
  });

  test('refuse keys and values that are too large, and nothing is written', async () => {
    const db = await open();
    await expect(db.put('k'.repeat(70_000), '')).rejects.toMatchObject({ code: 'LSM_KEY_TOO_LARGE' });
    await expect(db.put('k', null as never)).rejects.toMatchObject({ code: 'LEVEL_INVALID_VALUE' });
    await expect(db.get(undefined as never)).rejects.toMatchObject({ code: 'LEVEL_INVALID_KEY' });
    expect(await db.keys().all()).toEqual([]);
    await db.close();
  });
});

test('everything is there after closing and opening again; compaction goes through the same door', async () => {
  const db = await open();
  await db.put('a', '1', { sync: true });
  await db.sublevel('users').put('b', '2');
  await db.compactRange('a', 'z');
  expect(db.lsm.stats().tableBytes).toBeGreaterThan(0);
  await db.close();
  await db.open();
  expect(await db.get('a')).toBe('1');
  expect(await db.sublevel('users').get('b')).toBe('2');
  await db.close();
});

test('compression may be told as classic-level is told: whether, not how', async () => {
  for (const [compression, smaller] of [
    [false, false],
    [true, true],
    ['deflate', true],
  ] as const) {
    const db = await open({ compression });
    await db.put('a', 'x'.repeat(20_000));
    await db.lsm.flush();
    expect(db.lsm.stats().tableBytes < 10_000).toBe(smaller);
    await db.close();
    await db.open({ compression: false });
    expect(await db.get('a')).toBe('x'.repeat(20_000));
    await db.close();
  }
});

test('a database of which the closing fails tells so once, and is closed', async () => {
  const fs = new MemoryFileSystem();
  const db = new NoriLevel('/level', { fs });
  await db.put('a', '1');
  const { lsm } = db;
  const failing = vi.spyOn(lsm, 'close').mockImplementationOnce(async () => {
    await Lsm.prototype.close.call(lsm);
    throw new LsmError('LSM_IO_FAILED', 'the disk is gone');
  });
  await expect(db.close()).rejects.toMatchObject({ cause: { code: 'LEVEL_IO_ERROR' } });
  expect(failing).toHaveBeenCalledTimes(1);
  await db.close();
  await db.open();
  expect(await db.get('a')).toBe('1');
  await db.close();
});

test('level-read-stream, which knows abstract-level only, reads it', async () => {
  const db = await open({ durability: 'os' });
  await db.batch(
    Array.from({ length: 2500 }, (_, i) => ({ type: 'put' as const, key: `${i + 10_000}`, value: `v${i}` })),
  );
  const entries: { key: string; value: string }[] = [];
  for await (const entry of new EntryStream(db, { gte: '11000', limit: 1200 })) {
    entries.push(entry as { key: string; value: string });
  }
  expect(entries.length).toBe(1200);
  expect(entries[0]).toEqual({ key: '11000', value: 'v1000' });
  const keys: string[] = [];
  for await (const key of new KeyStream(db, { reverse: true, limit: 3 })) keys.push(key as string);
  expect(keys).toEqual(['12499', '12498', '12497']);
  await db.close();
});
