// The online check: every block of every table, and the order of tables in their levels.
import { compareKeys } from './bytes.js';
import { LsmError, toLsmError } from './errors.js';
import { LEVELS } from './limits.js';
import { tableName } from './table-meta.js';
import type { VerifyReport } from './types.js';
import type { Version } from './version.js';

/** Checks the tables of a version, which is held meanwhile. */
export const verifyTree = async (version: Version): Promise<VerifyReport> => {
  version.retain();
  const problems: LsmError[] = [];
  let tables = 0;
  let entries = 0;
  let bytes = 0;
  try {
    for (let level = 0; level < LEVELS; level++) {
      let before: Uint8Array | undefined;
      for (const table of version.tablesIn(level)) {
        const file = tableName(table.meta.number);
        tables++;
        try {
          const found = await table.reader.verify();
          entries += found.entries;
          bytes += found.bytes;
        } catch (error) {
          problems.push(toLsmError(error, `Table ${file}`));
        }
        if (level > 0 && before !== undefined && compareKeys(before, table.smallestKey) >= 0) {
          const what = `Table ${file} overlaps its neighbour in level ${level}.`;
          problems.push(new LsmError('LSM_CORRUPT_MANIFEST', what, { file, offset: 0 }));
        }
        before = table.largestKey;
      }
    }
  } finally {
    version.release();
  }
  return { tables, entries, bytes, problems };
};
