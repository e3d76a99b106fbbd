// Looks one key up in the tables: newest first, L0 table by table, then one table a level. The filters keep it from reading
// tables that do not hold the key; the last table that may hold it probably does, and is searched first if that needs no read.
import { hashKey, KeyHash, type TableEntry } from 'nori-sstable';
import { compareKeys } from './bytes.js';
import type { Version } from './version.js';

const hash = new KeyHash();

/** The newest version of `key` not above `seq`, tombstones included. @throws SSTableError, IoError */
export const findInTables = (version: Version, key: Uint8Array, seq: number): TableEntry | undefined => {
  const level0 = version.levels[0]!;
  const { runs } = version;
  const lastRun = runs.length - 1;
  if (level0.length > 0 || lastRun > 0) hashKey(key, hash);
  for (let i = 0; i < level0.length; i++) {
    const table = level0[i]!;
    if (compareKeys(key, table.smallestKey) < 0 || compareKeys(key, table.largestKey) > 0) continue;
    const entry = table.get(key, seq, hash);
    if (entry !== undefined) return entry;
  }
  for (let i = 0; i < lastRun; i++) {
    const table = runs[i]!.tableFor(key);
    if (table === undefined || compareKeys(key, table.smallestKey) < 0) continue;
    const entry = table.get(key, seq, hash);
    if (entry !== undefined) return entry;
  }
  return lastRun < 0 ? undefined : runs[lastRun]!.tableFor(key)?.getExpected(key, seq);
};
