// One operation as a promise, for callers that come one at a time: unary calls and REST.
import type { Clock } from 'nori-io';
import { NodeError } from '../../domain/node-error.js';
import type { Version } from '../../domain/version.js';
import type {
  KvNode,
  ReadConsistency,
  ResultSink,
  WriteIdentity,
  WriteOperation,
  WriteRequest,
} from '../../ports/kv.js';
import { OPERATION, type RequestMetrics, STATUS_NOT_FOUND, STATUS_OK, statusOfError } from './request-metrics.js';

/** What a get found. */
export interface Found {
  readonly value: Uint8Array;
  readonly version: Version;
}

/** What a write did. */
export interface Written {
  readonly version: Version;
  /** For deletes: whether there was such a key. */
  readonly existed: boolean;
}

/** A single put or delete. */
export interface SingleWrite {
  readonly kind: 'put' | 'delete';
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
  readonly ttlMs?: number;
  readonly ifAbsent?: boolean;
  readonly ifVersion?: Version | undefined;
  readonly identity?: WriteIdentity | undefined;
}

/** Settles a promise with the first answer. The methods of the other kind of operation are never called. */
class PromiseSink implements ResultSink {
  readonly #settle: (result: Found | Written | undefined) => void;
  readonly #fail: (error: NodeError) => void;

  constructor(settle: (result: Found | Written | undefined) => void, fail: (error: NodeError) => void) {
    this.#settle = settle;
    this.#fail = fail;
  }

  value(_tag: number, value: Uint8Array, term: number, index: number): void {
    this.#settle({ value, version: { term, index } });
  }

  absent(): void {
    this.#settle(undefined);
  }

  written(_tag: number, term: number, index: number, existed: boolean): void {
    this.#settle({ version: { term, index }, existed });
  }

  failed(_tag: number, error: NodeError): void {
    this.#fail(error);
  }
}

/** Sends single operations to the node and records them. */
export class SingleOperations {
  readonly #node: KvNode;
  readonly #clock: Clock;
  readonly #metrics: RequestMetrics;

  constructor(node: KvNode, clock: Clock, metrics: RequestMetrics) {
    this.#node = node;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** Monotonic deadline of a call that may take `timeoutMs`; undefined: none. */
  deadline(timeoutMs: number | undefined): number {
    return timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.#clock.monotonic() + timeoutMs;
  }

  /** Runs `operation`, recording its duration and outcome; `found` tells done from not found. */
  async measure<T>(operation: number, run: () => Promise<T>, found: (result: T) => boolean): Promise<T> {
    const startedMs = this.#clock.monotonic();
    let status = STATUS_OK;
    try {
      const result = await run();
      if (!found(result)) status = STATUS_NOT_FOUND;
      return result;
    } catch (error) {
      status = statusOfError(error instanceof NodeError ? error.code : 'INTERNAL');
      throw error;
    } finally {
      this.#metrics.record(operation, status, (this.#clock.monotonic() - startedMs) / 1000);
    }
  }

  /** @throws NodeError */
  get(key: Uint8Array, consistency: ReadConsistency, deadlineMs: number): Promise<Found | undefined> {
    return this.measure(
      OPERATION.get,
      () =>
        new Promise<Found | undefined>((resolve, reject) => {
          const sink = new PromiseSink(resolve as (result: unknown) => void, reject);
          this.#node.get(key, consistency, deadlineMs, sink, 0);
        }),
      (result) => result !== undefined,
    );
  }

  /**
   * @param signal cancels the write if it has not been started
   * @throws NodeError
   */
  write(write: SingleWrite, deadlineMs: number, signal: AbortSignal): Promise<Written> {
    return this.measure(
      OPERATION[write.kind],
      () =>
        new Promise<Written>((resolve, reject) => {
          const sink = new PromiseSink(resolve as (result: unknown) => void, reject);
          const request: WriteRequest = {
            operations: [toOperation(write)],
            identity: write.identity,
            deadlineMs,
            sink,
            cancelled: signal.aborted,
          };
          signal.addEventListener('abort', () => (request.cancelled = true), { once: true });
          this.#node.write(request);
        }),
      (result) => result.existed,
    );
  }
}

const NO_BYTES = new Uint8Array(0);

const toOperation = (write: SingleWrite): WriteOperation => ({
  kind: write.kind,
  key: write.key,
  value: write.value ?? NO_BYTES,
  ttlMs: write.ttlMs ?? 0,
  ifAbsent: write.ifAbsent ?? false,
  ifVersion: write.ifVersion,
  tag: 0,
});
