import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { ArenaPool } from '../src/arena-pool.js';
import { inlineExecutor, Lsm, WriteBatch } from '../src/index.js';
import { utf8 } from './support.js';

const KIB = 1024;
const MIB = 1024 * KIB;

test('memory grows in two steps, of which none copies more than a mebibyte', () => {
  const pool = new ArenaPool(32 * MIB, 2);
  expect(pool.take(100).byteLength).toBe(64 * KIB);
  expect(pool.grow(64 * KIB, 65 * KIB).byteLength).toBe(MIB);
  expect(pool.grow(MIB, MIB + 1).byteLength).toBe(32 * MIB);
  expect(pool.take(100 * KIB).byteLength).toBe(MIB);
  expect(pool.grow(64 * KIB, 2 * MIB).byteLength).toBe(32 * MIB);
});

test('what is needed beyond the full size is given, and nothing is larger without need', () => {
  const pool = new ArenaPool(2048, 2);
  expect(pool.take(100).byteLength).toBe(2048);
  expect(pool.grow(2048, 5000).byteLength).toBe(8192);
});

test('memory of full size is used again, other memory is not kept', () => {
  const pool = new ArenaPool(2 * MIB, 1);
  const full = new SharedArrayBuffer(2 * MIB);
  pool.give(full);
  pool.give(new SharedArrayBuffer(2 * MIB));
  pool.give(new SharedArrayBuffer(MIB));
  expect(pool.take(3 * MIB)).not.toBe(full);
  expect(pool.take(100)).toBe(full);
  expect(pool.take(100).byteLength).toBe(64 * KIB);
});

test('the executor is told once of a flush to come, when the memtable has grown, and not within the write', async () => {
  const fs = new MemoryFileSystem();
  let prepared = 0;
  const executor = { ...inlineExecutor(fs), prepare: () => void prepared++ };
  const db = await Lsm.open({ dir: '/db', fs, wal: false, executor });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  db.apply(new WriteBatch().put(utf8('small'), new Uint8Array(100)));
  await turn();
  expect(prepared).toBe(0);
  for (const key of ['a', 'b']) {
    db.apply(new WriteBatch().put(utf8(key), new Uint8Array(2 * MIB)));
    expect(prepared).toBe(key === 'a' ? 0 : 1);
    await turn();
    await turn();
    expect(prepared).toBe(1);
  }
  await db.close();
});
