// Operation frames, as both sides see them: is a frame's set of columns consistent, and what does each row say. Nothing
// here allocates for a valid frame. Keys, values and expiry are checked row by row by the node, since a bad key fails its
// own row only; what is checked here are the columns, without which no row can be told from the next.
import { Consistency } from './gen/norikv/v1/types_pb.js';
import { LIMITS } from './limits.js';

/** The fields of `norikv.v1.OperationFrame`; the generated message has this shape too. */
export interface OperationColumns {
  firstId: number;
  kinds: Uint8Array;
  keys: Uint8Array[];
  values: Uint8Array[];
  consistencies: Uint8Array;
  timeoutsMs: number[];
  clientId: Uint8Array;
  sequences: number[];
  floor: number;
  agesMs: number[];
  ttlRows: number[];
  ttlsMs: number[];
  ifAbsentRows: number[];
  ifVersionRows: number[];
  ifVersionTerms: number[];
  ifVersionIndexes: number[];
  atomicStarts: number[];
  atomicCounts: number[];
  cancels: number[];
}

/** What a row of an operation frame asks for. */
export const OPERATION_KIND = Object.freeze({ get: 1, put: 2, delete: 3 } as const);

const GET = OPERATION_KIND.get;
const PUT = OPERATION_KIND.put;
const DELETE = OPERATION_KIND.delete;

const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;

/** Checks a sparse column of rows: strictly ascending, in range, each of a kind in `kindMask` (bit k: kind k). */
const checkRows = (name: string, rows: readonly number[], kinds: Uint8Array, kindMask: number): string | undefined => {
  let previous = -1;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (row <= previous) return `${name}[${i}] is ${row}: rows must be strictly ascending`;
    if (row >= kinds.length) return `${name}[${i}] is ${row}: the frame has ${kinds.length} rows`;
    if (((kindMask >>> kinds[row]!) & 1) === 0)
      return `${name}[${i}] is ${row}: not allowed for a row of kind ${kinds[row]}`;
    previous = row;
  }
  return undefined;
};

const checkLength = (name: string, length: number, expected: number, of: string): string | undefined =>
  length === expected ? undefined : `${name} has ${length} elements: expected ${expected}, one for each ${of}`;

const checkCounts = (name: string, numbers: readonly number[], min: number): string | undefined => {
  for (let i = 0; i < numbers.length; i++) {
    const n = numbers[i]!;
    if (!(Number.isSafeInteger(n) && n >= min))
      return `${name}[${i}] is ${n}: must be an integer from ${min} to 2^53 - 1`;
  }
  return undefined;
};

const checkIdentity = (frame: OperationColumns, writes: number): string | undefined => {
  if (!isCount(frame.floor)) return `floor is ${frame.floor}: must be an integer from 0 to 2^53 - 1`;
  if (frame.sequences.length === 0) {
    return frame.agesMs.length === 0 ? undefined : 'ages_ms is given without sequences';
  }
  if (frame.clientId.length !== LIMITS.clientIdBytes) {
    return `client_id has ${frame.clientId.length} bytes: must be ${LIMITS.clientIdBytes} when there are sequences`;
  }
  return (
    checkLength('sequences', frame.sequences.length, writes, 'write row') ??
    checkCounts('sequences', frame.sequences, 1) ??
    (frame.agesMs.length === 0 ? undefined : checkLength('ages_ms', frame.agesMs.length, writes, 'write row'))
  );
};

const checkAtomicGroups = (frame: OperationColumns): string | undefined => {
  const { atomicStarts: starts, atomicCounts: counts, kinds, sequences } = frame;
  const wrong = checkLength('atomic_counts', counts.length, starts.length, 'atomic_starts');
  if (wrong !== undefined) return wrong;
  let row = 0;
  let write = 0;
  for (let g = 0; g < starts.length; g++) {
    const start = starts[g]!;
    const count = counts[g]!;
    if (start < row) return `atomic_starts[${g}] is ${start}: groups must be ascending and not overlap`;
    if (count < 1) return `atomic_counts[${g}] is ${count}: a group has at least one row`;
    if (start + count > kinds.length) {
      return `atomic_counts[${g}] is ${count} from row ${start}: the frame has ${kinds.length} rows`;
    }
    for (; row < start; row++) if (kinds[row] !== GET) write++;
    const sequence = sequences[write];
    for (; row < start + count; row++, write++) {
      if (kinds[row] === GET) return `atomic_starts[${g}]: row ${row} is a get, groups hold writes only`;
      if (sequences[write] !== sequence)
        return `sequences[${write}] differs from that of the first row of its atomic group`;
    }
  }
  return undefined;
};

/**
 * Says what is wrong with the columns of a frame, naming the field, or returns undefined. A frame that fails is refused
 * as a whole with `INVALID_ARGUMENT`; on a stream that ends the stream, since its ids cannot be trusted.
 */
export const validateOperationFrame = (frame: OperationColumns): string | undefined => {
  const { kinds, keys, consistencies, timeoutsMs } = frame;
  const rows = keys.length;
  if (rows > LIMITS.frameRowsMax) return `keys has ${rows} elements: the limit is ${LIMITS.frameRowsMax}`;
  if (frame.cancels.length > LIMITS.frameRowsMax) {
    return `cancels has ${frame.cancels.length} elements: the limit is ${LIMITS.frameRowsMax}`;
  }
  if (kinds.length !== rows) return checkLength('kinds', kinds.length, rows, 'key');
  if (frame.firstId + rows > 0x1_0000_0000)
    return `first_id is ${frame.firstId}: ids of ${rows} rows must stay below 2^32`;
  let gets = 0;
  let puts = 0;
  for (let i = 0; i < rows; i++) {
    const kind = kinds[i]!;
    if (kind === GET) gets++;
    else if (kind === PUT) puts++;
    else if (kind !== DELETE) return `kinds[${i}] is ${kind}: allowed are 1 (get), 2 (put), 3 (delete)`;
  }
  if (frame.values.length !== puts) return checkLength('values', frame.values.length, puts, 'put row');
  if (consistencies.length !== 0) {
    if (consistencies.length !== gets) return checkLength('consistencies', consistencies.length, gets, 'get row');
    for (let i = 0; i < gets; i++) {
      if (consistencies[i]! > Consistency.STALE_OK) {
        return `consistencies[${i}] is ${consistencies[i]}: allowed are 0 (default), 1 (lease), 2 (linearizable), 3 (stale_ok)`;
      }
    }
  }
  if (timeoutsMs.length > 1 && timeoutsMs.length !== rows) {
    return `timeouts_ms has ${timeoutsMs.length} elements: expected none, one for all, or ${rows}`;
  }
  const identity = checkIdentity(frame, rows - gets);
  if (identity !== undefined) return identity;
  if (frame.ttlRows.length + frame.ttlsMs.length > 0) {
    const wrong =
      checkLength('ttls_ms', frame.ttlsMs.length, frame.ttlRows.length, 'ttl_rows') ??
      checkRows('ttl_rows', frame.ttlRows, kinds, 1 << PUT) ??
      checkCounts('ttls_ms', frame.ttlsMs, 0);
    if (wrong !== undefined) return wrong;
  }
  if (frame.ifAbsentRows.length > 0) {
    const wrong = checkRows('if_absent_rows', frame.ifAbsentRows, kinds, 1 << PUT);
    if (wrong !== undefined) return wrong;
  }
  if (frame.ifVersionRows.length + frame.ifVersionTerms.length + frame.ifVersionIndexes.length > 0) {
    const versions = frame.ifVersionRows.length;
    const wrong =
      checkLength('if_version_terms', frame.ifVersionTerms.length, versions, 'if_version_rows') ??
      checkLength('if_version_indexes', frame.ifVersionIndexes.length, versions, 'if_version_rows') ??
      checkRows('if_version_rows', frame.ifVersionRows, kinds, (1 << PUT) | (1 << DELETE)) ??
      checkCounts('if_version_terms', frame.ifVersionTerms, 0) ??
      checkCounts('if_version_indexes', frame.ifVersionIndexes, 0);
    if (wrong !== undefined) return wrong;
  }
  return frame.atomicStarts.length + frame.atomicCounts.length === 0 ? undefined : checkAtomicGroups(frame);
};

const NO_BYTES = new Uint8Array(0);

/**
 * Reads a valid frame row by row: `reader.reset(frame)`, then `while (reader.next())` with the row in the fields. One
 * reader serves any number of frames and allocates nothing.
 */
export class OperationReader {
  #frame: OperationColumns | undefined;
  #rows = 0;
  #get = 0;
  #put = 0;
  #write = 0;
  #ttl = 0;
  #ifAbsent = 0;
  #ifVersion = 0;
  #group = 0;

  /** Position of the row, from 0; -1 before the first {@link next}. */
  row = -1;
  /** The operation's id: the frame's `first_id` and the row. */
  id = 0;
  /** One of {@link OPERATION_KIND}. */
  kind = 0;
  key: Uint8Array = NO_BYTES;
  /** Empty unless the row is a put. */
  value: Uint8Array = NO_BYTES;
  /** A `Consistency`; 0 unless the row is a get. */
  consistency = 0;
  /** 0: none. */
  timeoutMs = 0;
  /** 0: the write has no identity, or the row is a get. */
  sequence = 0;
  ageMs = 0;
  /** 0: never expires. */
  ttlMs = 0;
  ifAbsent = false;
  /** Whether `ifVersionTerm` and `ifVersionIndex` are the version the key must have. */
  ifVersion = false;
  ifVersionTerm = 0;
  ifVersionIndex = 0;
  /** In the first row of an atomic group the number of its rows, in its other rows and outside of groups 0. */
  atomicCount = 0;

  /** Starts over with `frame`, for which {@link validateOperationFrame} found nothing. */
  reset(frame: OperationColumns): void {
    this.#frame = frame;
    this.#rows = frame.keys.length;
    this.row = -1;
    this.#get = this.#put = this.#write = this.#ttl = this.#ifAbsent = this.#ifVersion = this.#group = 0;
  }

  /** Moves to the next row; false, and the frame forgotten, after the last. */
  next(): boolean {
    const frame = this.#frame;
    const row = ++this.row;
    if (frame === undefined || row >= this.#rows) {
      this.#frame = undefined;
      return false;
    }
    const kind = frame.kinds[row]!;
    this.id = frame.firstId + row;
    this.kind = kind;
    this.key = frame.keys[row]!;
    const timeouts = frame.timeoutsMs;
    this.timeoutMs = timeouts.length === 0 ? 0 : timeouts.length === 1 ? timeouts[0]! : timeouts[row]!;
    if (kind === GET) this.#readGet(frame);
    else this.#readWrite(frame, row, kind);
    return true;
  }

  #readGet(frame: OperationColumns): void {
    this.consistency = frame.consistencies.length === 0 ? 0 : frame.consistencies[this.#get]!;
    this.#get++;
    this.value = NO_BYTES;
    this.sequence = this.ageMs = this.ttlMs = this.atomicCount = 0;
    this.ifAbsent = this.ifVersion = false;
  }

  #readWrite(frame: OperationColumns, row: number, kind: number): void {
    this.consistency = 0;
    this.value = kind === PUT ? frame.values[this.#put++]! : NO_BYTES;
    this.sequence = frame.sequences.length === 0 ? 0 : frame.sequences[this.#write]!;
    this.ageMs = frame.agesMs.length === 0 ? 0 : frame.agesMs[this.#write]!;
    this.#write++;
    this.ttlMs = frame.ttlRows[this.#ttl] === row ? frame.ttlsMs[this.#ttl++]! : 0;
    this.ifAbsent = frame.ifAbsentRows[this.#ifAbsent] === row;
    if (this.ifAbsent) this.#ifAbsent++;
    this.ifVersion = frame.ifVersionRows[this.#ifVersion] === row;
    if (this.ifVersion) {
      this.ifVersionTerm = frame.ifVersionTerms[this.#ifVersion]!;
      this.ifVersionIndex = frame.ifVersionIndexes[this.#ifVersion++]!;
    }
    this.atomicCount = frame.atomicStarts[this.#group] === row ? frame.atomicCounts[this.#group++]! : 0;
  }
}
