// Writes are inserted into the memtable while the log writes them. What the log then refuses must never have been seen, by
// any reader, nor come into a table; what it has not answered yet must not be seen either.
import { type File, type FileSystem, IoError } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { type BatchOperation, Lsm } from '../src/index.js';
import { hex, listCursor, Model, smallOptions, text, utf8, withSeed } from './support.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await turn();
};

/** Puts each write of the log through `answer` first: it may take its time, and throw. It is given what is written. */
const withLogAnswers = (fs: MemoryFileSystem, answer: (written: string) => Promise<void>): FileSystem => {
  const open = async (path: string, mode: 'read' | 'write' | 'create'): Promise<File> => {
    const file = await fs.open(path, mode);
    if (!path.includes('/wal/')) return file;
    const write = async (buffers: readonly Uint8Array[], position: number): Promise<void> => {
      await answer(Buffer.concat(buffers).toString('latin1'));
      await file.write(buffers, position);
    };
    return new Proxy(file, {
      get: (target, name) => {
        if (name === 'write') return write;
        const found = Reflect.get(target, name) as unknown;
        return typeof found === 'function' ? found.bind(target) : found;
      },
    });
  };
  return new Proxy(fs, {
    get: (target, name) => {
      if (name === 'open') return open;
      const found = Reflect.get(target, name) as unknown;
      return typeof found === 'function' ? found.bind(target) : found;
    },
  });
};

const noSpace = (): IoError => new IoError('IO_NO_SPACE', 'No space left.', { path: '/db/wal' });

/** A database whose log, while it is held, answers when told to for records with a key that contains `key-`. */
const openHeld = async () => {
  const memory = new MemoryFileSystem();
  const held: { resolve: () => void; reject: (error: Error) => void }[] = [];
  let isHolding = false;
  const fs = withLogAnswers(memory, (written) =>
    isHolding && written.includes('key-')
      ? new Promise((resolve, reject) => held.push({ resolve, reject }))
      : Promise.resolve(),
  );
  const db = await Lsm.open({ dir: '/db', fs });
  const hold = (holding: boolean): void => {
    isHolding = holding;
  };
  return { memory, db, held, hold };
};

test('what the log has not answered is seen by nobody, and by everybody at once when it has', async () => {
  const { db, held, hold } = await openHeld();
  await db.put('key-a', 'old');
  hold(true);
  const snapshot = db.snapshot();
  const write = db.batch([
    { type: 'put', key: 'key-a', value: 'new' },
    { type: 'put', key: 'key-b', value: 'new' },
  ]);
  await turns(5);
  expect(held.length).toBe(1);
  expect(db.stats().memtableEntries).toBe(3);
  const cursor = db.cursor();
  expect(text(db.getSync('key-a'))).toBe('old');
  expect(db.getSync('key-b')).toBeUndefined();
  expect((await db.getMany(['key-a', 'key-b'])).map(text)).toEqual(['old', undefined]);
  expect(Array.from(db.scanSync()).length).toBe(1);
  held[0]!.resolve();
  await write;
  expect(text(db.getSync('key-a'))).toBe('new');
  expect(text(db.getSync('key-b'))).toBe('new');
  expect(text(db.getSync('key-a', { snapshot }))).toBe('old');
  expect(listCursor(cursor)).toEqual([[hex(utf8('key-a')), hex(utf8('old'))]]);
  hold(false);
  await db.close();
});

test('what the log refuses is gone, though a flush and other writes come in between', async () => {
  const { memory, db, held, hold } = await openHeld();
  hold(true);
  const first = db.put('key-first', '1');
  await turns(3);
  const flushed = db.flush();
  const refused = db.put('key-refused', '2');
  held[0]!.resolve();
  await first;
  // The flush seals the memtable while the second write is in it.
  await turns(5);
  await expect(Promise.race([flushed, turns(1).then(() => 'waits')])).resolves.toBe('waits');
  const third = db.put('key-third', '3');
  await turns(3);
  held[1]!.reject(noSpace());
  await expect(refused).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  hold(false);
  for (let i = 2; i < held.length; i++) held[i]!.resolve();
  await third;
  await flushed;
  await db.flush();
  const keys = (): (string | undefined)[] => Array.from(db.scanSync(), ([key]) => text(key));
  expect(keys()).toEqual(['key-first', 'key-third']);
  await db.close();
  const again = await Lsm.open({ dir: '/db', fs: memory.kill() });
  expect(Array.from(again.scanSync(), ([key]) => text(key))).toEqual(['key-first', 'key-third']);
  await again.close();
});

test('writes that are refused again and again do not use up memory', async () => {
  const { db, held, hold } = await openHeld();
  hold(true);
  const value = new Uint8Array(900_000);
  for (let i = 0; i < 100; i++) {
    const write = db.put('key-big', value);
    while (held.length === 0) await turn();
    await turns(2);
    held.pop()!.reject(noSpace());
    await expect(write).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  }
  hold(false);
  expect(db.stats().memtableEntries).toBe(0);
  await db.put('key-big', value);
  expect(db.stats().memtableBytes).toBeLessThan(1024 * 1024);
  expect(Array.from(db.scanSync()).length).toBe(1);
  await db.close();
});

test('random writes, some refused, with flushes and readers: nobody ever sees a refused one', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const root = new Rng(seed);
    for (let run = 0; run < 8; run++) await randomRun(root.fork());
  });
});

const randomRun = async (rng: Rng): Promise<void> => {
  const memory = new MemoryFileSystem();
  const fs = withLogAnswers(memory, async (written) => {
    await turns(rng.int(4));
    if (written.includes('key-') && rng.chance(0.25)) throw noSpace();
  });
  const db = await Lsm.open({ dir: '/db', fs, ...smallOptions(rng) });
  const keys = Array.from({ length: 30 }, (_, i) => utf8(`key-${i}`));
  const model = new Model();
  const refused = new Set<string>();
  const seen = new Set<string>();
  const writes: Promise<void>[] = [];
  for (let number = 0; number < 400; number++) {
    const operations: BatchOperation[] = Array.from({ length: rng.range(1, 4) }, () => {
      const key = rng.pick(keys);
      return rng.chance(0.2)
        ? { type: 'delete', key }
        : { type: 'put', key, value: utf8(`${number}:${'x'.repeat(rng.int(60))}`) };
    });
    writes.push(
      db.batch(operations, { durability: rng.pick(['sync', 'batch', 'os']) }).then(
        () => {
          for (const operation of operations) {
            if (operation.type === 'put') model.put(operation.key as Uint8Array, operation.value as Uint8Array);
            else if (operation.type === 'delete') model.delete(operation.key as Uint8Array);
          }
        },
        () => void refused.add(String(number)),
      ),
    );
    if (rng.chance(0.3)) await turn();
    if (rng.chance(0.05)) await writes.at(-1);
    if (rng.chance(0.05)) void db.flush().catch(() => {});
    for (const [, value] of db.scanSync()) seen.add(text(value)!.split(':')[0]!);
  }
  await Promise.all(writes);
  expect(listCursor(db.cursor())).toEqual(model.list(0));
  expect([...seen].filter((number) => refused.has(number))).toEqual([]);
  expect(refused.size).toBeGreaterThan(0);
  await db.close();
  const again = await Lsm.open({ dir: '/db', fs: memory.kill() });
  expect(listCursor(again.cursor())).toEqual(model.list(0));
  await again.close();
};
