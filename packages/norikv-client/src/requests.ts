// From what callers give to what is sent: text to bytes, limits, names to numbers. Everything that can be refused here is
// refused here, with an error that names field, limit and value.
import { Consistency as ConsistencyNumber, LIMITS, OPERATION_KIND } from 'norikv-protocol';
import { invalidArgument, NoriError } from './errors.js';
import type { OperationRow } from './operation.js';
import { checkInteger } from './options.js';
import { Slab } from './slab.js';
import type { BatchOperation, Bytes, Consistency, Version } from './types.js';

const slab = new Slab();
const NO_BYTES = new Uint8Array(0);

const CONSISTENCIES: Readonly<Record<Consistency, number>> = {
  // The default of the wire, so that the column can stay empty.
  lease: ConsistencyNumber.UNSPECIFIED,
  linearizable: ConsistencyNumber.LINEARIZABLE,
  stale_ok: ConsistencyNumber.STALE_OK,
};

/** Bytes of a key, value or bound. */
export const toBytes = (name: string, bytes: Bytes): Uint8Array => {
  if (typeof bytes === 'string') return slab.encode(bytes);
  if (bytes instanceof Uint8Array) return bytes;
  throw invalidArgument(`${name} must be a string or a Uint8Array`);
};

/** Bytes of a key, its size checked. */
export const toKey = (key: Bytes): Uint8Array => {
  const bytes = toBytes('key', key);
  if (bytes.length < LIMITS.keyBytesMin) throw invalidArgument('The key is empty; it must have 1 byte at least');
  if (bytes.length > LIMITS.keyBytesMax) {
    throw invalidArgument(`The key has ${bytes.length} bytes; the limit is ${LIMITS.keyBytesMax}`);
  }
  return bytes;
};

/** Bytes of a value, its size checked. */
export const toValue = (value: Bytes): Uint8Array => {
  const bytes = toBytes('value', value);
  if (bytes.length > LIMITS.valueBytesMax) {
    throw invalidArgument(`The value has ${bytes.length} bytes; the limit is ${LIMITS.valueBytesMax}`);
  }
  return bytes;
};

/** Number of a consistency. */
export const toConsistency = (consistency: Consistency | undefined): number => {
  if (consistency === undefined) return CONSISTENCIES.lease;
  if (Object.hasOwn(CONSISTENCIES, consistency)) return CONSISTENCIES[consistency];
  const allowed = Object.keys(CONSISTENCIES).join(', ');
  throw invalidArgument(`consistency is ${JSON.stringify(consistency)}; allowed are ${allowed}`);
};

const toVersion = (version: Version | undefined): Version | undefined => {
  if (version === undefined) return undefined;
  if (typeof version !== 'object' || version === null) throw invalidArgument('ifVersion must be { term, index }');
  return {
    term: checkInteger('ifVersion.term', version.term, 0, LIMITS.integerMax),
    index: checkInteger('ifVersion.index', version.index, 0, LIMITS.integerMax),
  };
};

/** Row of a get. */
export const getRow = (key: Bytes): OperationRow => ({
  kind: OPERATION_KIND.get,
  key: toKey(key),
  value: NO_BYTES,
  ttlMs: 0,
  ifAbsent: false,
  ifVersion: undefined,
});

/** Conditions and expiry of a put. */
export interface PutConditions {
  readonly ttlMs?: number | undefined;
  readonly ifAbsent?: boolean | undefined;
  readonly ifVersion?: Version | undefined;
}

/** Row of a put. */
export const putRow = (key: Bytes, value: Bytes, { ttlMs, ifAbsent, ifVersion }: PutConditions): OperationRow => {
  if (ifAbsent !== undefined && typeof ifAbsent !== 'boolean') throw invalidArgument('ifAbsent must be true or false');
  if (ifAbsent && ifVersion !== undefined) throw invalidArgument('ifAbsent and ifVersion exclude each other');
  return {
    kind: OPERATION_KIND.put,
    key: toKey(key),
    value: toValue(value),
    ttlMs: ttlMs === undefined ? 0 : checkInteger('ttlMs', ttlMs, 1, LIMITS.integerMax),
    ifAbsent: ifAbsent ?? false,
    ifVersion: toVersion(ifVersion),
  };
};

/** Row of a delete. */
export const deleteRow = (key: Bytes, ifVersion: Version | undefined): OperationRow => ({
  kind: OPERATION_KIND.delete,
  key: toKey(key),
  value: NO_BYTES,
  ttlMs: 0,
  ifAbsent: false,
  ifVersion: toVersion(ifVersion),
});

/** Rows of a batch. */
export const batchRows = (operations: readonly BatchOperation[]): OperationRow[] => {
  if (!Array.isArray(operations)) throw invalidArgument('batch takes an array of operations');
  return operations.map((operation: BatchOperation, at) => {
    if (operation?.type === 'put') return putRow(operation.key, operation.value, operation);
    if (operation?.type === 'delete') return deleteRow(operation.key, operation.ifVersion);
    throw invalidArgument(`operations[${at}].type must be put or delete`);
  });
};

/** Checks that rows can be one atomic request; returns the shard of all. */
export const checkAtomic = (rows: readonly OperationRow[], shardOf: (key: Uint8Array) => number): number => {
  if (rows.length > LIMITS.frameRowsMax) {
    throw invalidArgument(
      `The batch has ${rows.length} operations; the limit of an atomic one is ${LIMITS.frameRowsMax}`,
    );
  }
  let bytes = 0;
  const shard = shardOf(rows[0]!.key);
  rows.forEach(({ key, value }, at) => {
    bytes += key.length + value.length + ROW_OVERHEAD_BYTES;
    const other = shardOf(key);
    if (other === shard) return;
    throw new NoriError(
      'CROSS_SHARD',
      `An atomic batch cannot span shards: operations[0] is in shard ${shard}, operations[${at}] in ${other}. ` +
        'Give the keys a common hash tag, as in {user:42}:name, or pass atomic: false',
    );
  });
  if (bytes > LIMITS.requestBytesMax - FRAME_OVERHEAD_BYTES) {
    throw invalidArgument(
      `The batch has ${bytes} bytes with its overhead; the limit of a request is ${LIMITS.requestBytesMax}`,
    );
  }
  return shard;
};

/** What a row takes in a frame besides its bytes, and a frame besides its rows, at most. */
const ROW_OVERHEAD_BYTES = 64;
const FRAME_OVERHEAD_BYTES = 256;
