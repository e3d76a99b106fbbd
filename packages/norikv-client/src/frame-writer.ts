// Puts operations into one columnar frame. The columns are reused from frame to frame: encoding copies what is in them.
import { encodeOperationFrame, OPERATION_KIND, type OperationColumns } from 'norikv-protocol';
import type { Operation, OperationRow } from './operation.js';
import type { WriteIdentity } from './write-identity.js';

const { get: GET, put: PUT } = OPERATION_KIND;
const ROWS_AT_FIRST = 1024;
const NO_BYTES = new Uint8Array(0);
const NO_IDS: number[] = [];

/** Builds the frames of one stream. */
export class FrameWriter {
  readonly #identity: WriteIdentity;
  #kinds = new Uint8Array(ROWS_AT_FIRST);
  #consistencies = new Uint8Array(ROWS_AT_FIRST);
  #rows = 0;
  #gets = 0;
  #consistencyNamed = false;
  #aged = false;
  #timeoutMin = 0;
  #timeoutMax = 0;
  readonly #columns: OperationColumns = {
    firstId: 0,
    kinds: NO_BYTES,
    keys: [],
    values: [],
    consistencies: NO_BYTES,
    timeoutsMs: [],
    clientId: NO_BYTES,
    sequences: [],
    floor: 0,
    agesMs: [],
    ttlRows: [],
    ttlsMs: [],
    ifAbsentRows: [],
    ifVersionRows: [],
    ifVersionTerms: [],
    ifVersionIndexes: [],
    atomicStarts: [],
    atomicCounts: [],
    cancels: NO_IDS,
  };

  constructor(identity: WriteIdentity) {
    this.#identity = identity;
  }

  /** Rows in the frame so far. */
  get rows(): number {
    return this.#rows;
  }

  /** Sets the ids that the frame cancels. */
  cancel(ids: number[]): void {
    this.#columns.cancels = ids;
  }

  /** Adds an operation that is sent at `nowMs`. */
  add(operation: Operation, nowMs: number): void {
    const timeoutMs = Math.max(1, operation.deadlineMs - nowMs);
    // 0 says: never sent before. A repetition within the same millisecond must not say that.
    const ageMs = operation.firstSentMs < 0 ? 0 : Math.max(1, nowMs - operation.firstSentMs);
    if (operation.rows === undefined) {
      this.#addRow(operation, operation, timeoutMs, ageMs);
      return;
    }
    this.#columns.atomicStarts.push(this.#rows);
    this.#columns.atomicCounts.push(operation.rows.length);
    for (const row of operation.rows) this.#addRow(row, operation, timeoutMs, ageMs);
  }

  #addRow(row: OperationRow, operation: Operation, timeoutMs: number, ageMs: number): void {
    const columns = this.#columns;
    const at = this.#rows++;
    if (at === this.#kinds.length) this.#grow();
    this.#kinds[at] = row.kind;
    columns.keys.push(row.key);
    columns.timeoutsMs.push(timeoutMs);
    if (at === 0 || timeoutMs < this.#timeoutMin) this.#timeoutMin = timeoutMs;
    if (at === 0 || timeoutMs > this.#timeoutMax) this.#timeoutMax = timeoutMs;
    if (row.kind === GET) {
      this.#consistencies[this.#gets++] = operation.consistency;
      if (operation.consistency !== 0) this.#consistencyNamed = true;
      return;
    }
    if (row.kind === PUT) columns.values.push(row.value);
    columns.sequences.push(operation.sequence);
    columns.agesMs.push(ageMs);
    if (ageMs > 0) this.#aged = true;
    if (row.ttlMs > 0) {
      columns.ttlRows.push(at);
      columns.ttlsMs.push(row.ttlMs);
    }
    if (row.ifAbsent) columns.ifAbsentRows.push(at);
    if (row.ifVersion !== undefined) {
      columns.ifVersionRows.push(at);
      columns.ifVersionTerms.push(row.ifVersion.term);
      columns.ifVersionIndexes.push(row.ifVersion.index);
    }
  }

  #grow(): void {
    const rows = this.#kinds.length * 2;
    const kinds = new Uint8Array(rows);
    kinds.set(this.#kinds);
    this.#kinds = kinds;
    const consistencies = new Uint8Array(rows);
    consistencies.set(this.#consistencies);
    this.#consistencies = consistencies;
  }

  /** The frame as a gRPC message, its rows numbered from `firstId`; starts over. */
  take(firstId: number): Uint8Array {
    const columns = this.#columns;
    columns.firstId = firstId;
    columns.kinds = this.#kinds.subarray(0, this.#rows);
    columns.consistencies = this.#consistencyNamed ? this.#consistencies.subarray(0, this.#gets) : NO_BYTES;
    // Rows of one tick have nearly the same time left: the shortest, once, says it for all.
    if (this.#timeoutMax - this.#timeoutMin <= this.#timeoutMin >> 5) {
      columns.timeoutsMs.length = Math.min(1, this.#rows);
      if (this.#rows > 0) columns.timeoutsMs[0] = this.#timeoutMin;
    }
    if (columns.sequences.length > 0) {
      columns.clientId = this.#identity.clientId;
      columns.floor = this.#identity.floor;
    } else {
      columns.clientId = NO_BYTES;
      columns.floor = 0;
    }
    if (!this.#aged) columns.agesMs.length = 0;
    const bytes = encodeOperationFrame(columns);
    this.#clear();
    return bytes;
  }

  #clear(): void {
    const c = this.#columns;
    this.#rows = this.#gets = this.#timeoutMin = this.#timeoutMax = 0;
    this.#consistencyNamed = this.#aged = false;
    c.keys.length = c.values.length = c.timeoutsMs.length = c.sequences.length = c.agesMs.length = 0;
    c.ttlRows.length = c.ttlsMs.length = c.ifAbsentRows.length = 0;
    c.ifVersionRows.length = c.ifVersionTerms.length = c.ifVersionIndexes.length = 0;
    c.atomicStarts.length = c.atomicCounts.length = 0;
    c.cancels = NO_IDS;
  }
}
