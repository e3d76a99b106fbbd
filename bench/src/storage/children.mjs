// Runs measurements in child processes, in one temporary directory for the whole run. Whatever happens, both are gone at the end.
import { execFileSync, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('./child.mjs', import.meta.url));
const TIMEOUT_MS = 15 * 60_000;

const running = new Set();
let root;

/** Kills all children and removes their files. */
export const stopChildren = () => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
  if (root !== undefined) removeDirectory(root);
  root = undefined;
};

/** A child that was just killed may still create a file, so it takes several tries. */
export const removeDirectory = (dir) => rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });

/** A new path in the run's directory. */
export const temporaryPath = (name) => {
  if (root === undefined) {
    root = mkdtempSync(join(tmpdir(), 'norikv-bench-'));
    process.once('exit', stopChildren);
  }
  return join(mkdtempSync(join(root, `${name}-`)), 'data');
};

/** What others have written goes to the disk first, so that it is not paid for by who comes next. */
export const syncDisks = () => {
  try {
    execFileSync('sync', { stdio: 'ignore' });
  } catch {
    // There is no such command on some systems.
  }
};

/**
 * Runs `job` in a new process; resolves to its result.
 * @param {{ workload: string, store: string, dir: string }} job
 * @param {string[]} [execArgv] options for Node
 * @param {string} [entry] the program that does it
 */
export const runChild = (job, execArgv = [], entry = CHILD) => {
  syncDisks();
  mkdirSync(job.dir, { recursive: true });
  return new Promise((resolve, reject) => {
    const child = fork(entry, [JSON.stringify(job)], { execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    running.add(child);
    let answer;
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
    child.once('message', (message) => {
      answer = message;
      if (message.result?.mustBeKilled) child.kill('SIGKILL');
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const failed = code !== 0 && !answer?.result?.mustBeKilled;
      if (answer?.result !== undefined && !failed) resolve(answer.result);
      else reject(new Error(`${job.workload} of ${job.store}: ${answer?.error ?? `ended with ${signal ?? code}`}`));
    });
  });
};
