// Damages a log where it must be noticed: a byte of a whole segment, or of the last one below what a marker says was synced. What was written
// last, and has no marker behind it, cannot be told from a torn tail.
import type { MemoryFileSystem } from 'nori-io/memory';
import { inspect } from '../../../nori-wal/src/recovery.js';

const DIR = '/raft';

/** @returns where; undefined if there is no such place */
export async function damageLog(fs: MemoryFileSystem, pick: number): Promise<string | undefined> {
  const hook = fs.onOperation;
  fs.onOperation = undefined;
  try {
    if ((await fs.stat(DIR)) === undefined) return undefined;
    const { segments, syncedOffset } = await inspect(fs, DIR, { recordBytesMax: 2 ** 30 });
    const segment = segments[pick % Math.max(1, segments.length)];
    if (segment === undefined) return undefined;
    const end = segment === segments.at(-1) ? syncedOffset : segment.endOffset;
    const offset = (pick >>> 8) % end;
    const file = fs.openSync(segment.path, 'write');
    const byte = new Uint8Array(1);
    file.readSync(byte, offset);
    byte[0]! ^= 1 << (pick >>> 29);
    file.writeSync(byte, offset);
    file.datasyncSync();
    file.closeSync();
    return `${segment.path} at ${offset}`;
  } finally {
    fs.onOperation = hook;
  }
}
