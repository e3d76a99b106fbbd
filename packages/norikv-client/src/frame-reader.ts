// Takes result frames apart and hands each result to its operation.
import { fromBinary } from '@bufbuild/protobuf';
import {
  type ErrorDetail,
  errorCodeName,
  OPERATION_KIND,
  ProtocolError,
  RESULT_STATUS,
  ResultFrameSchema,
  ResultReader,
  validateResultFrame,
} from 'norikv-protocol';
import { errorText } from './errors.js';
import type { InFlight } from './in-flight.js';
import { type AttemptFailure, type Operation, STATE } from './operation.js';
import { Slab } from './slab.js';
import type { BatchResult, Version } from './types.js';

/** Who is told what came of the operations that were sent. */
export interface ResultListener {
  succeeded(operation: Operation, result: unknown, nowMs: number): void;
  failed(operation: Operation, failure: AttemptFailure): void;
}

const readFailure = (error: ErrorDetail): AttemptFailure => ({
  code: errorCodeName(error.code),
  message: error.message,
  current:
    error.current === undefined ? undefined : { term: Number(error.current.term), index: Number(error.current.index) },
  leaderAddress: error.leaderAddress,
  leaderTerm: Number(error.leaderTerm),
  retryAfterMs: error.retryAfterMs,
});

/** Reads the result frames of one stream. */
export class FrameReader {
  readonly #inFlight: InFlight;
  readonly #listener: ResultListener;
  readonly #rows = new ResultReader();
  readonly #slab = new Slab();

  constructor(inFlight: InFlight, listener: ResultListener) {
    this.#inFlight = inFlight;
    this.#listener = listener;
  }

  /** @throws ProtocolError `PROTOCOL_MALFORMED` if the message is no result frame, or answers what was not asked */
  read(message: Uint8Array, nowMs: number): void {
    let frame: ReturnType<typeof decode>;
    try {
      frame = decode(message);
    } catch (error) {
      throw new ProtocolError('PROTOCOL_MALFORMED', `A result frame does not decode: ${errorText(error)}`);
    }
    const wrong = validateResultFrame(frame);
    if (wrong !== undefined) throw new ProtocolError('PROTOCOL_MALFORMED', `A result frame is inconsistent: ${wrong}`);
    const rows = this.#rows;
    rows.reset(frame);
    while (rows.next()) {
      const operation = this.#inFlight.take(rows.id);
      if (operation === undefined) {
        throw new ProtocolError('PROTOCOL_MALFORMED', `A result answers operation ${rows.id}, which was not asked`);
      }
      if (rows.status === RESULT_STATUS.failed) this.#readFailed(operation);
      else if (operation.kind === OPERATION_KIND.get) this.#readGet(operation, nowMs);
      else if (operation.state === STATE.sent) this.#readWritten(operation, nowMs);
    }
  }

  #readFailed(operation: Operation): void {
    const error = this.#rows.takeError();
    if (operation.state !== STATE.sent) return;
    // The other rows of a batch fail with it.
    if (operation.rows !== undefined) this.#inFlight.forget(operation);
    this.#listener.failed(operation, readFailure(error));
  }

  #readGet(operation: Operation, nowMs: number): void {
    const rows = this.#rows;
    if (rows.status === RESULT_STATUS.notFound) {
      if (operation.state === STATE.sent) this.#listener.succeeded(operation, undefined, nowMs);
      return;
    }
    const value = rows.takeValue();
    if (value === undefined) throw new ProtocolError('PROTOCOL_MALFORMED', 'A result frame lacks the value of a get');
    if (operation.state !== STATE.sent) return;
    // A copy: a view would keep the whole frame in memory for as long as the caller keeps the value.
    this.#listener.succeeded(operation, { value: this.#slab.copy(value), version: this.#version() }, nowMs);
  }

  #readWritten(operation: Operation, nowMs: number): void {
    const rows = this.#rows;
    const version = this.#version();
    const found = rows.status === RESULT_STATUS.done;
    if (operation.rows === undefined) {
      const result = operation.kind === OPERATION_KIND.put ? { version } : { deleted: found, version };
      this.#listener.succeeded(operation, result, nowMs);
      return;
    }
    const row = rows.id - operation.id;
    const put = operation.rows[row]!.kind === OPERATION_KIND.put;
    const result: BatchResult = put ? { version } : { deleted: found, version };
    if (operation.takeRow(row, result)) this.#listener.succeeded(operation, operation.results, nowMs);
  }

  #version(): Version {
    return { term: this.#rows.term, index: this.#rows.index };
  }
}

const decode = (message: Uint8Array) => fromBinary(ResultFrameSchema, message);
