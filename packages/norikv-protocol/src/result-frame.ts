// Result frames: built row by row by a node, read row by row by a client. Which rows carry a value is not in the frame:
// the reader of results knows what each id asked for, and takes the next value for each successful get.
import { create } from '@bufbuild/protobuf';
import { encodeResultFrame, type ResultColumns } from './frame-encoder.js';
import { type ErrorDetail, ErrorDetailSchema } from './gen/norikv/v1/types_pb.js';

/** What became of an operation. */
export const RESULT_STATUS = Object.freeze({
  done: 0,
  /** A get found no value; a delete found nothing to delete. */
  notFound: 1,
  failed: 2,
} as const);

const { done: DONE, notFound: NOT_FOUND, failed: FAILED } = RESULT_STATUS;

/** Collects results and turns them into encoded frames. One builder serves a stream for its whole life. */
export class ResultFrameBuilder {
  #ids: number[] = [];
  #statuses = new Uint8Array(64);
  #values: Uint8Array[] = [];
  /** Term of all versions so far; 0: none yet, or `#terms` is in use. */
  #term = 0;
  /** One a row as soon as two rows differ; undefined until then. */
  #terms: number[] | undefined;
  #indexes: number[] = [];
  #errors: ErrorDetail[] = [];
  #valueBytes = 0;

  /** Results collected since the last {@link take}. */
  get rows(): number {
    return this.#ids.length;
  }

  /** About how long the frame will be when encoded: take it before that exceeds what you want to send at once. */
  get bytes(): number {
    return this.#valueBytes + this.#ids.length * 24 + this.#errors.length * 200;
  }

  /** A get found `value`, which must not change until {@link take}. */
  value(id: number, value: Uint8Array, term: number, index: number): void {
    this.#row(id, DONE, term, index);
    this.#values.push(value);
    this.#valueBytes += value.length;
  }

  /** A get found nothing. */
  absent(id: number): void {
    this.#row(id, NOT_FOUND, 0, 0);
  }

  /** A put or delete was done; `existed` is false for a delete that found nothing. The version is that of the write. */
  written(id: number, term: number, index: number, existed: boolean): void {
    this.#row(id, existed ? DONE : NOT_FOUND, term, index);
  }

  /** The operation failed. */
  failed(id: number, error: ErrorDetail): void {
    this.#row(id, FAILED, 0, 0);
    this.#errors.push(error);
  }

  #row(id: number, status: number, term: number, index: number): void {
    const row = this.#ids.length;
    if (row === this.#statuses.length) {
      const grown = new Uint8Array(row * 2);
      grown.set(this.#statuses);
      this.#statuses = grown;
    }
    this.#ids.push(id);
    this.#statuses[row] = status;
    this.#indexes.push(index);
    if (this.#terms !== undefined) this.#terms.push(term);
    else if (term !== this.#term && index !== 0) {
      // Rows without a version take whatever term there is: index 0 says that they have none.
      if (this.#term === 0 && term <= 0xffffffff) this.#term = term;
      else {
        this.#terms = new Array<number>(row).fill(this.#term);
        this.#terms.push(term);
      }
    }
  }

  /** The results so far as columns; starts over. */
  takeColumns(): ResultColumns {
    const columns: ResultColumns = {
      ids: this.#ids,
      statuses: this.#statuses.slice(0, this.#ids.length),
      values: this.#values,
      term: this.#terms === undefined ? this.#term : 0,
      terms: this.#terms ?? [],
      indexes: this.#indexes,
      errors: this.#errors,
    };
    this.#ids = [];
    this.#values = [];
    this.#term = 0;
    this.#terms = undefined;
    this.#indexes = [];
    this.#errors = [];
    this.#valueBytes = 0;
    return columns;
  }

  /** The results so far as a gRPC message, its prefix included; starts over. */
  take(): Uint8Array {
    return encodeResultFrame(this.takeColumns());
  }
}

/** Says what is wrong with the columns of a result frame, naming the field, or returns undefined. */
export const validateResultFrame = (frame: ResultColumns): string | undefined => {
  const rows = frame.ids.length;
  const { statuses, terms, indexes } = frame;
  if (statuses.length !== rows) return `statuses has ${statuses.length} elements for ${rows} ids`;
  if (terms.length !== 0 && terms.length !== rows) return `terms has ${terms.length} elements for ${rows} ids`;
  if (indexes.length !== 0 && indexes.length !== rows) return `indexes has ${indexes.length} elements for ${rows} ids`;
  let failures = 0;
  let successes = 0;
  for (let i = 0; i < rows; i++) {
    const status = statuses[i]!;
    if (status > FAILED) return `statuses[${i}] is ${status}: allowed are 0 (done), 1 (not found), 2 (failed)`;
    if (status === FAILED) failures++;
    else if (status === DONE) successes++;
  }
  if (frame.errors.length !== failures) return `errors has ${frame.errors.length} elements for ${failures} failed rows`;
  return frame.values.length > successes
    ? `values has ${frame.values.length} elements for ${successes} successful rows`
    : undefined;
};

const NO_RESULTS: ResultColumns = Object.freeze({
  ids: [],
  statuses: new Uint8Array(0),
  values: [],
  term: 0,
  terms: [],
  indexes: [],
  errors: [],
});

/** Reads a valid result frame row by row, like {@link OperationReader} does operations. */
export class ResultReader {
  #frame: ResultColumns = NO_RESULTS;
  #value = 0;
  #error = 0;
  #row = -1;

  id = 0;
  /** One of {@link RESULT_STATUS}. */
  status = 0;
  term = 0;
  /** 0: the row has no version. */
  index = 0;

  /** Starts over with `frame`, for which {@link validateResultFrame} found nothing. */
  reset(frame: ResultColumns): void {
    this.#frame = frame;
    this.#value = 0;
    this.#error = 0;
    this.#row = -1;
  }

  /** Moves to the next row; false, and the frame forgotten, after the last. */
  next(): boolean {
    const frame = this.#frame;
    const row = ++this.#row;
    if (row >= frame.ids.length) {
      this.#frame = NO_RESULTS;
      return false;
    }
    this.id = frame.ids[row]!;
    this.status = frame.statuses[row]!;
    this.term = frame.terms.length === 0 ? frame.term : frame.terms[row]!;
    this.index = frame.indexes.length === 0 ? 0 : frame.indexes[row]!;
    return true;
  }

  /** Call it once in each row that answers a get with status done. Undefined: the frame lacks the value it owes. */
  takeValue(): Uint8Array | undefined {
    return this.#frame.values[this.#value++];
  }

  /** Call it once in each row with status failed. */
  takeError(): ErrorDetail {
    return this.#frame.errors[this.#error++] ?? create(ErrorDetailSchema);
  }
}
