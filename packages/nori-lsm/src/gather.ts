// Turns what callers give to `put`, `delete` and `batch` into checked bytes, operations and conditions.
import { toBytes } from './bytes.js';
import { type Condition, conditionOf } from './conditions.js';
import { checkBatchSize } from './engine.js';
import { invalid } from './errors.js';
import { checkEntrySize, KIND_PUT, KIND_TOMBSTONE } from './limits.js';
import type { BatchOperation, Bytes } from './types.js';
import type { WriteBatch } from './write-batch.js';

/** The value of a delete. */
export const NO_VALUE = new Uint8Array(0);

/** What the operations of a batch are gathered in. */
export interface Gatherer {
  readonly count: number;
  /** Sum of the lengths of keys and values. */
  readonly dataBytes: number;
  add(kind: number, key: Uint8Array, value: Uint8Array, expiresAtMs: number): void;
}

/**
 * Adds operations to what is going to be applied together.
 * @param expiryOf the absolute expiry of a put with this `ttlMs`
 * @returns what is asked for before any of them is applied; undefined if nothing is
 */
export const gatherOperations = (
  operations: readonly BatchOperation[],
  target: Gatherer,
  expiryOf: (ttlMs: number | undefined) => number,
): Condition[] | undefined => {
  let conditions: Condition[] | undefined;
  for (const operation of operations) {
    const key = checkedKey(operation.key);
    if (operation.type === 'put') {
      const value = checkedValue(operation.value);
      checkEntrySize(key.length, value.length);
      target.add(KIND_PUT, key, value, expiryOf(operation.ttlMs));
    } else if (operation.type === 'delete') {
      checkEntrySize(key.length, 0);
      target.add(KIND_TOMBSTONE, key, NO_VALUE, 0);
    } else if (operation.type !== 'check') {
      throw invalid(`An operation's type must be put, delete or check, not ${(operation as { type: unknown }).type}`);
    }
    if (operation.ifAbsent !== undefined || operation.ifVersion !== undefined) {
      const condition = conditionOf(key, operation);
      if (condition !== undefined) (conditions ??= []).push(condition);
    } else if (operation.type === 'check') throw invalid('A check must have ifAbsent or ifVersion');
    checkBatchSize(target.count + (conditions?.length ?? 0), target.dataBytes);
  }
  return conditions;
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
    else batch.delete(key);
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
