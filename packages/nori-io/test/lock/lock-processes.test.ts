// The lock between real processes, in one PID namespace and in several.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { nodeFileSystem } from 'nori-io';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const HOLDER = path.join(import.meta.dirname, 'lock-holder.mjs');
const UNSHARE = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] as const;

interface Answer {
  readonly held: boolean;
  readonly pid?: number;
  readonly code?: string;
  readonly holder?: { readonly pid: number };
  readonly message?: string;
}

/** A process that was told to take the lock. */
interface Taker {
  readonly answer: Answer;
  readonly child: ChildProcess;
  /** SIGKILL; resolves when the process that took the lock is gone. */
  kill(): Promise<void>;
}

const started: ChildProcess[] = [];
let dir: string;
let file: string;

beforeEach(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'nori-lock-'));
  file = path.join(dir, 'LOCK');
});
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  await fs.rm(dir, { recursive: true, force: true });
});

function canUnshare(): boolean {
  if (os.platform() !== 'linux') return false;
  try {
    const [command, ...args] = [...UNSHARE, 'sh', '-c', 'echo $$'];
    return (
      execFileSync(command!, args, { stdio: ['ignore', 'pipe', 'ignore'] })
        .toString()
        .trim() === '1'
    );
  } catch {
    return false;
  }
}

async function take(where: 'here' | 'container', lockPath = file, manner = 'stay'): Promise<Taker> {
  const line = [...(where === 'container' ? UNSHARE : []), process.execPath, HOLDER, lockPath, manner];
  const child = spawn(line[0]!, line.slice(1), { stdio: ['ignore', 'pipe', where === 'here' ? 'inherit' : 'ignore'] });
  started.push(child);
  const exited = once(child, 'exit');
  const [text] = (await once(createInterface(child.stdout!), 'line')) as [string];
  const kill = async (): Promise<void> => {
    // unshare ends when its child has ended, so that all is over at its exit.
    if (where === 'container' && child.exitCode === null) process.kill(await inner(child), 'SIGKILL');
    else child.kill('SIGKILL');
    await exited;
  };
  return { answer: JSON.parse(text) as Answer, child, kill };
}

/** The process under unshare. */
async function inner(child: ChildProcess): Promise<number> {
  return Number(await fs.readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8'));
}

async function expectFree(lockPath = file): Promise<void> {
  await (await nodeFileSystem.lock(lockPath)).release();
  expect(await fs.readdir(path.dirname(lockPath))).toEqual([]);
}

describe('between processes', () => {
  test('a killed holder is succeeded at once, and leaves nothing behind', async () => {
    const holder = await take('here');
    await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({
      code: 'IO_LOCKED',
      holder: { pid: holder.answer.pid },
    });
    await holder.kill();
    await expectFree();
  });

  test.skipIf(os.platform() === 'win32')('a stopped holder is alive', async () => {
    const holder = await take('here');
    holder.child.kill('SIGSTOP');
    await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({ code: 'IO_LOCKED' });
  });
});

test.skipIf(os.platform() !== 'linux')('a holder that is dead but not yet reaped is dead', async () => {
  // The shell becomes a sleep that does not ask after the holder.
  const script = `"${process.execPath}" "${HOLDER}" "${file}" busy & exec sleep 60`;
  const parent = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  started.push(parent);
  const [text] = (await once(createInterface(parent.stdout!), 'line')) as [string];
  const { pid } = JSON.parse(text) as { pid: number };
  await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({ code: 'IO_LOCKED', holder: { pid } });
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => fs.readFile(`/proc/${pid}/stat`, 'utf8')).toMatch(/\) Z (\S+ ){16}[01] /);
  await expectFree();
});

describe.skipIf(!canUnshare())('between PID namespaces (skipped where unshare --pid is not permitted)', () => {
  test('pid 1 meets pid 1: refused while it lives, taken over when it is killed', async () => {
    const first = await take('container');
    expect(first.answer).toEqual({ held: true, pid: 1 });
    const second = await take('container');
    expect(second.answer).toMatchObject({ held: false, code: 'IO_LOCKED', holder: { pid: 1 } });
    await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({ code: 'IO_LOCKED', holder: { pid: 1 } });
    await first.kill();
    const third = await take('container');
    expect(third.answer).toEqual({ held: true, pid: 1 });
    expect((await fs.readdir(dir)).length).toBe(2);
    await third.kill();
    await expectFree();
  });

  test('a stopped holder, and one that blocks its event loop, are alive', async () => {
    const stopped = await take('container');
    process.kill(await inner(stopped.child), 'SIGSTOP');
    expect((await take('container')).answer).toMatchObject({ held: false });
    await stopped.kill();
    const busy = await take('container', file, 'busy');
    expect(busy.answer.held).toBe(true);
    expect((await take('container')).answer).toMatchObject({ held: false });
    await expect(nodeFileSystem.lock(file)).rejects.toMatchObject({ code: 'IO_LOCKED' });
    await busy.kill();
    await expectFree();
  });

  test('of many that race to succeed a killed holder exactly one wins', async () => {
    const holder = await take('container');
    await holder.kill();
    const where = ['container', 'here', 'container', 'here', 'container'] as const;
    const takers = await Promise.all(where.map((place) => take(place)));
    expect(takers.filter(({ answer }) => answer.held).length).toBe(1);
    for (const { answer } of takers) if (!answer.held) expect(answer.code).toBe('IO_LOCKED');
    for (const taker of takers) if (taker.answer.held) await taker.kill();
    await expectFree();
  });

  test('a directory that is moved stays locked, and free when its holder dies', async () => {
    const old = path.join(dir, 'old');
    await fs.mkdir(old);
    const holder = await take('container', path.join(old, 'LOCK'));
    await fs.rename(old, path.join(dir, 'new'));
    const moved = path.join(dir, 'new', 'LOCK');
    await expect(nodeFileSystem.lock(moved)).rejects.toMatchObject({ code: 'IO_LOCKED' });
    await holder.kill();
    await expectFree(moved);
  });

  test('paths may be longer than an address', async () => {
    const deep = path.join(dir, 'x'.repeat(200), 'y'.repeat(200));
    await fs.mkdir(deep, { recursive: true });
    const long = path.join(deep, 'LOCK');
    const holder = await take('container', long);
    expect((await take('container', long)).answer).toMatchObject({ held: false, holder: { pid: 1 } });
    await holder.kill();
    await expectFree(long);
  });

  test('without a socket the heartbeat tells that a holder lives', async () => {
    // The name is too long for an address, and thus for a socket.
    const long = path.join(dir, `LOCK-${'x'.repeat(120)}`);
    const holder = await take('container', long);
    expect(holder.answer.held).toBe(true);
    expect((await fs.readdir(dir)).length).toBe(1);
    expect((await take('container', long)).answer).toMatchObject({ held: false, code: 'IO_LOCKED' });
  });
});
