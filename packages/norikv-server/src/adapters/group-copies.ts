// Copies of groups: a group's keys exported as tables, sent as their bytes, and taken in on another node in the place of what was
// there. A copy is a table count, the length of each table, and the tables (docs/formats/shard-snapshot.md).
import type { FileSystem } from 'nori-io';
import { type Lsm, LsmError } from 'nori-lsm';
import { NodeError } from '../domain/node-error.js';
import type { GroupCopy, ReceivedGroup } from '../ports/storage.js';

const CHUNK_BYTES = 256 * 1024;
const TABLES_MAX = 1 << 20;

interface Exported {
  readonly head: Uint8Array;
  readonly tables: readonly { readonly path: string; readonly bytes: number }[];
}

export class GroupCopies {
  readonly #lsm: Lsm;
  readonly #fs: FileSystem;
  readonly #dir: string;
  /** Directories in use, by number: those that were emptied are used again. */
  readonly #used = new Set<number>();

  private constructor(lsm: Lsm, fs: FileSystem, dir: string) {
    this.#lsm = lsm;
    this.#fs = fs;
    this.#dir = dir;
  }

  /** What a process that has died left behind is removed. */
  static async open(lsm: Lsm, fs: FileSystem, dir: string): Promise<GroupCopies> {
    await fs.mkdir(dir);
    const copies = new GroupCopies(lsm, fs, dir);
    for (const name of await fs.readdir(dir)) await copies.#empty(`${dir}/${name}`);
    return copies;
  }

  copy(group: number): GroupCopy {
    const snapshot = this.#lsm.snapshot();
    const dir = this.#take();
    let exported: Promise<Exported> | undefined;
    let released = false;
    const make = async (): Promise<Exported> => {
      try {
        const { tables } = await this.#lsm.exportTables(dir, { prefix: prefixOf(group), snapshot });
        return { head: headOf(tables), tables };
      } finally {
        snapshot.close();
      }
    };
    return {
      read: (offset) => {
        if (released) throw new NodeError('INTERNAL', 'A copy of a group was read after it was released.');
        exported ??= make();
        return this.#read(exported, offset);
      },
      release: () => {
        if (released) return;
        released = true;
        if (exported === undefined) snapshot.close();
        void Promise.resolve(exported)
          .catch(() => {})
          .then(() => this.#remove(dir));
      },
    };
  }

  async *#read(exported: Promise<Exported>, offset: number): AsyncGenerator<Uint8Array> {
    const { head, tables } = await exported;
    let skip = offset;
    if (skip < head.length) yield head.subarray(skip);
    skip = Math.max(0, skip - head.length);
    for (const { path, bytes } of tables) {
      if (skip >= bytes) {
        skip -= bytes;
        continue;
      }
      const file = await this.#fs.open(path, 'read');
      try {
        for (let at = skip; at < bytes; ) {
          const chunk = new Uint8Array(Math.min(CHUNK_BYTES, bytes - at));
          const length = await file.read(chunk, at);
          if (length === 0) throw new NodeError('INTERNAL', `${path} has become shorter.`);
          yield chunk.subarray(0, length);
          at += length;
        }
      } finally {
        await file.close();
      }
      skip = 0;
    }
  }

  async receive(group: number, chunks: AsyncIterable<Uint8Array>): Promise<ReceivedGroup> {
    const dir = this.#take();
    await this.#fs.mkdir(dir);
    try {
      const paths = await this.#write(dir, chunks);
      return {
        install: async (mark) => {
          await this.#lsm.ingest(paths, { replace: { prefix: prefixOf(group) }, marks: [[group, mark]] });
          await this.#remove(dir);
        },
        discard: () => this.#remove(dir),
      };
    } catch (error) {
      await this.#remove(dir);
      if (error instanceof LsmError) throw new NodeError('CORRUPTION', error.message, { cause: error });
      throw error;
    }
  }

  /** Writes the tables of a copy into files of their own, and makes them durable. */
  async #write(dir: string, chunks: AsyncIterable<Uint8Array>): Promise<string[]> {
    const source = new ChunkReader(chunks);
    const count = (await source.exactly(4)).getUint32(0);
    if (count > TABLES_MAX) throw new NodeError('CORRUPTION', `A copy of a group claims ${count} tables.`);
    const lengths: number[] = [];
    for (let i = 0; i < count; i++) lengths.push(Number((await source.exactly(8)).getBigUint64(0)));
    const paths: string[] = [];
    for (let i = 0; i < count; i++) {
      const path = `${dir}/${i}.sst`;
      paths.push(path);
      const file = await this.#fs.open(path, 'create');
      try {
        for (let at = 0; at < lengths[i]!; ) {
          const chunk = await source.atMost(lengths[i]! - at);
          await file.write([chunk], at);
          at += chunk.length;
        }
        await file.datasync();
      } finally {
        await file.close();
      }
    }
    await this.#fs.syncDir(dir);
    return paths;
  }

  #take(): string {
    let number = 0;
    while (this.#used.has(number)) number++;
    this.#used.add(number);
    return `${this.#dir}/${number}`;
  }

  /** Empties a directory and gives it back. What cannot be removed now is at the next start. */
  async #remove(dir: string): Promise<void> {
    try {
      await this.#empty(dir);
      this.#used.delete(Number(dir.slice(this.#dir.length + 1)));
    } catch {}
  }

  async #empty(dir: string): Promise<void> {
    if ((await this.#fs.stat(dir)) === undefined) return;
    for (const name of await this.#fs.readdir(dir)) await this.#fs.unlink(`${dir}/${name}`);
  }
}

/** Takes pieces of wanted lengths out of chunks of any. */
class ChunkReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #left: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }

  /** At least one byte, at most `bytes`. */
  async atMost(bytes: number): Promise<Uint8Array> {
    while (this.#left.length === 0) {
      const next = await this.#iterator.next();
      if (next.done === true) throw new NodeError('CORRUPTION', 'A copy of a group ends too early.');
      this.#left = next.value;
    }
    const piece = this.#left.subarray(0, bytes);
    this.#left = this.#left.subarray(piece.length);
    return piece;
  }

  async exactly(bytes: number): Promise<DataView> {
    const joined = new Uint8Array(bytes);
    for (let at = 0; at < bytes; ) {
      const piece = await this.atMost(bytes - at);
      joined.set(piece, at);
      at += piece.length;
    }
    return new DataView(joined.buffer);
  }
}

const prefixOf = (group: number): Uint8Array => Uint8Array.of(group >>> 8, group & 0xff);

const headOf = (tables: readonly { readonly bytes: number }[]): Uint8Array => {
  const head = new DataView(new ArrayBuffer(4 + 8 * tables.length));
  head.setUint32(0, tables.length);
  for (let i = 0; i < tables.length; i++) head.setBigUint64(4 + 8 * i, BigInt(tables[i]!.bytes));
  return new Uint8Array(head.buffer);
};
