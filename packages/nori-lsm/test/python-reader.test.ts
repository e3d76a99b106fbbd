// A reader in another language, written from docs/formats alone, sees in golden databases what this version sees.
import { execFile, spawnSync } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Lsm } from '../src/index.js';
import { hex } from './support.js';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../../../examples/python/read_database.py', import.meta.url));
const golden = (name: string): string => fileURLToPath(new URL(`./golden/${name}`, import.meta.url));

const hasPython = spawnSync('python3', ['--version']).status === 0;

describe.skipIf(!hasPython)('the reader in Python', () => {
  for (const [name, wal] of [
    ['v1-own-log', true],
    ['v1-marks', false],
    ['v1-compressed', true],
    ['v1-keyspaces', true],
  ] as const) {
    test(`reads ${name} as nori-lsm does`, async () => {
      const work = await mkdtemp(join(tmpdir(), 'nori-lsm-python-'));
      await cp(golden(name), work, { recursive: true });
      const db = await Lsm.open({ dir: work, wal, createIfMissing: false });
      const expected = Array.from(db.scanSync(), ([key, value]) => `${hex(key)}\t${hex(value)}`);
      await db.close();
      const { stdout } = await run('python3', [script, golden(name)]);
      expect(stdout.split('\n').slice(0, -1)).toEqual(expected);
      await rm(work, { recursive: true });
    });
  }

  test('reads a keyspace by its name', async () => {
    const work = await mkdtemp(join(tmpdir(), 'nori-lsm-python-'));
    await cp(golden('v1-keyspaces'), work, { recursive: true });
    const db = await Lsm.open({ dir: work, createIfMissing: false });
    const entries = Array.from(db.keyspace('words').scanSync());
    const expected = entries.map(([key, value]) => `${hex(key)}\t${hex(value)}`);
    await db.close();
    const { stdout } = await run('python3', [script, golden('v1-keyspaces'), 'words']);
    expect(stdout.split('\n').slice(0, -1)).toEqual(expected);
    await rm(work, { recursive: true });
  });

  test('reads what this version writes: several levels, a large table, an open log', { timeout: 60_000 }, async () => {
    const work = await mkdtemp(join(tmpdir(), 'nori-lsm-python-'));
    const db = await Lsm.open({ dir: work, memtableBytes: 65_536, compression: 'lz4', blockBytes: 256 });
    for (let i = 0; i < 3000; i++) {
      await db.put(`key${(i * 7919) % 2000}`, `value ${i} `.repeat(5), { durability: 'os' });
      if (i % 5 === 0) await db.delete(`key${i % 100}`, { durability: 'os' });
    }
    await db.put('last', 'only in the log', { durability: 'sync' });
    const expected = Array.from(db.scanSync(), ([key, value]) => `${hex(key)}\t${hex(value)}`);
    await db.close();
    const { stdout } = await run('python3', [script, work]);
    expect(stdout.split('\n').slice(0, -1)).toEqual(expected);
    await rm(work, { recursive: true });
  });
});
