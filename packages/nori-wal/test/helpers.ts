// Shared by the tests of this package.
import type { FileSystem } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Wal, type WalOptions } from 'nori-wal';

export const DIR = '/log';

/** Opens a log in memory, with small segments. */
export function openMemory(fs: FileSystem = new MemoryFileSystem(), options: Partial<WalOptions> = {}): Promise<Wal> {
  return Wal.open({ dir: DIR, fs, segmentBytesMax: 4096, ...options });
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Records of a log from a position on, as text. */
export async function texts(wal: Wal, from = 0): Promise<string[]> {
  const found: string[] = [];
  for await (const { data } of wal.readFrom(from)) found.push(new TextDecoder().decode(data));
  return found;
}

/** The whole content of a file. */
export function readAll(fs: FileSystem, path: string): Uint8Array {
  const file = fs.openSync(path, 'read');
  const content = new Uint8Array(file.sizeSync());
  file.readSync(content, 0);
  file.closeSync();
  return content;
}

/** Makes a file hold exactly `content`. */
export async function replaceAll(fs: FileSystem, path: string, content: Uint8Array): Promise<void> {
  const file = await fs.open(path, (await fs.stat(path)) ? 'write' : 'create');
  await file.truncate(0);
  await file.write([content], 0);
  await file.close();
}

/** Paths of the segment files. */
export async function segmentFiles(fs: FileSystem): Promise<string[]> {
  return (await fs.readdir(DIR)).filter((name) => name.endsWith('.wal')).map((name) => `${DIR}/${name}`);
}
