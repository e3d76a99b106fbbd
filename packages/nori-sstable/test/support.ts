// What several tests share: a model of a table, random tables, bytes in and out of a file system.
import { type Compression, codecFor, type FileSystem } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import type { Rng } from 'nori-testkit';
import {
  compareKeys,
  type EntryKind,
  SSTableReader,
  type SSTableReaderOptions,
  SSTableWriter,
  type SSTableWriterOptions,
  type TableEntry,
} from '../src/index.js';

export const PATH = '/table.sst';

/** What this runtime can do. */
export const COMPRESSIONS: readonly Compression[] = (['none', 'lz4', 'deflate', 'zstd'] as const).filter((name) => {
  try {
    return codecFor(name) !== undefined;
  } catch {
    return false;
  }
});

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export function put(key: string | Uint8Array, value: string | Uint8Array = '', seq = 1, expiresAtMs = 0): TableEntry {
  const toBytes = (input: string | Uint8Array) => (typeof input === 'string' ? utf8(input) : input);
  return { key: toBytes(key), seq, kind: 1, expiresAtMs, value: toBytes(value) };
}

export function compareEntries(a: TableEntry, b: TableEntry): number {
  return compareKeys(a.key, b.key) || b.seq - a.seq;
}

type Options = Partial<Omit<SSTableWriterOptions, 'fs' | 'path'>>;

export async function writeTable(fs: FileSystem, path: string, entries: Iterable<TableEntry>, options: Options = {}) {
  const writer = await SSTableWriter.create({ ...options, fs, path });
  for (const { key, seq, kind, expiresAtMs, value } of entries) writer.add(key, seq, kind, expiresAtMs, value);
  return writer.finish();
}

/** Writes `entries` to a table in memory and opens it. */
export async function tableOf(
  entries: Iterable<TableEntry>,
  options: Options = {},
  readerOptions: Partial<SSTableReaderOptions> = {},
): Promise<SSTableReader> {
  const fs = await memoryFileSystem();
  await writeTable(fs, PATH, entries, options);
  return SSTableReader.open({ fs, path: PATH, ...readerOptions });
}

export async function memoryFileSystem(): Promise<MemoryFileSystem> {
  const fs = new MemoryFileSystem();
  await fs.mkdir('/');
  return fs;
}

export async function readBytes(fs: FileSystem, path: string): Promise<Uint8Array> {
  const file = await fs.open(path, 'read');
  const bytes = new Uint8Array(file.sizeSync());
  await file.read(bytes, 0);
  await file.close();
  return bytes;
}

export async function writeBytes(fs: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  if (await fs.stat(path)) await fs.unlink(path);
  const file = await fs.open(path, 'create');
  await file.write([bytes], 0);
  await file.close();
}

/** Plain copies, so that entries from anywhere can be compared. */
export function copyOf(entry: TableEntry): TableEntry {
  const { key, seq, kind, expiresAtMs, value } = entry;
  return { key: key.slice(), seq, kind, expiresAtMs, value: value.slice() };
}

/** A key that shares much with others: few lengths, few distinct bytes, among them 0x00 and 0xff. */
function randomKey(rng: Rng): Uint8Array {
  switch (rng.int(5)) {
    case 0:
      return rng.bytes(rng.int(4));
    case 1:
      return Uint8Array.from({ length: rng.int(7) }, () => rng.pick([0, 1, 0x7f, 0xfe, 0xff]));
    case 2:
      return utf8(`user:${String(rng.int(300)).padStart(8, '0')}`);
    case 3:
      return utf8(`${'p'.repeat(rng.int(80))}${rng.int(20)}`);
    default:
      return utf8(`k${rng.int(1000)}`);
  }
}

/** Sorted entries, without two of the same key and sequence number. */
export function randomEntries(rng: Rng, countMax: number): TableEntry[] {
  const byId = new Map<string, TableEntry>();
  const count = rng.int(countMax + 1);
  const seqs = rng.pick([10, 1000, 2 ** 31, Number.MAX_SAFE_INTEGER]);
  while (byId.size < count) {
    const key = randomKey(rng);
    const versions = rng.chance(0.1) ? rng.int(60) : 1 + rng.int(2);
    for (let i = 0; i < versions; i++) {
      const seq = Math.floor(rng.next() * seqs);
      const kind: EntryKind = rng.chance(0.15) ? 2 : 1;
      const expiresAtMs = rng.chance(0.2) ? 1 + Math.floor(rng.next() * 2e12) : 0;
      const length = rng.chance(0.3) ? 0 : rng.chance(0.03) ? rng.int(6000) : rng.int(150);
      const value = kind === 2 ? new Uint8Array(0) : rng.bytes(length);
      byId.set(`${key.join()}/${seq}`, { key, seq, kind, expiresAtMs, value });
    }
  }
  return [...byId.values()].sort(compareEntries);
}
