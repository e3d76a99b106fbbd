// Runs the norikv command as users do: the published entry point, in a process of its own. Needs the package built.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('../../bin/norikv.js', import.meta.url));

/** The environment of commands: nothing of the caller's NORIKV_* variables. */
const environment = (extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NORIKV_'))),
  ...extra,
});

const launch = (args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, [ENTRY, ...args], { env: environment(env), stdio: 'pipe' });

export interface Finished {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly text: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: Uint8Array;
}

/** Runs a command to its end. */
export const norikv = async (args: readonly string[], options: RunOptions = {}): Promise<Finished> => {
  const child = launch(args, options.env);
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  // A command that refuses its arguments does not read its input.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? new Uint8Array());
  const [code] = (await once(child, 'close')) as [number | null];
  const bytes = Buffer.concat(stdout);
  return { code, stdout: bytes, text: bytes.toString('utf8'), stderr };
};

/** Runs a command, closes its stdout after the first bytes, and waits for its end. */
export const norikvCutOff = async (args: readonly string[]): Promise<{ code: number | null; stderr: string }> => {
  const child = launch(args);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code, stderr };
};

/** A node in a process of its own. */
export class NodeProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #exit: Promise<number | null>;
  #stderr = '';
  /** Fields of the ready line. */
  readonly ready: Readonly<Record<string, string>> = {};
  readyLine = '';

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#exit = once(child, 'exit').then(([code]) => code as number | null);
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stderr += chunk;
    });
  }

  /** Starts a node on free ports and waits for its ready line. */
  static async start(dataDir: string, flags: readonly string[] = []): Promise<NodeProcess> {
    const ports = ['--rpc-addr', '127.0.0.1:0', '--http-addr', '127.0.0.1:0'];
    const node = new NodeProcess(launch(['start', '--data-dir', dataDir, ...ports, ...flags]));
    const line = await Promise.race([node.#firstLine(), node.#exit.then(() => undefined)]);
    if (line === undefined) throw new Error(`The node did not start: ${node.#stderr}`);
    node.readyLine = line;
    Object.assign(
      node.ready,
      Object.fromEntries([...line.matchAll(/(\w+)=(\S+)/g)].map(([, name, value]) => [name, value])),
    );
    return node;
  }

  get rpc(): string {
    return this.ready.rpc ?? '';
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Sends a signal and waits for the end; returns the exit code, null if a signal ended it. */
  async end(...signals: readonly NodeJS.Signals[]): Promise<number | null> {
    for (const signal of signals) this.#child.kill(signal);
    return this.#exit;
  }

  #firstLine(): Promise<string> {
    return new Promise((resolve) => {
      let text = '';
      this.#child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const end = text.indexOf('\n');
        if (end >= 0) resolve(text.slice(0, end));
      });
    });
  }
}

/** Runs `use` with a new directory, which is removed afterwards. */
export const withDirectory = async <T>(use: (dir: string) => Promise<T>): Promise<T> => {
  const dir = await mkdtemp(join(tmpdir(), 'norikv-cli-'));
  try {
    return await use(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};
