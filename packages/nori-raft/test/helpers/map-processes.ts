// The replicated map of the README on three processes.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const SOURCE = fileURLToPath(new URL('../readme-map.mjs', import.meta.url));

export class MapProcesses {
  readonly #script: string;
  readonly #dir: string;
  readonly #httpPort: number;
  readonly #env: NodeJS.ProcessEnv;
  readonly #running = new Map<number, ChildProcess>();

  private constructor(script: string, dir: string, httpPort: number, env: NodeJS.ProcessEnv) {
    this.#script = script;
    this.#dir = dir;
    this.#httpPort = httpPort;
    this.#env = env;
  }

  /** Writes the program to `script`, as it is but for its ports, to be run in `dir`. */
  static async prepare(script: string, dir: string, env: NodeJS.ProcessEnv = process.env): Promise<MapProcesses> {
    const source = readFileSync(SOURCE, 'utf8');
    const [peerPort, httpPort] = [await freePorts(20_000), await freePorts(25_000)];
    const placed = source.replace('[7000, 9000]', `[${peerPort}, ${httpPort}]`);
    expect(placed).not.toBe(source);
    writeFileSync(script, placed);
    return new MapProcesses(script, dir, httpPort, env);
  }

  async start(number: number): Promise<void> {
    const child = spawn(process.execPath, [this.#script, String(number)], {
      ...{ cwd: this.#dir, env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] },
    });
    this.#running.set(number, child);
    await new Promise<void>((resolve, reject) => {
      let output = '';
      const take = (chunk: unknown) => {
        output += String(chunk);
        if (output.includes(' at http://')) resolve();
      };
      child.stdout!.on('data', take);
      child.stderr!.on('data', take);
      child.once('exit', () => reject(new Error(`Node ${number} ended: ${output}`)));
    });
  }

  async kill(number: number): Promise<void> {
    const child = this.#running.get(number)!;
    this.#running.delete(number);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((number) => this.kill(number)));
  }

  /** Asks a node until it answers: there may be no leader for a moment. */
  async ask(number: number, key: string, value?: string): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      try {
        const options = value === undefined ? {} : { method: 'PUT', body: value };
        const response = await fetch(`http://127.0.0.1:${this.#httpPort + number}/${key}`, options);
        const text = (await response.text()).trim();
        if (response.ok) return text;
        if (attempt === 200) throw new Error(text);
      } catch (error) {
        if (attempt === 200) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A port p, among 5,000 from `first` on, such that p + 1 to p + 3 are free. Other tests choose below 20,000, or leave it to the system. */
async function freePorts(first: number): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = first + Math.floor(Math.random() * 5_000);
    if ((await Promise.all([1, 2, 3].map((n) => isFree(base + n)))).every(Boolean)) return base;
  }
  throw new Error('There are no three free ports in a row.');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
