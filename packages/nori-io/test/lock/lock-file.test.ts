import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { nodeFileSystem } from 'nori-io';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

let dir: string;
let file: string;

beforeEach(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'nori-lock-'));
  file = path.join(dir, 'LOCK');
});
afterEach(() => fs.rm(dir, { recursive: true }));

const linux = os.platform() === 'linux';
/** Fields that the first version of the record did not have. */
const NEW_FIELDS = ['pidNamespace', 'device', 'inode', 'socket', 'beatMs'] as const;

/** The record that the first version of this package would write for this process, with some fields changed. */
async function record(changes: Record<string, unknown>): Promise<Record<string, unknown>> {
  const lock = await nodeFileSystem.lock(file);
  const own = JSON.parse(await fs.readFile(file, 'utf8'));
  await lock.release();
  for (const field of NEW_FIELDS) delete own[field];
  return { ...own, nonce: '00ff', ...changes };
}

/** Changes fields of the record in place, so that the file stays the one that was locked. */
async function rewrite(changes: Record<string, unknown>): Promise<void> {
  const handle = await fs.open(file, 'r+');
  const text = JSON.stringify({ ...JSON.parse(await handle.readFile('utf8')), ...changes });
  await handle.truncate(0);
  await handle.write(text, 0);
  await handle.close();
}

/** Names in the directory; the nonces of sockets are left out. */
async function names(): Promise<string[]> {
  return (await fs.readdir(dir)).map((name) => name.replace(/\.[0-9a-f]{16}\.sock$/, '.sock')).sort();
}

const HELD = linux ? ['LOCK', 'LOCK.sock'] : ['LOCK'];

async function deadPid(): Promise<number> {
  const child = execFile(process.execPath, ['-e', '0']);
  await once(child, 'exit');
  return child.pid!;
}

describe('a lock that the first version left behind', () => {
  const dead: Record<string, () => Promise<Record<string, unknown>>> = {
    'by a process that is gone': async () => ({ pid: await deadPid() }),
    'before the last boot': async () => ({ bootId: 'another-boot' }),
    'by a process whose number was given to another': async () => ({ startTime: '1' }),
  };
  for (const [name, changes] of Object.entries(dead)) {
    test.runIf(linux)(`${name} is taken over, by one of many`, async () => {
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
    expect(await names()).toEqual(HELD);
    await lock.release();
    expect(await fs.readdir(dir)).toEqual([]);
  });
});

describe.runIf(linux)('a lock of this version', () => {
  test('is taken over at once when the machine was started anew since', async () => {
    await nodeFileSystem.lock(file);
    await rewrite({ bootId: 'another-boot', hostname: 'a-container-that-is-gone' });
    const lock = await nodeFileSystem.lock(file);
    await lock.release();
  });

  test('of which nothing can be known is refused, saying what to do', async () => {
    await nodeFileSystem.lock(file);
    await rewrite({ pidNamespace: 'pid:[1]' });
    for (const name of await fs.readdir(dir)) if (name.endsWith('.sock')) await fs.unlink(path.join(dir, name));
    await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({
      code: 'IO_LOCKED',
      holder: { pid: process.pid },
      message: expect.stringMatching(/cannot be told whether it still runs.*remove this file/),
    });
  });

  test('in another PID namespace lives as long as its socket', async () => {
    const lock = await nodeFileSystem.lock(file);
    await rewrite({ pidNamespace: 'pid:[1]', pid: 1, startTime: '1' });
    await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({ code: 'IO_LOCKED', holder: { pid: 1 } });
    await lock.release();
    expect(await fs.readdir(dir)).toEqual([]);
  });

  test('does not lock a copy of its directory', async () => {
    const source = path.join(dir, 'source');
    await fs.mkdir(source);
    const lock = await nodeFileSystem.lock(path.join(source, 'LOCK'));
    await promisify(execFile)('cp', ['-a', source, path.join(dir, 'with-socket')]);
    await promisify(execFile)('cp', ['-a', source, path.join(dir, 'without-socket')]);
    for (const name of await fs.readdir(path.join(dir, 'without-socket'))) {
      if (name.endsWith('.sock')) await fs.unlink(path.join(dir, 'without-socket', name));
    }
    for (const copy of ['with-socket', 'without-socket']) {
      const other = await nodeFileSystem.lock(path.join(dir, copy, 'LOCK'));
      await expect(nodeFileSystem.lock(path.join(dir, copy, 'LOCK'))).rejects.toMatchObject({ code: 'IO_LOCKED' });
      await other.release();
      expect(await fs.readdir(path.join(dir, copy))).toEqual([]);
    }
    await expect(nodeFileSystem.lock(path.join(source, 'LOCK'))).rejects.toMatchObject({ code: 'IO_LOCKED' });
    await lock.release();
  });

  test('sweeps what dead takers left, and no socket that is listened at', async () => {
    await fs.writeFile(file, JSON.stringify(await record({ pid: await deadPid() })));
    await fs.writeFile(`${file}.0123456789abcdef.tmp`, '');
    await fs.writeFile(`${file}.after-0123456789abcdef`, '{"pid":');
    await fs.writeFile(`${file}.0000000000000000.sock`, '');
    await fs.writeFile(`${file}.notes`, 'not ours');
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(`${file}.fedcba9876543210.sock`, resolve));
    const lock = await nodeFileSystem.lock(file);
    expect(await names()).toEqual(['LOCK', 'LOCK.notes', 'LOCK.sock', 'LOCK.sock']);
    await lock.release();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    expect(await names()).toEqual(['LOCK.notes']);
  });

  test('is taken by one of many in the process, time and again', async () => {
    for (let round = 0; round < 20; round++) {
      const takers = await Promise.allSettled(Array.from({ length: 8 }, () => nodeFileSystem.lock(file)));
      const won = takers.filter((taker) => taker.status === 'fulfilled');
      expect(won.length).toBe(1);
      await won[0]!.value.release();
      expect(await fs.readdir(dir)).toEqual([]);
    }
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
    expect(await names()).toEqual(HELD);
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
