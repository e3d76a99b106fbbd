// The tables of the tree at one moment: an immutable list per level. L0 holds flushed memtables, newest first, which may
// overlap; every other level is disjoint and in key order. Cursors hold the version they began with.
import { compareKeys } from './bytes.js';
import { LEVELS } from './limits.js';
import type { Table } from './table.js';

/** One state of the tree. Made with one reference; the last {@link Version.release} lets its tables go. */
export class Version {
  readonly levels: readonly (readonly Table[])[];
  #references = 1;

  constructor(levels: readonly (readonly Table[])[]) {
    this.levels = levels;
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

  bytesIn(level: number): number {
    let bytes = 0;
    for (const table of this.levels[level]!) bytes += table.meta.fileBytes;
    return bytes;
  }

  /** Level of the deepest table; 0 if there is none below L0. */
  get deepestLevel(): number {
    let level = LEVELS - 1;
    while (level > 0 && this.levels[level]!.length === 0) level--;
    return level;
  }

  /** The tables of a level that hold keys from `smallest` to `largest`, both included. */
  overlapping(level: number, smallest: Uint8Array, largest: Uint8Array): Table[] {
    return this.levels[level]!.filter(
      (table) => compareKeys(table.largestKey, smallest) >= 0 && compareKeys(table.smallestKey, largest) <= 0,
    );
  }

  /** The version that follows when tables go and others come, each to its level. */
  edited(removed: ReadonlySet<number>, added: readonly { readonly level: number; readonly table: Table }[]): Version {
    const levels = this.levels.map((tables) =>
      removed.size === 0 ? [...tables] : tables.filter((table) => !removed.has(table.meta.number)),
    );
    const changed = new Set<number>();
    for (const { level, table } of added) {
      levels[level]!.push(table);
      changed.add(level);
    }
    for (const level of changed) sortLevel(level, levels[level]!);
    return new Version(levels);
  }
}

/** Orders tables as their level wants them: L0 newest first, others by key. */
export const sortLevel = (level: number, tables: Table[]): void => {
  if (level === 0) tables.sort((a, b) => b.meta.largestSeq - a.meta.largestSeq);
  else tables.sort((a, b) => compareKeys(a.smallestKey, b.smallestKey));
};
