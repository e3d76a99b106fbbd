// Everything in a table as a sequence of plain objects, for tools that print it. Keys and values are copies.
import { compareKeys } from './compare.js';
import { TableCursor } from './table-cursor.js';
import type { TableFile } from './table-file.js';
import type { TableEntry, TableProperties } from './types.js';

/** One thing in a table, told apart by `type`, in the order of the file: blocks each followed by their entries. */
export type TableDumpItem =
  | {
      readonly type: 'block';
      readonly number: number;
      /** Where its contents begin in the file, and their size. */
      readonly offset: number;
      readonly size: number;
      readonly separatorKey: Uint8Array;
      readonly separatorSeq: number;
    }
  | ({ readonly type: 'entry'; readonly block: number } & TableEntry)
  | {
      /** A part of a two-level index, before the blocks that it names. */
      readonly type: 'index-partition';
      readonly number: number;
      readonly offset: number;
      readonly size: number;
    }
  | { readonly type: 'filter'; readonly offset: number; readonly size: number }
  | { readonly type: 'index'; readonly offset: number; readonly size: number }
  | {
      readonly type: 'properties';
      readonly offset: number;
      readonly size: number;
      readonly properties: TableProperties;
    };

export function* dumpTable(table: TableFile): Generator<TableDumpItem, void, void> {
  const { footer, properties, index } = table.contents;
  const cursor = new TableCursor(table, { fillCache: false });
  cursor.first();
  let number = 0;
  for (let p = 0; p < table.partCount; p++) {
    const part = table.part(p, false);
    if (footer.hasTwoLevelIndex) {
      yield { type: 'index-partition', number: p, offset: index.offset(p), size: index.size(p) };
    }
    for (let i = 0; i < part.count; i++, number++) {
      const separatorKey = part.separatorKey(i).slice();
      const separatorSeq = part.separatorSeq(i);
      yield { type: 'block', number, offset: part.offset(i), size: part.size(i), separatorKey, separatorSeq };
      for (; cursor.valid && !isAfter(cursor, separatorKey, separatorSeq); cursor.next()) {
        const { seq, kind, expiresAtMs } = cursor;
        const [key, value] = [cursor.key.slice(), cursor.value.slice()];
        yield { type: 'entry', block: number, key, seq, kind, expiresAtMs, value };
      }
    }
  }
  if (footer.filter) yield { type: 'filter', ...footer.filter };
  yield { type: 'index', ...footer.index };
  yield { type: 'properties', ...footer.properties, properties };
}

function isAfter(cursor: TableCursor, key: Uint8Array, seq: number): boolean {
  const order = compareKeys(cursor.key, key);
  return order > 0 || (order === 0 && cursor.seq < seq);
}
