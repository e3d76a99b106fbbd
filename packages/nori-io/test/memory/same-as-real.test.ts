// The simulated disk against the real one: the same random operations have the same results, as long as nothing crashes.
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type File, type FileSystem, IoError, nodeFileSystem } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';

const seed = seedFromEnv();
const NAMES = ['a', 'b', 'c', 'sub/a', 'sub/b', 'sub', 'none/a'] as const;
const OPERATIONS = [
  'open',
  'create',
  'write',
  'truncate',
  'read',
  'close',
  'rename',
  'link',
  'unlink',
  'look',
] as const;

/** One of the two, with the files that are open on it. */
class Side {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #files: File[] = [];

  constructor(fs: FileSystem, dir: string) {
    this.#fs = fs;
    this.#dir = dir;
  }

  get openFiles(): number {
    return this.#files.length;
  }

  /** What the operation yields, or the code of its error, as text. */
  async perform(operation: (typeof OPERATIONS)[number], numbers: readonly number[]): Promise<string> {
    try {
      return await this.#attempt(operation, numbers);
    } catch (error) {
      if (error instanceof IoError) return error.code;
      throw error;
    }
  }

  async closeAll(): Promise<void> {
    for (const file of this.#files.splice(0)) await file.close();
  }

  async #attempt(operation: (typeof OPERATIONS)[number], [x = 0, y = 0, z = 0]: readonly number[]): Promise<string> {
    const [name, other] = [this.#path(x), this.#path(y)];
    const file = this.#files[x % Math.max(1, this.#files.length)];
    if (operation === 'open') this.#files.push(await this.#fs.open(name, y % 2 ? 'write' : 'read'));
    else if (operation === 'create') this.#files.push(await this.#fs.open(name, 'create'));
    else if (operation === 'rename') await this.#fs.rename(name, other);
    else if (operation === 'link') await this.#fs.link(name, other);
    else if (operation === 'unlink') await this.#fs.unlink(name);
    else if (operation === 'look') return JSON.stringify([await this.#fs.readdir(this.#dir), await this.#size(name)]);
    else if (file === undefined) return 'no file';
    else if (operation === 'write') await file.write([new Uint8Array(y % 9000).fill(z), Uint8Array.of(x)], z % 20_000);
    else if (operation === 'truncate') await file.truncate(y % 20_000);
    else if (operation === 'close') await this.#files.splice(this.#files.indexOf(file), 1)[0]!.close();
    else return await this.#read(file, y % 25_000);
    return 'done';
  }

  async #size(name: string): Promise<number | string | undefined> {
    const found = await this.#fs.stat(name);
    return found?.kind === 'file' ? found.sizeBytes : found?.kind;
  }

  async #read(file: File, bytes: number): Promise<string> {
    const buffer = new Uint8Array(bytes);
    const count = await file.read(buffer, bytes % 3000);
    return `${file.sizeSync()} ${Buffer.from(buffer.subarray(0, count)).toString('latin1')}`;
  }

  #path(number: number): string {
    return `${this.#dir}/${NAMES[number % NAMES.length]}`;
  }
}

const brief = (text: string): string => JSON.stringify(text.slice(0, 99));

test(`random operations have the same results on both (seed ${seed})`, async () => {
  const rng = new Rng(seed);
  for (let round = 0; round < 15; round++) {
    const dir = await fs.mkdtemp(path.join(os.tmpdir(), 'nori-io-'));
    const memory = new MemoryFileSystem();
    await memory.mkdir('/d/sub');
    await nodeFileSystem.mkdir(`${dir}/sub`);
    const [real, simulated] = [new Side(nodeFileSystem, dir), new Side(memory, '/d')];
    try {
      for (let step = 0; step < 150; step++) {
        let operation = rng.pick(OPERATIONS);
        if (operation === 'rename' && real.openFiles > 20) operation = 'close';
        const numbers = [rng.int(100_000), rng.int(100_000), rng.int(100_000)];
        // Directories are only looked at: Linux opens them for reading, and has errors of its own for renaming onto them.
        const isDirectory = (number: number) => NAMES[number % NAMES.length] === 'sub';
        if (operation !== 'look' && (isDirectory(numbers[0]!) || isDirectory(numbers[1]!))) continue;
        const expected = await real.perform(operation, numbers);
        const found = await simulated.perform(operation, numbers);
        const what = `round ${round}, step ${step}: ${operation} ${numbers}`;
        if (found !== expected) expect.fail(`${what}: ${brief(found)}, not ${brief(expected)}`);
      }
    } finally {
      await real.closeAll();
      await fs.rm(dir, { recursive: true });
    }
  }
});
