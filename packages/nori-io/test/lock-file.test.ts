import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { nodeFileSystem } from 'nori-io';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

let dir: string;
let file: string;

beforeEach(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'nori-lock-'));
  file = path.join(dir, 'LOCK');
});
afterEach(() => fs.rm(dir, { recursive: true }));

/** The record this process writes, with some fields changed. */
async function record(changes: Record<string, unknown>): Promise<Record<string, unknown>> {
  const lock = await nodeFileSystem.lock(file);
  const own = JSON.parse(await fs.readFile(file, 'utf8'));
  await lock.release();
  return { ...own, nonce: '00ff', ...changes };
}

async function deadPid(): Promise<number> {
  const child = execFile(process.execPath, ['-e', '0']);
  await once(child, 'exit');
  return child.pid!;
}

describe('a lock left behind', () => {
  const dead: Record<string, () => Promise<Record<string, unknown>>> = {
    'by a process that is gone': async () => ({ pid: await deadPid() }),
    'before the last boot': async () => ({ bootId: 'another-boot' }),
    'by a process whose number was given to another': async () => ({ startTime: '1' }),
  };
  for (const [name, changes] of Object.entries(dead)) {
    test.runIf(os.platform() === 'linux')(`${name} is taken over, by one of many`, async () => {
      await fs.writeFile(file, JSON.stringify(await record(await changes())));
      const takers = await Promise.allSettled(Array.from({ length: 20 }, () => nodeFileSystem.lock(file)));
      const won = takers.filter((taker) => taker.status === 'fulfilled');
      expect(won.length).toBe(1);
      for (const taker of takers) {
        if (taker.status === 'rejected') expect(taker.reason).toMatchObject({ code: 'IO_LOCKED' });
      }
      expect(JSON.parse(await fs.readFile(file, 'utf8')).pid).toBe(process.pid);
      await won[0]!.value.release();
      expect(await fs.readdir(dir)).toEqual([]);
    });
  }

  test('by a taker that died half-way is taken over', async () => {
    const pid = await deadPid();
    await fs.writeFile(file, JSON.stringify(await record({ pid, nonce: 'aa' })));
    await fs.writeFile(`${file}.after-aa`, JSON.stringify({ pid, nonce: 'bb' }));
    const lock = await nodeFileSystem.lock(file);
    expect(await fs.readdir(dir)).toEqual(['LOCK']);
    await lock.release();
    expect(await fs.readdir(dir)).toEqual([]);
  });
});

describe('a lock held by a live process', () => {
  test('is refused with its name, and nothing on disk changes', async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
    try {
      await once(child, 'spawn');
      const text = JSON.stringify({ ...(await record({ pid: child.pid, startTime: '' })), command: 'the other one' });
      await fs.writeFile(file, text);
      await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({
        code: 'IO_LOCKED',
        holder: { pid: child.pid, command: 'the other one', hostname: os.hostname() },
        message: expect.stringContaining(String(child.pid)),
      });
      expect(await fs.readFile(file, 'utf8')).toBe(text);
      expect(await fs.readdir(dir)).toEqual(['LOCK']);
    } finally {
      child.kill();
      await once(child, 'exit');
    }
    await (await nodeFileSystem.lock(file)).release();
  });

  test('is not removed by a holder that lost it', async () => {
    const lock = await nodeFileSystem.lock(file);
    await fs.rm(file);
    const other = await nodeFileSystem.lock(file);
    await lock.release();
    expect(await fs.readdir(dir)).toEqual(['LOCK']);
    await other.release();
  });

  test('names when and by whom it was taken', async () => {
    const lock = await nodeFileSystem.lock(file);
    const held = JSON.parse(await fs.readFile(file, 'utf8'));
    expect(held).toMatchObject({ pid: process.pid, hostname: os.hostname() });
    expect(Math.abs(held.sinceMs - Date.now())).toBeLessThan(60_000);
    await lock.release();
  });
});

test('a file that is no lock file of ours is left alone', async () => {
  for (const text of ['', 'something', '{}', 'null', '{"pid":1}']) {
    await fs.writeFile(file, text);
    await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({ code: 'IO_LOCKED', path: file });
    expect(await fs.readFile(file, 'utf8')).toBe(text);
  }
});
