// One operation on its way: what is asked, where it is, and how to tell its caller. An operation is one row of a frame, or,
// for an atomic batch, several rows that stand together. Written for the hot path: one object an operation and one promise.
//
//   new ──> queued ──> sent ──> done
//             ^  │       │
//             │  v       v
//             └─ parked <┘        waits for its next attempt
import type { ErrorCodeName } from 'norikv-protocol';
import type { DeadlineEntry } from './deadlines.js';
import { type Attempt, NoriError, type NoriErrorCode, type NoriErrorDetails } from './errors.js';
import type { BatchResult, Version } from './types.js';

/** Where an operation is. */
export const STATE = { fresh: 0, queued: 1, sent: 2, parked: 3, done: 4 } as const;

/** One of {@link STATE}. */
export type OperationState = (typeof STATE)[keyof typeof STATE];

/** Who has an operation that is queued or sent. */
export interface OperationHolder {
  readonly address: string;
  /** Lets go of an operation that is done; `cancel`: and tells the node not to start it. */
  release(operation: Operation, cancel: boolean): void;
}

/** One row: what is asked of one key. */
export interface OperationRow {
  /** One of the protocol's `OPERATION_KIND`. */
  readonly kind: number;
  readonly key: Uint8Array;
  /** Empty unless the row is a put. */
  readonly value: Uint8Array;
  /** 0: for ever. */
  readonly ttlMs: number;
  readonly ifAbsent: boolean;
  readonly ifVersion: Version | undefined;
}

const ATTEMPTS_KEPT = 32;
/** What a row costs in a frame besides key and value, about. */
const ROW_BYTES = 32;

let captured: { resolve: (value: never) => void; reject: (error: NoriError) => void };
/** Shared by all promises, so that an operation costs no closure of ours. */
const capture = (resolve: (value: never) => void, reject: (error: NoriError) => void): void => {
  captured = { resolve, reject };
};

/** An operation that was accepted and has not told its caller yet. */
export class Operation implements DeadlineEntry, OperationRow {
  // The wheel's.
  dueMs = 0;
  wheelPrevious: DeadlineEntry | undefined = undefined;
  wheelNext: DeadlineEntry | undefined = undefined;
  wheelSlot = -1;

  /** What the caller waits for. */
  readonly promise: Promise<unknown>;
  readonly #settle: typeof captured;
  state: OperationState = STATE.fresh;
  readonly kind: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly ttlMs: number;
  readonly ifAbsent: boolean;
  readonly ifVersion: Version | undefined;
  /** A `Consistency` of the protocol; for gets. */
  readonly consistency: number;
  /** The rows of an atomic batch; undefined: the operation is its own row. */
  readonly rows: readonly OperationRow[] | undefined;
  readonly write: boolean;
  /** About what it takes in a frame. */
  readonly bytes: number;
  shard = 0;
  signal: AbortSignal | undefined = undefined;
  /** When the caller handed it in, and when it fails: whole milliseconds of the client's clock. */
  startedMs = 0;
  deadlineMs = 0;
  /** 0: the operation is no write. */
  sequence = 0;
  /** -1: never sent. */
  firstSentMs = -1;
  /** Where it is queued or was sent; undefined while it is with no one. */
  channel: OperationHolder | undefined = undefined;
  /** When the present attempt began. */
  attemptMs = 0;
  /** Id of its first row on the stream it was last sent on. */
  id = 0;
  /** An earlier attempt of the write may have been applied. */
  ambiguous = false;
  /** Attempts that failed. */
  failures = 0;
  attempts: Attempt[] | undefined = undefined;
  /** Results of a batch's rows, as they come. */
  results: BatchResult[] | undefined = undefined;
  #rowsLeft = 0;

  constructor(row: OperationRow, write: boolean, consistency: number, rows?: readonly OperationRow[]) {
    this.promise = new Promise(capture);
    this.#settle = captured;
    this.kind = row.kind;
    this.key = row.key;
    this.value = row.value;
    this.ttlMs = row.ttlMs;
    this.ifAbsent = row.ifAbsent;
    this.ifVersion = row.ifVersion;
    this.write = write;
    this.consistency = consistency;
    this.rows = rows;
    this.bytes = rows === undefined ? row.key.length + row.value.length + ROW_BYTES : bytesOf(rows);
  }

  /** Rows it takes in a frame. */
  get rowCount(): number {
    return this.rows === undefined ? 1 : this.rows.length;
  }

  /** Gets ready to take the results of a batch, those of earlier attempts forgotten. */
  expectRows(): void {
    if (this.rows === undefined) return;
    this.results = new Array(this.rows.length);
    this.#rowsLeft = this.rows.length;
  }

  /** Takes the result of one row of a batch; true when it was the last. */
  takeRow(row: number, result: BatchResult): boolean {
    if (this.results![row] === undefined) this.#rowsLeft--;
    this.results![row] = result;
    return this.#rowsLeft === 0;
  }

  /** Keeps one failed attempt for the error's history. */
  record(attempt: Attempt): void {
    const attempts = (this.attempts ??= []);
    attempts.push(attempt);
    if (attempts.length > ATTEMPTS_KEPT) attempts.splice(1, 1);
  }

  resolve(result: unknown): void {
    this.#settle.resolve(result as never);
  }

  reject(code: NoriErrorCode, message: string, details: Partial<NoriErrorDetails>, cause: unknown): void {
    this.#settle.reject(
      new NoriError(code, message, { attempts: this.attempts ?? [], ...details }, cause === undefined ? {} : { cause }),
    );
  }
}

const bytesOf = (rows: readonly OperationRow[]): number => {
  let bytes = 0;
  for (const row of rows) bytes += row.key.length + row.value.length + ROW_BYTES;
  return bytes;
};

/** Why an attempt failed, as a node or the connection said it. */
export interface AttemptFailure {
  readonly code: ErrorCodeName;
  readonly message: string;
  readonly current: Version | undefined;
  readonly leaderAddress: string;
  /** In which that node leads; 0: it is only the one that is to lead. */
  readonly leaderTerm: number;
  readonly retryAfterMs: number;
}
