// Comparing a database with its model. All of these throw an error that tells the difference.
import { compareKeys } from '../../src/bytes.js';
import type { Cursor, KeyedStore, Lsm } from '../../src/index.js';
import { hex, text } from '../support.js';
import type { HistoryView, KeyModel } from './model.js';

/** What a power failure must leave. */
export interface RecoveryPromise {
  /** Operations that must be there. */
  readonly durable: number;
  /** Operations that were issued. */
  readonly issued: number;
  readonly history: HistoryView;
}

/**
 * Throws unless the database holds a prefix of the writes issued, with all that was promised.
 * @returns what it holds
 */
export const checkRecovered = (
  db: Lsm,
  { durable, issued, history }: RecoveryPromise,
  {
    keys,
    wal,
    nowMs,
    keyspace,
  }: { readonly keys: readonly Uint8Array[]; readonly wal: boolean; readonly nowMs: number; readonly keyspace: string },
): KeyModel => {
  const recovered = db.stats().lastSequence;
  if (recovered < durable) throw new Error(`${recovered} operations were recovered; ${durable} were promised`);
  if (recovered > issued) throw new Error(`${recovered} operations were recovered; only ${issued} were issued`);
  const state = history.stateAt(recovered, keys);
  if (state === undefined) throw new Error(`operation ${recovered}, the last one recovered, splits a batch`);
  if (!wal) {
    const mark = Number(text(db.durableMarks().get(MARK_ID)) ?? 0);
    if (mark !== recovered) throw new Error(`the mark tells of ${mark} operations; the tables have ${recovered}`);
  }
  const store = storeIn(db, keyspace);
  const expected = state.list({}, nowMs);
  if (store !== undefined) compareList(store.cursor(), expected, state);
  else if (expected.length > 0) throw new Error(`the keyspace ${keyspace} is lost`);
  const count = storeIn(db, OTHER)?.getSync(COUNTER);
  const expectedCount = history.countAt(recovered);
  if (text(count) !== expectedCount?.toString()) {
    throw new Error(`the counter of the other keyspace is ${text(count)} instead of ${expectedCount}`);
  }
  return state;
};

/** A keyspace that batches write to beside the one of the run, and the key there. */
export const OTHER = 'other';
export const COUNTER = 'counter';

/** A keyspace of the database; undefined: it is not there. */
export const storeIn = (db: Lsm, keyspace: string): KeyedStore | undefined =>
  keyspace === '' ? db : db.keyspaces().includes(keyspace) ? db.keyspace(keyspace) : undefined;

/** The id of the mark that tells how many operations the tables hold. */
export const MARK_ID = 7;

/** Throws unless the cursor shows exactly the entries in these slots; closes it. */
export const compareList = (cursor: Cursor, expected: readonly number[], model: KeyModel): void => {
  let count = 0;
  for (; cursor.valid; cursor.next()) {
    const slot = expected[count++];
    if (slot === undefined) throw new Error(`shows ${hex(cursor.key)}, which comes after the last of ${count - 1}`);
    compareEntry(cursor, slot, model);
  }
  cursor.close();
  if (count < expected.length) throw new Error(`shows ${count} entries of ${expected.length}`);
};

/** Throws unless the cursor stands on the entry in this slot. */
export const compareEntry = (cursor: Cursor, slot: number, model: KeyModel): void => {
  if (compareKeys(cursor.key, model.keys[slot]!) !== 0) {
    throw new Error(`stands on ${hex(cursor.key)} instead of ${hex(model.keys[slot]!)}`);
  }
  const { value, expiresAtMs } = model.entries[slot]!;
  compareValue(cursor.value, value, slot, model);
  if (cursor.expiresAtMs !== expiresAtMs) throw new Error(`expires at ${cursor.expiresAtMs}, not at ${expiresAtMs}`);
};

/** Throws unless the values are the same. */
export const compareValue = (
  found: Uint8Array | undefined,
  expected: Uint8Array | undefined,
  slot: number,
  model: KeyModel,
): void => {
  const isSame =
    found === undefined || expected === undefined ? found === expected : Buffer.compare(found, expected) === 0;
  if (isSame) return;
  const show = (bytes: Uint8Array | undefined): string => (bytes === undefined ? 'nothing' : hex(bytes));
  throw new Error(`key ${hex(model.keys[slot]!)} (#${slot}) gives ${show(found)} instead of ${show(expected)}`);
};
