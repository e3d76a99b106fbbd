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
  | { readonly type: 'filter'; readonly offset: number; readonly size: number }
  | { readonly type: 'index'; readonly offset: number; readonly size: number }
  | {
      readonly type: 'properties';
      readonly offset: number;
      readonly size: number;
      readonly properties: TableProperties;
    };

export function* dumpTable(table: TableFile): Generator<TableDumpItem, void, void> {
  const { index } = table;
  const { footer, properties } = table.contents;
  const cursor = new TableCursor(table, { fillCache: false });
  cursor.first();
  for (let number = 0; number < index.count; number++) {
    const separatorKey = index.separatorKey(number).slice();
    const separatorSeq = index.separatorSeq(number);
    yield { type: 'block', number, offset: index.offset(number), size: index.size(number), separatorKey, separatorSeq };
    while (cursor.valid && !isAfter(cursor, separatorKey, separatorSeq)) {
      const { seq, kind, expiresAtMs } = cursor;
      yield {
        type: 'entry',
        block: number,
        key: cursor.key.slice(),
        seq,
        kind,
        expiresAtMs,
        value: cursor.value.slice(),
      };
      cursor.next();
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
