// What stored keys tell of a database whose manifest is lost: whether they are mapped (docs/formats/manifest.md, "Keys"), and of which keyspaces
// there are any. Skips from one keyspace to the next, so that it reads a few blocks of each.
//
// Mapped keys that begin with FF go on with 00, or with 01 and the number of a keyspace, from 1 on. A key that does not is proof
// that they are not mapped. Without proof they are taken to be: databases of earlier versions alone have keys that are not, and of those only
// keys that begin with FF 00 or FF 01 are told apart by that.
import type { FileSystem } from 'nori-io';
import { SSTableReader } from 'nori-sstable';
import { KEYSPACE_ID_MAX, KEYSPACE_PREFIX_BYTES, keyspaceOf } from '../key-map.js';
import { type TableMeta, tableName } from '../table-meta.js';

const MAPPED = Uint8Array.of(0xff);

/** See the top of the file. */
export interface KeyFinding {
  readonly hasMappedKeys: boolean;
  /** Numbers of keyspaces, ascending. */
  readonly keyspaces: readonly number[];
}

/** @param tables sound ones of the database, in key order */
export const lookAtKeys = async (fs: FileSystem, dir: string, tables: readonly TableMeta[]): Promise<KeyFinding> => {
  const found = new Set<number>();
  for (const { number, largestKey } of tables) {
    if (largestKey[0] !== 0xff) continue;
    const reader = await SSTableReader.open({ fs, path: `${dir}/${tableName(number)}` });
    try {
      const cursor = reader.cursor();
      for (cursor.seek(MAPPED); cursor.valid; ) {
        const id = idOf(cursor.key);
        if (id === undefined) return { hasMappedKeys: false, keyspaces: [] };
        if (id > 0) found.add(id);
        cursor.seek(behind(id));
      }
    } finally {
      await reader.close();
    }
  }
  return { hasMappedKeys: true, keyspaces: [...found].sort((a, b) => a - b) };
};

/** Number of the keyspace of a stored key that begins with FF; undefined: it is none of a mapped database. */
const idOf = (key: Uint8Array): number | undefined => {
  if (key[1] === 0) return 0;
  const id = key.length >= KEYSPACE_PREFIX_BYTES ? keyspaceOf(key, 0, key.length) : 0;
  return id > 0 ? id : undefined;
};

/** What all keys of a keyspace lie before. */
const behind = (id: number): Uint8Array => {
  if (id === 0) return Uint8Array.of(0xff, 1);
  return id === KEYSPACE_ID_MAX ? Uint8Array.of(0xff, 2) : Uint8Array.of(0xff, 1, (id + 1) >>> 8, (id + 1) & 0xff);
};
