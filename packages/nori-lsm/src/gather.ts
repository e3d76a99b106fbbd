// Turns what callers give to `put`, `delete` and `batch` into checked bytes, operations and conditions.
import { toBytes } from './bytes.js';
import { type Condition, conditionOf } from './conditions.js';
import { rangeOf } from './cursor-bounds.js';
import { checkBatchSize } from './engine.js';
import { invalid } from './errors.js';
import type { KeyMap } from './key-map.js';
import type { Scope } from './keyspace-list.js';
import { checkEntrySize, fittedRange, KIND_PUT, KIND_RANGE_TOMBSTONE, KIND_TOMBSTONE } from './limits.js';
import type { BatchOperation, Bytes, KeyBounds, KeyspaceSettings } from './types.js';
import { WriteBatch } from './write-batch.js';

/** The value of a delete. */
export const NO_VALUE = new Uint8Array(0);

/** What the operations of a batch are gathered in. */
export interface Gatherer {
  readonly count: number;
  /** Sum of the lengths of keys and values. */
  readonly dataBytes: number;
  add(kind: number, key: Uint8Array, value: Uint8Array, expiresAtMs: number): void;
}

/** What gathering needs of the database. */
export interface GatherContext {
  /** The absolute expiry of a put with this `ttlMs`, in a keyspace with these settings. */
  expiryOf(ttlMs: number | undefined, settings: KeyspaceSettings): number;
  /** The keyspace that an operation names; undefined: that of the batch. @throws LsmError `LSM_UNKNOWN_KEYSPACE` */
  scopeOf(keyspace: BatchOperation['keyspace']): Scope;
}

/**
 * Adds operations to what is going to be applied together.
 * @returns what is asked for before any of them is applied; undefined if nothing is
 */
export const gatherOperations = (
  operations: readonly BatchOperation[],
  target: Gatherer,
  context: GatherContext,
): Condition[] | undefined => {
  let conditions: Condition[] | undefined;
  for (const operation of operations) {
    const { keyspace } = operation;
    const { keys, settings } = context.scopeOf(keyspace);
    if (operation.type === 'deleteRange') refuseConditions(operation, 'A delete of a range');
    if (operation.type === 'deleteRange') gatherRange(operation, keys, target);
    else {
      const key = keys.toStored(checkedKey(operation.key));
      gatherOne(operation, key, target, (ttlMs) => context.expiryOf(ttlMs, settings));
      const condition = conditionIn(key, operation, keys);
      if (condition !== undefined) (conditions ??= []).push(condition);
    }
    checkBatchSize(target.count + (conditions?.length ?? 0), target.dataBytes);
  }
  return conditions;
};

type KeyOperation = Exclude<BatchOperation, { readonly type: 'deleteRange' }>;

const gatherOne = (
  operation: KeyOperation,
  key: Uint8Array,
  target: Gatherer,
  expiryOf: (ttlMs: number | undefined) => number,
): void => {
  if (operation.type === 'put') {
    const value = checkedValue(operation.value);
    checkEntrySize(key.length, value.length);
    target.add(KIND_PUT, key, value, expiryOf(operation.ttlMs));
  } else if (operation.type === 'delete') {
    checkEntrySize(key.length, 0);
    target.add(KIND_TOMBSTONE, key, NO_VALUE, 0);
  } else if (operation.type === 'check') checkEntrySize(key.length, 0);
  else {
    const { type } = operation as { readonly type: unknown };
    throw invalid(`An operation's type must be put, delete, deleteRange or check, not ${type}`);
  }
};

const conditionIn = (key: Uint8Array, operation: KeyOperation, keys: KeyMap): Condition | undefined => {
  if (operation.ifAbsent !== undefined || 'ifVersion' in operation) return conditionOf(key, operation, keys);
  if (operation.type === 'check') throw invalid('A check must have ifAbsent or ifVersion');
  return undefined;
};

/** @throws LsmError `LSM_INVALID_ARGUMENT` if conditions are stated where they mean nothing */
export const refuseConditions = (from: object, what: string): void => {
  if ('ifAbsent' in from || 'ifVersion' in from)
    throw invalid(`${what} takes no conditions; state them with operations`);
};

/** Adds a delete of a range; an empty range adds nothing. */
const gatherRange = (bounds: KeyBounds, keys: KeyMap, target: Gatherer): void => {
  const range = deletedRange(bounds, keys);
  if (range !== undefined) target.add(KIND_RANGE_TOMBSTONE, ...range, 0);
};

/**
 * First and end key of a range that is to be deleted, as they are stored (an empty end: there is none); undefined if the range is empty.
 * @throws LsmError `LSM_INVALID_ARGUMENT` if it has no bound
 */
export const deletedRange = (
  bounds: KeyBounds,
  keys: KeyMap,
): readonly [start: Uint8Array, end: Uint8Array] | undefined => {
  const { gte, gt, lte, lt, prefix } = bounds;
  if ((gte ?? gt ?? lte ?? lt ?? prefix) === undefined) {
    throw invalid("A delete of a range needs a bound or a prefix; { gte: '' } deletes everything");
  }
  const range = rangeOf(bounds);
  // Nothing comes before the empty key; behind the last one, an empty end stands for "none".
  if (range.upper?.length === 0) return undefined;
  const { lower, upper = NO_VALUE } = keys.toStoredRange(range);
  return fittedRange(lower, upper);
};

/** The batch with its keys as they are stored: itself if they are stored as they are. */
export const storedBatch = (batch: WriteBatch, keys: KeyMap): WriteBatch => {
  const isStored = (key: Uint8Array, i: number): boolean =>
    batch.kinds[i] !== KIND_RANGE_TOMBSTONE && keys.toStored(key) === key;
  if (batch.keys.every(isStored)) return batch;
  const stored = new WriteBatch();
  for (let i = 0; i < batch.count; i++) {
    const [key, value] = [batch.keys[i]!, batch.values[i]!];
    if (batch.kinds[i] === KIND_PUT) stored.put(keys.toStored(key), value, batch.expiries[i]);
    else if (batch.kinds[i] === KIND_TOMBSTONE) stored.delete(keys.toStored(key));
    else {
      const { lower, upper } = keys.toStoredRange({ lower: key, upper: value.length === 0 ? undefined : value });
      stored.deleteRange(lower, upper ?? NO_VALUE);
    }
  }
  return stored;
};

/** Gathers in a batch. */
export const gathererOf = (batch: WriteBatch): Gatherer => ({
  get count() {
    return batch.count;
  },
  get dataBytes() {
    return batch.bytes;
  },
  add(kind, key, value, expiresAtMs) {
    if (kind === KIND_PUT) batch.put(key, value, expiresAtMs);
    else if (kind === KIND_TOMBSTONE) batch.delete(key);
    else batch.deleteRange(key, value);
  },
});

export const checkedKey = (key: Bytes): Uint8Array => {
  const bytes = toBytes(key);
  if (!(bytes instanceof Uint8Array)) throw invalid('A key must be a Uint8Array or a string');
  return bytes;
};

export const checkedValue = (value: Bytes): Uint8Array => {
  const bytes = toBytes(value);
  if (!(bytes instanceof Uint8Array)) throw invalid('A value must be a Uint8Array or a string');
  return bytes;
};
