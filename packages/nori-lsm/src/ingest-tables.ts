// The tables of an ingestion (ingest.ts): how they come into the directory, what is refused, which change of the tree takes them in.
//
// All entries of an ingested table have one sequence number, which the manifest keeps (`sequence` of TableMeta): they are newer than
// everything before, so that a table may lie only above all that overlaps it. The lowest such level is where it goes.
import type { FileSystem } from 'nori-io';
import { SSTableReader, type TableProperties } from 'nori-sstable';
import type { Background } from './background.js';
import { compareKeys } from './bytes.js';
import { linkOrCopy } from './checkpoint.js';
import { codeOf, LsmError, toLsmError } from './errors.js';
import { type KeyMap, PLAIN_KEYS } from './key-map.js';
import { LAST_LEVEL } from './level-targets.js';
import { LEVELS } from './limits.js';
import type { ManifestEdit } from './manifest-edit.js';
import type { RangeTombstone } from './range-tombstones.js';
import { type TableMeta, tableName } from './table-meta.js';
import type { Tree } from './tree.js';

/** A table that is in the directory but not yet in the tree. */
export interface PreparedTable {
  readonly number: number;
  readonly properties: TableProperties;
}

/** What tables are to become tables of. */
export interface Destination {
  readonly background: Background;
  /** The keyspace that the keys are to be of. */
  readonly keys: KeyMap;
  readonly isVerified: boolean;
}

/**
 * Links tables into the directory of the database and looks at them; in key order. Tables of a keyspace whose keys are stored in another
 * form are written anew. Nothing is left if it fails.
 */
export const prepareTables = async (paths: readonly string[], destination: Destination): Promise<PreparedTable[]> => {
  const { options, tree } = destination.background;
  const { fs, dir } = options;
  const prepared: PreparedTable[] = [];
  const first = tree.allocate(paths.length);
  try {
    for (const [i, path] of paths.entries()) {
      const own = `${dir}/${tableName(first + i)}`;
      const properties = await takeTable(fs, path, own, destination.isVerified);
      if (properties !== undefined) prepared.push({ number: first + i, properties });
    }
    prepared.sort((a, b) => compareKeys(a.properties.smallestKey, b.properties.smallestKey));
    checkDisjoint(prepared);
    return await mapped(prepared, destination);
  } catch (error) {
    await removeFiles(
      fs,
      dir,
      paths.map((_, i) => first + i),
    );
    throw error;
  }
};

/** The tables with their keys as the database stores them. */
const mapped = async (prepared: readonly PreparedTable[], destination: Destination): Promise<PreparedTable[]> => {
  const { background, keys } = destination;
  const { fs, dir } = background.options;
  const found: PreparedTable[] = [];
  try {
    for (const table of prepared) {
      const { largestKey } = table.properties;
      // If the largest key is stored as it is, so are all.
      const stored = keys.toStored(largestKey);
      if (stored.length === largestKey.length) found.push(table);
      else found.push(...(await rewritten(table, destination)));
    }
  } catch (error) {
    await removeFiles(
      fs,
      dir,
      found.map(({ number }) => number),
    );
    throw error;
  }
  const used = new Set(found.map(({ number }) => number));
  await removeFiles(
    fs,
    dir,
    prepared.flatMap(({ number }) => (used.has(number) ? [] : [number])),
  );
  return found;
};

/** The table written anew, in a thread of its own. */
const rewritten = async (
  { number, properties }: PreparedTable,
  { background, keys }: Destination,
): Promise<PreparedTable[]> => {
  const { options, tree } = background;
  const { fs, dir } = options;
  const { tables } = await options.executor.run({
    kind: 'export',
    ...background.taskSettings(LAST_LEVEL, [], 0),
    horizon: 0,
    inputs: [{ number, sequence: 0, run: 0 }],
    outputDir: dir,
    firstNumber: tree.allocate(),
    fromKeys: PLAIN_KEYS.id,
    toKeys: keys.id,
    withTombstones: true,
    lower: properties.smallestKey,
    upper: undefined,
    seq: Number.MAX_SAFE_INTEGER,
    tableBytes: Number.POSITIVE_INFINITY,
  });
  return Promise.all(
    tables.map(async (meta) => {
      const reader = await SSTableReader.open({ fs, path: `${dir}/${tableName(meta.number)}` });
      await reader.close();
      return { number: meta.number, properties: reader.properties };
    }),
  );
};

/** Removes tables that are not in the tree. */
export const removeFiles = async (fs: FileSystem, dir: string, numbers: readonly number[]): Promise<void> => {
  for (const number of numbers) await fs.unlink(`${dir}/${tableName(number)}`).catch(() => {});
};

/** Undefined if the table has no entries: then it is not taken. */
const takeTable = async (
  fs: FileSystem,
  path: string,
  own: string,
  isVerified: boolean,
): Promise<TableProperties | undefined> => {
  if ((await fs.stat(path))?.kind !== 'file') {
    throw new LsmError('LSM_NOT_FOUND', `There is no table at ${path}. Nothing was taken.`, { file: path });
  }
  await linkOrCopy(fs, path, own);
  const reader = await openForeign(fs, own, path);
  try {
    if (isVerified) await reader.verify();
    const { properties } = reader;
    if (properties.entries !== properties.keys) {
      throw new LsmError(
        'LSM_INVALID_TABLE',
        `${path} has several versions of a key; a table to be taken must have each key once. Nothing was taken.`,
        { file: path },
      );
    }
    if (properties.entries === 0) {
      await fs.unlink(own);
      return undefined;
    }
    return properties;
  } catch (error) {
    throw toLsmError(error, `Cannot take ${path}`);
  } finally {
    await reader.close();
  }
};

const openForeign = async (fs: FileSystem, own: string, path: string): Promise<SSTableReader> => {
  try {
    // Whoever wrote it may not have synced it.
    const file = await fs.open(own, 'read');
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    return await SSTableReader.open({ fs, path: own });
  } catch (error) {
    if (codeOf(error) !== 'SSTABLE_NOT_A_TABLE') throw toLsmError(error, `Cannot take ${path}`);
    throw new LsmError('LSM_INVALID_TABLE', `${path} is no table. Nothing was taken.`, { file: path, cause: error });
  }
};

const checkDisjoint = (prepared: readonly PreparedTable[]): void => {
  for (let i = 1; i < prepared.length; i++) {
    if (compareKeys(prepared[i - 1]!.properties.largestKey, prepared[i]!.properties.smallestKey) < 0) continue;
    throw new LsmError(
      'LSM_TABLES_OVERLAP',
      'Two of the tables to be taken overlap. Take them one after the other, the newer one last. Nothing was taken.',
    );
  }
};

/** What is decided while nothing else may change the tree. */
export interface IngestPlan {
  readonly tables: readonly PreparedTable[];
  /** The sequence number of all entries. */
  readonly sequence: number;
  /** A range that is deleted in the same moment; its sequence number is below that of the entries. */
  readonly replaced: RangeTombstone | undefined;
  /** Undefined: the lowest level that each table can be in. */
  readonly level: number | undefined;
}

/** The change of the tree that takes the tables in. @throws LsmError `LSM_TABLES_OVERLAP` if they cannot be in the level asked for */
export const ingestEdit = (tree: Tree, plan: IngestPlan): ManifestEdit => {
  const added = plan.tables.map((table) => {
    const lowest = lowestLevel(tree, table.properties);
    if (plan.level !== undefined && plan.level > lowest) {
      const message = `A table cannot be in level ${plan.level}: tables in its range are in level ${lowest + 1} or above. Nothing was taken.`;
      throw new LsmError('LSM_TABLES_OVERLAP', message);
    }
    return { level: plan.level ?? lowest, meta: metaOf(table, plan.sequence) };
  });
  return {
    usedSeq: plan.sequence,
    added,
    // What it hides is not dropped here: a snapshot may be opened until the edit is there.
    ...(plan.replaced === undefined || !isNeeded(tree, plan.replaced) ? {} : { addedRanges: [plan.replaced] }),
  };
};

/** True if a table has something in the range. */
const isNeeded = (tree: Tree, { start, end }: RangeTombstone): boolean =>
  tree.current.levels.some((_, level) => tree.current.overlappingRange(level, start, end).length > 0);

const lowestLevel = (tree: Tree, { smallestKey, largestKey }: TableProperties): number => {
  for (let level = 0; level < LEVELS; level++) {
    if (tree.current.overlapping(level, smallestKey, largestKey).length > 0) return Math.max(0, level - 1);
  }
  return LAST_LEVEL;
};

const metaOf = ({ number, properties }: PreparedTable, sequence: number): TableMeta => ({
  number,
  fileBytes: properties.fileBytes,
  entries: properties.entries,
  tombstones: properties.tombstones,
  expiring: properties.expiring,
  earliestExpiryMs: properties.earliestExpiryMs,
  shadowed: 0,
  smallestSeq: sequence,
  largestSeq: sequence,
  cleanSeq: sequence,
  sequence,
  smallestKey: properties.smallestKey,
  largestKey: properties.largestKey,
});
