// Most batches hold puts and deletes of the database's own, in its own encodings. abstract-level clones each operation twice, for hooks,
// listeners and sublevels that are not there: such batches are turned into the store's here instead.
import type { BatchOperation } from '../types.js';
import type { Stored } from './encoding.js';

/** An encoding of abstract-level, as far as it is needed here. */
interface Encoder {
  encode(data: unknown): Stored;
}

/** What a caller may have put into an operation. */
interface GivenOperation {
  readonly type: unknown;
  readonly key: unknown;
  readonly value?: unknown;
  readonly ttlMs?: number;
}

const OTHERS = ['sublevel', 'keyEncoding', 'valueEncoding'] as const;

/** True if options of a batch ask for nothing that abstract-level has to see to. */
export const arePlainOptions = (options: object): boolean => !OTHERS.some((name) => name in options);

/** The store's operations; undefined if one of the caller's is not plain, or not right: abstract-level is to see to all of them. */
export const plainBatch = (
  operations: readonly unknown[],
  keyEncoding: Encoder,
  valueEncoding: Encoder,
): BatchOperation[] | undefined => {
  const batch: BatchOperation[] = [];
  for (const given of operations) {
    if (typeof given !== 'object' || given === null || !arePlainOptions(given)) return undefined;
    const { type, key, value, ttlMs } = given as GivenOperation;
    if (key === null || key === undefined) return undefined;
    if (type === 'put' && value !== null && value !== undefined) {
      const put = { type, key: keyEncoding.encode(key), value: valueEncoding.encode(value) } as const;
      batch.push(ttlMs === undefined ? put : { ...put, ttlMs });
    } else if (type === 'del') batch.push({ type: 'delete', key: keyEncoding.encode(key) });
    else return undefined;
  }
  return batch;
};
