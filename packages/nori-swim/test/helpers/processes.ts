// Members in processes of their own, which can be killed and stopped.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { MembershipEvent, SwimOptions } from 'nori-swim';

const SCRIPT = fileURLToPath(new URL('./member.mjs', import.meta.url));

/** Options that can be handed over as JSON; keys in hexadecimal. */
export type ProcessOptions = Omit<SwimOptions, 'keys' | 'meter' | 'metadata'> & { readonly keys?: readonly string[] };

export interface SeenEvent {
  readonly event: MembershipEvent;
  /** Wall clock. */
  readonly atMs: number;
}

interface Answer {
  readonly number?: number;
  readonly result?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
  readonly address?: string;
  readonly event?: MembershipEvent;
  readonly atMs?: number;
}

/** One member. */
export class MemberProcess {
  readonly id: string;
  address = '';
  readonly events: SeenEvent[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #calls = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #number = 0;

  private constructor(options: ProcessOptions) {
    this.id = options.id;
    this.#child = fork(SCRIPT, [JSON.stringify({ bind: '127.0.0.1:0', ...options })], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  static async start(options: ProcessOptions): Promise<MemberProcess> {
    const member = new MemberProcess(options);
    await new Promise<void>((resolve, reject) => {
      member.#child.on('message', (answer: Answer) => {
        if (answer.address !== undefined) {
          member.address = answer.address;
          resolve();
        } else member.#take(answer);
      });
      void member.#exited.then(() => reject(new Error(`${options.id} ended before it was ready.`)));
    });
    return member;
  }

  call<T = unknown>(call: string, ...args: unknown[]): Promise<T> {
    const number = ++this.#number;
    return new Promise<T>((resolve, reject) => {
      this.#calls.set(number, { resolve: resolve as (result: unknown) => void, reject });
      this.#child.send({ number, call, args });
    });
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** When it noticed something, by the wall clock. */
  when(type: MembershipEvent['type'], about: string): number | undefined {
    return this.events.find(({ event }) => event.type === type && 'member' in event && event.member.id === about)?.atMs;
  }

  #take({ number, result, error, event, atMs }: Answer): void {
    if (event !== undefined && atMs !== undefined) this.events.push({ event, atMs });
    if (number === undefined) return;
    const call = this.#calls.get(number);
    this.#calls.delete(number);
    if (error === undefined) call?.resolve(result);
    else call?.reject(Object.assign(new Error(error.message), { code: error.code }));
  }
}

/** Members that end with the test. */
export class ProcessCluster {
  readonly members: MemberProcess[] = [];

  /** Starts members and lets them join the first one. */
  static async start(count: number, options: Partial<ProcessOptions> = {}): Promise<ProcessCluster> {
    const cluster = new ProcessCluster();
    const starts = Array.from({ length: count }, (_, i) => cluster.add({ id: `n${i}`, ...options }));
    await Promise.all(starts);
    cluster.members.sort((a, b) => (a.id < b.id ? -1 : 1));
    const [first, ...others] = cluster.members;
    await Promise.all(others.map((member) => member.call('join', [first!.address])));
    await cluster.agree();
    return cluster;
  }

  async add(options: ProcessOptions): Promise<MemberProcess> {
    const member = await MemberProcess.start(options);
    this.members.push(member);
    return member;
  }

  /** Waits until all of `members` hold each other for alive. */
  async agree(members: readonly MemberProcess[] = this.members): Promise<void> {
    await until(async () => {
      for (const member of members) {
        const states = await member.call<Record<string, string>>('states');
        if (members.some(({ id }) => id !== member.id && states[id] !== 'alive')) return false;
      }
      return true;
    });
  }

  async end(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
  }
}

/** Waits until something holds; the test's own timeout ends it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
