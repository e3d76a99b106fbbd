// What the golden files of features added to version 1 hold: a two-level index, and each compression. They were written once and must
// not change.
import type { SSTableWriterOptions, TableEntry } from '../../src/index.js';
import { put } from '../support.js';

export const features: readonly (readonly [file: string, options: Partial<SSTableWriterOptions>])[] = [
  ['v1-two-level', { blockBytes: 128, restartInterval: 4, indexPartitionBytes: 64 }],
  ['v1-lz4', { blockBytes: 512, compression: 'lz4' }],
  ['v1-deflate', { blockBytes: 512, compression: 'deflate' }],
  ['v1-zstd', { blockBytes: 512, compression: 'zstd' }],
];

/** Long and short values, compressible and not, and versions of one key in several index partitions. */
export function entries(): TableEntry[] {
  const all: TableEntry[] = [];
  let state = 7;
  const noise = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 24;
  for (let i = 0; i < 400; i++) {
    const key = `user:${String(i * 3).padStart(6, '0')}`;
    if (i === 200) for (let seq = 900; seq > 800; seq--) all.push(put(key, `version ${seq}`, seq));
    const value = i % 10 === 0 ? Uint8Array.from({ length: 90 }, noise) : `name ${i} ${'ab'.repeat(i % 23)}`;
    all.push(
      i % 13 === 5 ? { ...put(key, '', i), kind: 2 } : put(key, value, i, i % 7 === 0 ? 1_700_000_000_000 + i : 0),
    );
  }
  return all;
}
