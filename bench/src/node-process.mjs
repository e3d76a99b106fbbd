// A node in a process of its own, on free ports and with an empty data directory on the disk of the repository.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The norikv command as it is published. */
export const NORIKV = fileURLToPath(new URL('../../packages/norikv-server/bin/norikv.js', import.meta.url));

const DATA = fileURLToPath(new URL('../data/', import.meta.url));
const READY_TIMEOUT_MS = 30_000;

const running = new Set();

/** Ends all nodes at once and removes their data. */
export const stopEverything = () => {
  for (const { child, dir } of running) {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
  running.clear();
};

/**
 * Starts a node, runs `use({ pid, rpc })` and stops the node; its data are removed.
 * @param {readonly string[]} flags more flags of `norikv start`
 */
export const withNode = async (flags, use) => {
  mkdirSync(DATA, { recursive: true });
  const dir = mkdtempSync(`${DATA}run-`);
  const args = ['start', '--data-dir', dir, '--rpc-addr', '127.0.0.1:0', '--http-addr', '127.0.0.1:0'];
  const child = spawn(process.execPath, [NORIKV, ...args, '--log-level', 'warn', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const entry = { child, dir };
  running.add(entry);
  try {
    const { rpc } = await ready(child);
    const result = await use({ pid: child.pid, rpc });
    if (child.exitCode !== null) throw new Error(`the node ended by itself with exit code ${child.exitCode}`);
    return result;
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    }
    running.delete(entry);
    rmSync(dir, { recursive: true, force: true });
  }
};

/** Waits for the ready line and reads its fields. */
const ready = (child) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the node did not become ready')), READY_TIMEOUT_MS);
    child.once('exit', (code) => reject(new Error(`the node ended with exit code ${code} before it was ready`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (!line.startsWith('norikv ready ')) return;
      clearTimeout(timer);
      resolve(Object.fromEntries([...line.matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name, value])));
    });
  });

/** Writes the node's memtables to tables. */
export const flushNode = async (rpc) => {
  const answer = await fetch(`http://${rpc}/norikv.v1.Admin/Flush`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  if (!answer.ok) throw new Error(`the node refused to flush: ${await answer.text()}`);
};
