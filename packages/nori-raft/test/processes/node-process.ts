// One node process, as its test sees it.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { Answers, Command, Failure, NodeOptions, ReadyMessage, Response } from './protocol.js';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

/** What became of a request. `undefined`: no answer came; it may have been carried out, or may be yet. */
export type Reply<F extends Command['f']> = { readonly value: Answers[F] } | { readonly failure: Failure } | undefined;

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** Makes the script of the node processes, against the built package. Call `remove` when all are done. */
export async function buildNodeScript(): Promise<{ readonly path: string; remove(): void }> {
  // Inside the package, so that it finds the package by its name.
  const dir = join(PACKAGE, '.reports');
  mkdirSync(dir, { recursive: true });
  const path = join(dir, `node-process-${process.pid}-${Date.now()}.mjs`);
  const entryPoints = [fileURLToPath(new URL('child/main.ts', import.meta.url))];
  await build({ entryPoints, outfile: path, bundle: true, packages: 'external', platform: 'node', format: 'esm' });
  return { path, remove: () => rmSync(path, { force: true }) };
}

export class NodeProcess {
  readonly exited: Promise<Exit>;
  /** Where it listens for its peers. */
  address = '';
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (reply: Reply<Command['f']>) => void>();
  #nextId = 1;
  #ended = false;

  private constructor(script: string, options: NodeOptions) {
    const child = spawn(process.execPath, [script, JSON.stringify(options)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    let stderr = '';
    child.stderr!.on('data', (chunk) => (stderr = `${stderr}${String(chunk)}`.slice(-10_000)));
    child.on('error', () => {});
    child.on('message', (message) => this.#receive(message as Response));
    this.exited = new Promise((resolve) =>
      child.once('close', (code, signal) => {
        this.#ended = true;
        for (const answer of this.#waiting.values()) answer(undefined);
        this.#waiting.clear();
        resolve({ code, signal, stderr });
      }),
    );
  }

  /** Starts a process; resolves when it is ready, or has ended. */
  static async start(script: string, options: NodeOptions): Promise<NodeProcess | Exit> {
    const node = new NodeProcess(script, options);
    const ready = new Promise<void>((resolve) =>
      node.#child.on('message', (message: ReadyMessage | Response) => {
        if (!('ready' in message)) return;
        node.address = message.ready;
        resolve();
      }),
    );
    return (await Promise.race([ready, node.exited])) ?? node;
  }

  request<F extends Command['f']>(command: Command & { f: F }, timeoutMs: number): Promise<Reply<F>> {
    if (this.#ended || !this.#child.connected) return Promise.resolve(undefined);
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => answer(undefined), timeoutMs);
      const answer = (reply: Reply<Command['f']>) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(reply as Reply<F>);
      };
      this.#waiting.set(id, answer);
      this.#child.send({ ...command, id }, () => {});
    });
  }

  #receive(message: Response): void {
    if ('id' in message) this.#waiting.get(message.id)?.(message as Reply<Command['f']>);
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  /** Ends it without a word, whether it is stopped or not. */
  async kill(): Promise<Exit> {
    this.#child.kill('SIGKILL');
    return this.exited;
  }
}
