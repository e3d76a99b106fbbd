// What the golden file v1.sst holds: entries of every kind, several blocks, versions of one key across blocks. The file was written once by
// format version 1 and must not change; a later version gets a file of its own.
import type { SSTableWriterOptions, TableEntry } from '../../src/index.js';
import { put, utf8 } from '../support.js';

export const options: Partial<SSTableWriterOptions> = {
  blockBytes: 256,
  restartInterval: 4,
  level: 2,
  properties: [['example.origin', utf8('golden')]],
};

export function entries(): TableEntry[] {
  const all: TableEntry[] = [put('', 'the empty key', 70)];
  for (let seq = 60; seq > 30; seq--) all.push(put('many versions', `version ${seq}`, seq));
  for (let i = 0; i < 40; i++) {
    const key = `user:${String(i).padStart(6, '0')}`;
    if (i % 7 === 3) all.push({ ...put(key, '', 1000 + i), kind: 2 });
    all.push(put(key, `name ${i}`, i, i % 5 === 0 ? 1_700_000_000_000 + i : 0));
  }
  all.push(
    put(
      'value of 1,000 bytes',
      Uint8Array.from({ length: 1000 }, (_, i) => i),
      Number.MAX_SAFE_INTEGER,
    ),
  );
  all.push(put(Uint8Array.of(0xff, 0x00, 0xff), Uint8Array.of(0x00), 128, Number.MAX_SAFE_INTEGER));
  return all;
}
