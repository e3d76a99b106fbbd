// Starts the real command as a process of its own, on free ports, and waits for its ready line.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BINARY = fileURLToPath(new URL('../../bin/norikv.js', import.meta.url));

export interface LaunchedNode {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly rpc: string;
  readonly http: string;
  readonly readyLine: string;
  /** Everything written to stderr so far. */
  readonly log: () => string;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<number | null>;
  /** Sends SIGKILL and waits for the end. */
  kill(): Promise<void>;
}

/** A node that did not get ready: how it ended and what it said. */
export class LaunchError extends Error {
  constructor(
    readonly code: number | null,
    readonly stdout: string,
    readonly stderr: string,
  ) {
    super(`The node ended with code ${code}: ${stderr}`);
  }
}

export const temporaryDir = async (): Promise<{ readonly path: string; remove(): Promise<void> }> => {
  const path = await mkdtemp(join(tmpdir(), 'norikv-test-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
};

/** @throws LaunchError if the process ends before it is ready */
export const launchNode = async (dataDir: string, args: readonly string[] = []): Promise<LaunchedNode> => {
  const child = spawn(
    process.execPath,
    [BINARY, 'start', '--data-dir', dataDir, '--rpc-addr', '127.0.0.1:0', '--http-addr', '127.0.0.1:0', ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  // A test that gives up while its node still starts leaves no process behind.
  const killLast = () => child.kill('SIGKILL');
  process.once('exit', killLast);
  child.once('close', () => process.off('exit', killLast));
  let stdout = '';
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  const readyLine = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
      const line = stdout.split('\n').find((one) => one.includes('norikv ready'));
      if (line !== undefined && stdout.includes('\n')) resolve(line);
    });
    void exited.then(({ code }) => reject(new LaunchError(code, stdout, stderr)));
  });
  const field = (name: string): string => {
    const value = new RegExp(`${name}=(\\S+)`).exec(readyLine)?.[1];
    if (value === undefined) throw new Error(`The ready line has no ${name}: ${readyLine}`);
    return value;
  };
  return {
    process: child,
    pid: Number(field('pid')),
    rpc: field('rpc'),
    http: field('http'),
    readyLine,
    log: () => stderr,
    exited,
    stop: async () => {
      child.kill('SIGTERM');
      return (await exited).code;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
};
