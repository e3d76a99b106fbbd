// Checks table files: all of each, every block, and counts what can be read of those that are damaged. Changes nothing.
import type { FileSystem } from 'nori-io';
import { SSTableReader, salvageTable, type TableProperties } from 'nori-sstable';
import { codeOf, LsmError, toLsmError } from '../errors.js';
import { type TableMeta, tableName } from '../table-meta.js';
import type { LostRange } from './report.js';

/** One table file, as it was found. */
export interface TableFinding {
  readonly number: number;
  readonly file: string;
  /** Level and description, if a manifest lists it. */
  readonly level: number | undefined;
  readonly meta: TableMeta | undefined;
  /** `damaged`: some entries can be read; `unreadable`: none. */
  readonly state: 'sound' | 'damaged' | 'unreadable' | 'missing';
  readonly problems: readonly LsmError[];
  readonly entriesKept: number;
  readonly entriesLost: number | undefined;
  readonly blocksLost: number;
  readonly lost: readonly LostRange[];
  /** Largest sequence number of an entry that can be read, as the file has it. */
  readonly largestSeq: number;
  /** The sequence number of all entries, whatever the file says, if a manifest knows that it was ingested; else 0. */
  readonly sequence: number;
  readonly properties: TableProperties | undefined;
}

/** A table to look at. */
export interface TableToExamine {
  readonly number: number;
  readonly level?: number;
  readonly meta?: TableMeta;
  /** See {@link TableFinding}; default that of `meta`, else 0. */
  readonly sequence?: number;
}

const NOTHING = { entriesKept: 0, blocksLost: 0, lost: [], largestSeq: 0, properties: undefined, problems: [] };

/** @throws LsmError `LSM_UNSUPPORTED_VERSION`, `LSM_IO_FAILED` if the file cannot be opened */
export const examineTable = async (fs: FileSystem, dir: string, table: TableToExamine): Promise<TableFinding> => {
  const { number, level, meta } = table;
  const file = tableName(number);
  const path = `${dir}/${file}`;
  const sequence = table.sequence ?? meta?.sequence ?? 0;
  const base = { number, file, level, meta, sequence, ...NOTHING, entriesLost: meta?.entries };
  const whole: LostRange[] = [{ from: meta?.smallestKey, to: meta?.largestKey }];
  if ((await fs.stat(path)) === undefined) {
    const problem = new LsmError('LSM_MISSING_TABLE', `${path} is missing.`, { file: path });
    return { ...base, state: 'missing', problems: [problem], lost: whole };
  }
  const checked = await check(fs, path);
  const other = differs(checked.properties, meta);
  if (other) {
    const problem = new LsmError('LSM_CORRUPT_TABLE', `${path} is not the table that the manifest describes.`, {
      file: path,
      offset: 0,
    });
    return { ...base, state: 'unreadable', problems: [problem], lost: whole };
  }
  const { properties, problem } = checked;
  if (problem === undefined && properties !== undefined) {
    const { entries, largestSeq } = properties;
    return { ...base, state: 'sound', entriesKept: entries, entriesLost: 0, largestSeq, properties };
  }
  const salvaged = await dryRun(fs, path, problem!);
  const total = meta?.entries ?? salvaged.properties?.entries;
  const entriesLost = total === undefined ? undefined : total - salvaged.entriesKept;
  if (salvaged.entriesKept > 0 && !differs(salvaged.properties, meta)) {
    return { ...base, ...salvaged, state: 'damaged', entriesLost };
  }
  const lost = salvaged.entriesKept > 0 || salvaged.lost.length === 0 ? whole : salvaged.lost;
  return { ...base, ...salvaged, state: 'unreadable', entriesKept: 0, entriesLost: total, largestSeq: 0, lost };
};

const differs = (properties: TableProperties | undefined, meta: TableMeta | undefined): boolean =>
  meta !== undefined &&
  properties !== undefined &&
  (properties.fileBytes !== meta.fileBytes || properties.entries !== meta.entries);

/** What a reader of the table says: the first damage, if any. */
const check = async (fs: FileSystem, path: string): Promise<{ properties?: TableProperties; problem?: LsmError }> => {
  let reader: SSTableReader;
  try {
    reader = await SSTableReader.open({ fs, path });
  } catch (error) {
    return { problem: damageOf(error, path) };
  }
  const { properties } = reader;
  try {
    await reader.verify();
    return { properties };
  } catch (error) {
    return { properties, problem: damageOf(error, path) };
  } finally {
    await reader.close();
  }
};

/** Counts what {@link salvageTable} gives. */
const dryRun = async (fs: FileSystem, path: string, first: LsmError) => {
  const problems: LsmError[] = [];
  const lost: LostRange[] = [];
  let properties: TableProperties | undefined;
  let entriesKept = 0;
  let largestSeq = 0;
  try {
    for await (const item of salvageTable(fs, path)) {
      if (item.type === 'properties') properties = item.properties;
      else if (item.type === 'block') {
        entriesKept += item.entries.length;
        for (const { seq } of item.entries) largestSeq = Math.max(largestSeq, seq);
      } else {
        problems.push(toLsmError(item.problem, path));
        if (item.type === 'lost') lost.push({ from: item.from, to: item.to });
      }
    }
  } catch (error) {
    problems.push(damageOf(error, path, true));
  }
  // What only a comparison of all parts shows is no damage of one of them.
  if (problems.length === 0) problems.push(first);
  return { problems, lost, blocksLost: lost.length, properties, entriesKept, largestSeq };
};

/**
 * The damage that an error tells of. What is no damage is thrown: a file that may not be opened, or of a later version (which a
 * salvage tells from damage that looks like one).
 */
const damageOf = (error: unknown, path: string, isSalvage = false): LsmError => {
  const code = codeOf(error);
  const isUnsupported = code.startsWith('SSTABLE_UNSUPPORTED');
  const isDamage = code.startsWith('SSTABLE_') || code === 'IO_FAILED';
  if (!isDamage || (isUnsupported && isSalvage)) throw toLsmError(error, `Cannot read ${path}`);
  const { message, offset } = error as { message: string; offset?: number };
  return new LsmError('LSM_CORRUPT_TABLE', `${path}: ${message}`, { file: path, offset: offset ?? 0, cause: error });
};
