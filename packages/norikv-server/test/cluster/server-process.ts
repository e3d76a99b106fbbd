// One node of the built command as a process of its own, with faults that can be switched on and off (child/faults.cjs).
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BINARY = fileURLToPath(new URL('../../bin/norikv.js', import.meta.url));
const FAULTS = fileURLToPath(new URL('child/faults.cjs', import.meta.url));
const BUG_LOADER = new URL('child/bug-register.mjs', import.meta.url).href;
const LOG_KEPT = 60_000;

/** What a node can be told while it runs. */
export interface FaultCommand {
  readonly disk?: 'fine' | 'stalled' | 'slow' | 'full' | 'failing';
  /** By how much syncs of a slow disk are slower. */
  readonly slowMs?: number;
  /** From now on its clocks run at this rate; its wall clock jumps at once. */
  readonly clock?: { readonly rate?: number; readonly jumpMs?: number };
  /** Gossip ports that it cannot reach. */
  readonly block?: readonly number[];
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly log: string;
}

export interface ServerProcessOptions {
  readonly args: readonly string[];
  readonly clock?: FaultCommand['clock'];
  /** A mistake of `child/bugs.mjs` to put in. */
  readonly bug?: string;
}

/** Processes that run, to end with this one even if they are stopped and cannot see it end. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class ServerProcess {
  readonly exited: Promise<Exit>;
  /** Resolves when it serves; never if it does not. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (done: boolean) => void>();
  #log = '';
  #lastId = 0;

  constructor({ args, clock, bug }: ServerProcessOptions) {
    const loader = bug === undefined ? [] : ['--import', BUG_LOADER];
    this.#child = spawn(process.execPath, ['--require', FAULTS, ...loader, BINARY, 'start', ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ...(clock === undefined ? {} : { NORI_TEST_CLOCK: JSON.stringify(clock) }),
        ...(bug === undefined ? {} : { NORI_TEST_BUG: bug }),
      },
    });
    running.add(this.#child);
    this.#child.stderr!.on('data', (chunk) => (this.#log = `${this.#log}${String(chunk)}`.slice(-LOG_KEPT)));
    this.#child.on('error', () => {});
    this.#child.on('message', ({ id }: { id: number }) => this.#waiting.get(id)?.(true));
    let stdout = '';
    this.ready = new Promise((resolve) =>
      this.#child.stdout!.on('data', (chunk) => {
        stdout += String(chunk);
        if (stdout.includes('norikv ready')) resolve();
      }),
    );
    this.exited = new Promise((resolve) =>
      this.#child.once('close', (code, signal) => {
        running.delete(this.#child);
        for (const settle of [...this.#waiting.values()]) settle(false);
        resolve({ code, signal, log: this.#log });
      }),
    );
  }

  get log(): string {
    return this.#log;
  }

  /** Resolves with whether it was carried out: not by a process that is stopped or has ended, but a stopped one will yet. */
  tell(command: FaultCommand, timeoutMs = 10_000): Promise<boolean> {
    if (!this.#child.connected) return Promise.resolve(false);
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const settle = (done: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(done);
      };
      const timer = setTimeout(() => settle(false), timeoutMs);
      this.#waiting.set(id, settle);
      this.#child.send({ ...command, id }, () => {});
    });
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void {
    this.#child.kill(signal);
  }

  /** Ends it without a word, whether it is stopped or not. */
  async kill(): Promise<Exit> {
    this.#child.kill('SIGKILL');
    return this.exited;
  }
}
