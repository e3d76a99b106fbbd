// The short ways of NoriLevel past abstract-level: who takes them can tell from nothing but the time.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { NoriLevel, type NoriLevelOptions } from '../src/abstract-level.js';

const dirs: string[] = [];

const open = async <K = string, V = string>(options?: NoriLevelOptions<K, V>): Promise<NoriLevel<K, V>> => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-level-'));
  dirs.push(dir);
  const db = new NoriLevel<K, V>(join(dir, 'db'), options);
  await db.open();
  return db;
};

const filled = async (entries: number): Promise<NoriLevel> => {
  const db = await open();
  await db.batch(Array.from({ length: entries }, (_, i) => ({ type: 'put', key: `k${100 + i}`, value: `${i}` })));
  return db;
};

const coded = (code: string): unknown => expect.objectContaining({ code });

afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});

describe('for await over an iterator', () => {
  test('counts, goes where it is sent, and shares its place with other calls', async () => {
    const db = await filled(9);
    const iterator = db.iterator();
    const seen: string[] = [];
    for await (const [key] of iterator) {
      seen.push(key);
      expect(iterator.count).toBe(seen.length);
      if (key === 'k101') iterator.seek('k104');
      if (key === 'k105') seen.push((await iterator.next())![0]);
      if (key === 'k107') seen.push(...(await iterator.nextv(1)).map(([each]) => each));
    }
    expect(seen).toEqual(['k100', 'k101', 'k104', 'k105', 'k106', 'k107', 'k108']);
    expect(iterator.count).toBe(7);
    await expect(iterator.next()).rejects.toEqual(coded('LEVEL_ITERATOR_NOT_OPEN'));
    await db.close();
  });

  test('is told when the iterator, or the database, is closed or busy meanwhile', async () => {
    const db = await filled(3000);
    const read = async (iterator: ReturnType<typeof db.iterator>, meanwhile: () => void): Promise<void> => {
      for await (const _ of iterator) meanwhile();
    };
    const closed = db.iterator();
    await expect(read(closed, () => void closed.close())).rejects.toEqual(coded('LEVEL_ITERATOR_NOT_OPEN'));
    const busy = db.iterator();
    let reading: Promise<unknown> = Promise.resolve();
    // So many that it takes several turns.
    const busied = read(busy, () => (reading = busy.nextv(3000)));
    await expect(Promise.all([busied, reading])).rejects.toEqual(coded('LEVEL_ITERATOR_BUSY'));
    await reading;
    let closing: Promise<void> | undefined;
    await expect(read(db.iterator(), () => (closing ??= db.close()))).rejects.toEqual(coded('LEVEL_ITERATOR_NOT_OPEN'));
    await closing;
  });

  test('gives what can be decoded, then fails', async () => {
    const db = await filled(2);
    await db.put('k102', 'no JSON');
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const [, value] of db.iterator<string, unknown>({ valueEncoding: 'json' })) seen.push(value);
    })();
    await expect(reading).rejects.toEqual(coded('LEVEL_DECODE_ERROR'));
    expect(seen).toEqual([0, 1]);
    await db.close();
  });

  test('gives others their turn', async () => {
    const db = await filled(20_000);
    let turns = 0;
    const count = (): void => {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    for await (const _ of db.iterator());
    clearImmediate(timer);
    expect(turns).toBeGreaterThan(0);
    await db.close();
  });
});

describe('writes', () => {
  test('tell listeners and hooks, from the moment on in which there are some', async () => {
    const db = await open();
    await db.put('before', '1');
    const told: string[] = [];
    const listener = (operations: { key: string }[]): void => void told.push(...operations.map(({ key }) => key));
    db.on('write', listener);
    await db.put('a', '1');
    await db.batch([{ type: 'put', key: 'b', value: '1' }]);
    db.off('write', listener);
    await db.put('after', '1');
    expect(told).toEqual(['a', 'b']);
    const index = (operation: { type: string; key: string }, batch: { add(added: object): unknown }): void => {
      if (operation.key === 'c') batch.add({ type: 'put', key: 'index of c', value: '1' });
    };
    db.hooks.prewrite.add(index);
    await db.put('c', '1');
    db.hooks.prewrite.delete(index);
    expect(await db.keys().all()).toEqual(['a', 'after', 'b', 'before', 'c', 'index of c']);
    await db.close();
  });

  test('are refused as abstract-level refuses them, whole', async () => {
    const db = await open();
    const none = undefined as unknown as string;
    await expect(db.put(none, 'value')).rejects.toEqual(coded('LEVEL_INVALID_KEY'));
    await expect(db.put('key', none)).rejects.toEqual(coded('LEVEL_INVALID_VALUE'));
    const put = { type: 'put', key: 'key', value: 'value' } as const;
    await expect(db.batch([put, { type: 'del', key: none }])).rejects.toEqual(coded('LEVEL_INVALID_KEY'));
    await expect(db.batch([put, { ...put, value: none }])).rejects.toEqual(coded('LEVEL_INVALID_VALUE'));
    await expect(db.batch([put, { type: 'other' as 'del', key: 'key' }])).rejects.toThrow(TypeError);
    await expect(db.get(none)).rejects.toEqual(coded('LEVEL_INVALID_KEY'));
    expect(await db.keys().all()).toEqual([]);
    await db.close();
    await expect(db.put('key', 'value')).rejects.toEqual(coded('LEVEL_DATABASE_NOT_OPEN'));
    await expect(db.batch([put])).rejects.toEqual(coded('LEVEL_DATABASE_NOT_OPEN'));
    await expect(db.get('key')).rejects.toEqual(coded('LEVEL_DATABASE_NOT_OPEN'));
  });

  test('keep to encodings, sublevels and times to live, given for all or for one', async () => {
    const db = await open<string, unknown>({ valueEncoding: 'json' });
    const sublevel = db.sublevel<string, string>('sub', {});
    await db.batch([
      { type: 'put', key: 'a', value: { own: 1 } },
      { type: 'put', key: 'b', value: 'text', valueEncoding: 'utf8' },
      { type: 'put', key: 'c', value: 'in', sublevel },
      { type: 'put', key: 'd', value: 1, ttlMs: 1 },
    ]);
    await db.batch([{ type: 'put', key: 'e', value: 'text' }], { valueEncoding: 'utf8' });
    await db.batch([{ type: 'put', key: 'f', value: 2 }], { ttlMs: 1 });
    await sublevel.put('g', 'in');
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await db.getMany(['a', 'c', 'd', 'f'])).toEqual([{ own: 1 }, undefined, undefined, undefined]);
    expect(await db.getMany(['b', 'e'], { valueEncoding: 'utf8' })).toEqual(['text', 'text']);
    expect(await sublevel.getMany(['c', 'g'])).toEqual(['in', 'in']);
    expect(await sublevel.get('c')).toBe('in');
    await db.close();
  });
});
