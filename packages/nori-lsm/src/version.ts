// The tables of the tree at one moment: an immutable list per level. L0 holds flushed memtables, newest first, which may
// overlap; every other level is disjoint and in key order. Cursors hold the version they began with. Versions share
// the lists of levels that did not change, and what was computed of them.
import { compareKeys } from './bytes.js';
import { LEVELS } from './limits.js';
import { SortedRun } from './sorted-run.js';
import type { Table } from './table.js';
import { firstEndingAtOrAfter } from './table-source.js';

/** One state of the tree. Made with one reference; the last {@link Version.release} lets its tables go. */
export class Version {
  readonly levels: readonly (readonly Table[])[];
  readonly #bytes: readonly number[];
  #references = 1;
  #runs: readonly SortedRun[] | undefined;

  /** @param bytes of the tables of each level, as far as known */
  constructor(levels: readonly (readonly Table[])[], bytes: readonly (number | undefined)[] = []) {
    this.levels = levels;
    this.#bytes = levels.map((tables, level) => bytes[level] ?? sumOf(tables));
    for (const tables of levels) for (const table of tables) table.retain();
  }

  static empty(): Version {
    return new Version(Array.from({ length: LEVELS }, () => []));
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    if (--this.#references > 0) return;
    for (const tables of this.levels) for (const table of tables) table.release();
  }

  tablesIn(level: number): readonly Table[] {
    return this.levels[level]!;
  }

  /** The levels below L0 that have tables, from the top. */
  get runs(): readonly SortedRun[] {
    this.#runs ??= this.levels.slice(1).flatMap((tables) => (tables.length > 0 ? [new SortedRun(tables)] : []));
    return this.#runs;
  }

  bytesIn(level: number): number {
    return this.#bytes[level]!;
  }

  /** Bytes of all tables. */
  get bytes(): number {
    return this.#bytes.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Level of the deepest table; 0 if there is none below L0. */
  get deepestLevel(): number {
    let level = LEVELS - 1;
    while (level > 0 && this.levels[level]!.length === 0) level--;
    return level;
  }

  /** The tables of a level that hold keys from `smallest` to `largest`, both included. */
  overlapping(level: number, smallest: Uint8Array, largest: Uint8Array): readonly Table[] {
    const tables = this.levels[level]!;
    if (tables.length === 0) return tables;
    if (level === 0) {
      return tables.filter(
        (table) => compareKeys(table.largestKey, smallest) >= 0 && compareKeys(table.smallestKey, largest) <= 0,
      );
    }
    const first = firstEndingAtOrAfter(tables, smallest);
    let end = first;
    while (end < tables.length && compareKeys(tables[end]!.smallestKey, largest) <= 0) end++;
    return tables.slice(first, end);
  }

  /** The tables of a level that hold keys from `start` on, and before `end`; an empty `end`: to the last key. */
  overlappingRange(level: number, start: Uint8Array, end: Uint8Array): readonly Table[] {
    const tables = this.levels[level]!;
    const isBefore = ({ smallestKey }: Table): boolean => end.length === 0 || compareKeys(smallestKey, end) < 0;
    if (level === 0) return tables.filter((table) => compareKeys(table.largestKey, start) >= 0 && isBefore(table));
    const first = firstEndingAtOrAfter(tables, start);
    let last = first;
    while (last < tables.length && isBefore(tables[last]!)) last++;
    return tables.slice(first, last);
  }

  /** The version that follows when tables go and others come, each to its level. */
  edited(removed: ReadonlySet<number>, added: readonly { readonly level: number; readonly table: Table }[]): Version {
    const bytes: (number | undefined)[] = [...this.#bytes];
    const levels = this.levels.map((tables, level) => {
      const isChanged =
        added.some((each) => each.level === level) ||
        (removed.size > 0 && tables.some((table) => removed.has(table.meta.number)));
      if (!isChanged) return tables;
      bytes[level] = undefined;
      const kept = tables.filter((table) => !removed.has(table.meta.number));
      for (const each of added) if (each.level === level) kept.push(each.table);
      sortLevel(level, kept);
      return kept;
    });
    return new Version(levels, bytes);
  }
}

/** Orders tables as their level wants them: L0 newest first, others by key. */
export const sortLevel = (level: number, tables: Table[]): void => {
  if (level === 0) tables.sort((a, b) => b.meta.largestSeq - a.meta.largestSeq);
  else tables.sort((a, b) => compareKeys(a.smallestKey, b.smallestKey));
};

const sumOf = (tables: readonly Table[]): number => {
  let bytes = 0;
  for (const { meta } of tables) bytes += meta.fileBytes;
  return bytes;
};
