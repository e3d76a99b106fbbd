// Runs operation frames against the node and gathers the results: the part of Pipeline and Batch that does not depend on
// how frames travel. One runner serves one stream or one call.
//
//   submit(frame) → rows started in order → node answers by tag → results gathered → output.write, once a turn
//
// An operation that waits for its answer has a slot, whose number is its tag. Nothing is allocated for a get but its
// result row. No row is started while too many are unanswered, or while the output is congested; frames wait meanwhile.
import type { Clock } from 'nori-io';
import {
  LIMITS,
  OPERATION_KIND,
  type OperationColumns,
  OperationReader,
  validateOperationFrame,
} from 'norikv-protocol';
import { toHex } from '../../domain/hex.js';
import { NodeError } from '../../domain/node-error.js';
import type {
  KvNode,
  ReadConsistency,
  ResultSink,
  WriteIdentity,
  WriteOperation,
  WriteRequest,
} from '../../ports/kv.js';
import type { Logger } from '../../ports/logger.js';
import { type RequestMetrics, STATUS_NOT_FOUND, STATUS_OK, statusOfError } from '../net/request-metrics.js';
import { errorDetail, toNodeError } from './error-details.js';
import { RESULT, ResultColumns } from './result-columns.js';

/** Where results go. */
export interface RunnerOutput {
  /** Takes results, which change after the call. */
  write(results: ResultColumns): void;
  /** True while what was written waits to be sent. Call {@link OperationRunner.advance} when that ends. */
  readonly congested: boolean;
  /** Called after results were written outside of a {@link OperationRunner.submit}. */
  settled(): void;
}

/** What all runners share. */
export interface RunnerContext {
  readonly node: KvNode;
  readonly clock: Clock;
  readonly metrics: RequestMetrics;
  readonly logger: Logger;
}

/** What a runner is made of. */
export interface RunnerOptions extends RunnerContext {
  readonly output: RunnerOutput;
  /** Bound on the operations under way. Default 16,384. */
  readonly unansweredMax?: number;
  /** Results are written when they take this many bytes, without waiting for the turn's end. Default 128 KiB. */
  readonly flushBytes?: number;
  /** All results in one write, when the last operation is answered; what exceeds a response fails. Default false. */
  readonly whole?: boolean;
  /** Deadline of all operations, on the monotonic clock. Default: none. */
  readonly deadlineMs?: number;
}

const UNANSWERED_MAX = 16_384;
const FLUSH_BYTES = 128 * 1024;
/** Left free in a response for what surrounds its values: ids, versions and errors of a frame's rows. */
const RESPONSE_SLACK_BYTES = 1024 * 1024;
const SLOTS_AT_FIRST = 64;
/** Frames that may wait before nothing more is read. */
const FRAMES_WAITING_MAX = 2;
/**
 * Gets answered in one turn of the event loop. Their results are on their way while the next are looked up, so that
 * caller and node work at the same time, and a frame of thousands keeps nobody else waiting.
 */
const GETS_PER_SLICE = 64;
const FREE = 0;

const CONSISTENCIES: readonly ReadConsistency[] = ['lease', 'lease', 'linearizable', 'stale_ok'];

/** A write on its way through the node. */
class RunningWrite implements WriteRequest {
  cancelled = false;

  constructor(
    readonly operations: readonly WriteOperation[],
    readonly identity: WriteIdentity | undefined,
    readonly deadlineMs: number,
    readonly sink: ResultSink,
  ) {}
}

/** Starts the rows of frames and gathers their results. See the head of this file. */
export class OperationRunner implements ResultSink {
  readonly #node: KvNode;
  readonly #clock: Clock;
  readonly #metrics: RequestMetrics;
  readonly #logger: Logger;
  readonly #output: RunnerOutput;
  readonly #unansweredMax: number;
  readonly #flushBytes: number;
  readonly #whole: boolean;
  readonly #deadlineMs: number;

  readonly #reader = new OperationReader();
  readonly #results = new ResultColumns();
  /** Frames whose rows have not all been started; the reader is in the first if `#reading`. */
  readonly #frames: { readonly columns: OperationColumns; readonly clientId: string; readonly arrivedMs: number }[] =
    [];
  #reading = false;
  /** Ids cancelled before their row was started. Empty when no frame waits. */
  readonly #cancelledIds = new Set<number>();

  // Slots. `#free` is a stack of `#freeCount` numbers.
  #capacity = 0;
  #ids = new Uint32Array(0);
  #kinds = new Uint8Array(0);
  #startedMs = new Float64Array(0);
  #free = new Uint32Array(0);
  #freeCount = 0;
  readonly #writes: (RunningWrite | undefined)[] = [];

  // Of each result row not yet flushed: kind, status and start of the operation, for the metrics.
  readonly #doneKinds: number[] = [];
  readonly #doneStatuses: number[] = [];
  readonly #doneStartedMs: number[] = [];

  #unanswered = 0;
  #corked = false;
  #running = false;
  #turnScheduled = false;
  #closed = false;

  constructor(options: RunnerOptions) {
    this.#node = options.node;
    this.#clock = options.clock;
    this.#metrics = options.metrics;
    this.#logger = options.logger;
    this.#output = options.output;
    this.#unansweredMax = options.unansweredMax ?? UNANSWERED_MAX;
    this.#flushBytes = options.whole ? Number.POSITIVE_INFINITY : (options.flushBytes ?? FLUSH_BYTES);
    this.#whole = options.whole ?? false;
    this.#deadlineMs = options.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /** True when nothing waits: every operation submitted is answered and its result written. */
  get idle(): boolean {
    return this.#unanswered === 0 && this.#frames.length === 0 && this.#results.count === 0;
  }

  /** True while no operation is started: submit no more frames until `settled`. */
  get full(): boolean {
    return (
      this.#frames.length > FRAMES_WAITING_MAX || this.#output.congested || this.#unanswered >= this.#unansweredMax
    );
  }

  /** Holds results back until {@link uncork}, so that the frames of one chunk are answered together. */
  cork(): void {
    this.#corked = true;
  }

  /** Writes what has gathered since {@link cork}. */
  uncork(): void {
    this.#corked = false;
    this.#flush();
  }

  /**
   * Starts the operations of a frame, now or when there is room, and marks those it cancels.
   *
   * @throws NodeError `INVALID_ARGUMENT`: the frame is not consistent, and none of it is done
   */
  submit(frame: OperationColumns): void {
    const wrong = validateOperationFrame(frame);
    if (wrong !== undefined) throw new NodeError('INVALID_ARGUMENT', `Operation frame refused: ${wrong}`);
    if (frame.cancels.length > 0) this.#cancel(frame.cancels);
    if (frame.keys.length === 0) return;
    const clientId = frame.sequences.length > 0 ? toHex(frame.clientId) : '';
    this.#frames.push({ columns: frame, clientId, arrivedMs: this.#clock.monotonic() });
    this.#run();
    if (!this.#corked) this.#flush();
  }

  /** Goes on after congestion has ended. */
  advance(): void {
    this.#run();
    this.#flush();
    this.#output.settled();
  }

  /** Drops all results; writes that the node has not started are cancelled. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#frames.length = 0;
    this.#results.clear();
    for (const write of this.#writes) if (write !== undefined) write.cancelled = true;
    this.#writes.length = 0;
  }

  value(tag: number, value: Uint8Array, term: number, index: number): void {
    if (this.#isOver(tag)) return;
    if (this.#whole && this.#results.bytes + value.length > LIMITS.responseBytesMax - RESPONSE_SLACK_BYTES) {
      this.failed(
        tag,
        new NodeError('RESOURCE_EXHAUSTED', 'The values of this batch exceed one response; ask for fewer keys at once'),
      );
      return;
    }
    this.#results.addValue(this.#ids[tag]!, value, term, index);
    this.#answered(tag, STATUS_OK);
  }

  absent(tag: number): void {
    if (this.#isOver(tag)) return;
    this.#results.add(this.#ids[tag]!, RESULT.notFound, 0, 0);
    this.#answered(tag, STATUS_NOT_FOUND);
  }

  written(tag: number, term: number, index: number, existed: boolean): void {
    if (this.#isOver(tag)) return;
    this.#results.add(this.#ids[tag]!, existed ? RESULT.done : RESULT.notFound, term, index);
    this.#answered(tag, existed ? STATUS_OK : STATUS_NOT_FOUND);
  }

  failed(tag: number, error: NodeError): void {
    if (this.#isOver(tag)) return;
    this.#results.addError(this.#ids[tag]!, errorDetail(error));
    this.#answered(tag, statusOfError(error.code));
  }

  #isOver(tag: number): boolean {
    return this.#closed || this.#kinds[tag] === FREE;
  }

  #answered(tag: number, status: number): void {
    this.#doneKinds.push(this.#kinds[tag]!);
    this.#doneStatuses.push(status);
    this.#doneStartedMs.push(this.#startedMs[tag]!);
    this.#kinds[tag] = FREE;
    this.#writes[tag] = undefined;
    this.#free[this.#freeCount++] = tag;
    this.#unanswered--;
    if (this.#results.bytes >= this.#flushBytes) this.#flush();
    if (!this.#corked && !this.#running) this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    this.#clock.nextTurn(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#turnScheduled = false;
    if (!this.#closed) this.advance();
  };

  #flush(): void {
    if (this.#results.count === 0 || this.#closed) return;
    if (this.#whole && (this.#unanswered > 0 || this.#frames.length > 0)) return;
    const kinds = this.#doneKinds;
    const nowMs = this.#clock.monotonic();
    for (let i = 0; i < kinds.length; i++) {
      this.#metrics.tally(kinds[i]!, this.#doneStatuses[i]!, (nowMs - this.#doneStartedMs[i]!) / 1000);
    }
    this.#metrics.flush();
    kinds.length = this.#doneStatuses.length = this.#doneStartedMs.length = 0;
    this.#output.write(this.#results);
    this.#results.clear();
  }

  #run(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    const reader = this.#reader;
    let gets = 0;
    while (this.#frames.length > 0 && this.#unanswered < this.#unansweredMax && !this.#output.congested) {
      if (gets === GETS_PER_SLICE) {
        this.#scheduleTurn();
        break;
      }
      const { columns, clientId, arrivedMs } = this.#frames[0]!;
      if (!this.#reading) reader.reset(columns);
      this.#reading = reader.next();
      if (!this.#reading) this.#frames.shift();
      else if (reader.kind === OPERATION_KIND.get) {
        gets++;
        this.#startGet(arrivedMs);
      } else this.#startWrite(columns, clientId, arrivedMs);
    }
    if (this.#frames.length === 0) this.#cancelledIds.clear();
    this.#running = false;
  }

  #startGet(arrivedMs: number): void {
    const reader = this.#reader;
    const tag = this.#open(arrivedMs);
    if (this.#cancelledIds.size > 0 && this.#wasCancelled(tag)) return;
    const consistency = CONSISTENCIES[reader.consistency]!;
    try {
      this.#node.get(reader.key, consistency, this.#deadline(arrivedMs, reader.timeoutMs), this, tag);
    } catch (error) {
      this.failed(tag, this.#defect(error));
    }
  }

  /** Starts a write row, or the atomic group that begins with it. */
  #startWrite(columns: OperationColumns, clientId: string, arrivedMs: number): void {
    const reader = this.#reader;
    const { sequence, ageMs } = reader;
    const deadlineMs = this.#deadline(arrivedMs, reader.timeoutMs);
    const operations = [this.#operation(arrivedMs)];
    for (let rest = reader.atomicCount - 1; rest > 0 && reader.next(); rest--)
      operations.push(this.#operation(arrivedMs));
    const identity = sequence === 0 ? undefined : { clientId, sequence, floor: columns.floor, ageMs };
    const write = new RunningWrite(operations, identity, deadlineMs, this);
    if (this.#cancelledIds.size > 0) {
      for (const { tag } of operations) if (this.#cancelledIds.has(this.#ids[tag]!)) write.cancelled = true;
    }
    for (const { tag } of operations) this.#writes[tag] = write;
    try {
      this.#node.write(write);
    } catch (error) {
      const reason = this.#defect(error);
      for (const { tag } of operations) this.failed(tag, reason);
    }
  }

  /** The node answers through the sink; what it throws is a defect. */
  #defect(reason: unknown): NodeError {
    this.#logger.error({ err: reason }, 'An operation failed');
    return toNodeError(reason);
  }

  #operation(arrivedMs: number): WriteOperation {
    const reader = this.#reader;
    return {
      kind: reader.kind === OPERATION_KIND.put ? 'put' : 'delete',
      key: reader.key,
      value: reader.value,
      ttlMs: reader.ttlMs,
      ifAbsent: reader.ifAbsent,
      ifVersion: reader.ifVersion ? { term: reader.ifVersionTerm, index: reader.ifVersionIndex } : undefined,
      tag: this.#open(arrivedMs),
    };
  }

  #deadline(arrivedMs: number, timeoutMs: number): number {
    return timeoutMs === 0 ? this.#deadlineMs : Math.min(this.#deadlineMs, arrivedMs + timeoutMs);
  }

  /** Takes a slot for the reader's row. */
  #open(arrivedMs: number): number {
    if (this.#freeCount === 0) this.#grow();
    const tag = this.#free[--this.#freeCount]!;
    this.#ids[tag] = this.#reader.id;
    this.#kinds[tag] = this.#reader.kind;
    this.#startedMs[tag] = arrivedMs;
    this.#unanswered++;
    return tag;
  }

  #grow(): void {
    const before = this.#capacity;
    const capacity = Math.max(SLOTS_AT_FIRST, before * 2);
    const ids = new Uint32Array(capacity);
    ids.set(this.#ids);
    const kinds = new Uint8Array(capacity);
    kinds.set(this.#kinds);
    const startedMs = new Float64Array(capacity);
    startedMs.set(this.#startedMs);
    const free = new Uint32Array(capacity);
    for (let tag = capacity - 1, i = 0; tag >= before; tag--, i++) free[i] = tag;
    this.#freeCount = capacity - before;
    this.#capacity = capacity;
    this.#ids = ids;
    this.#kinds = kinds;
    this.#startedMs = startedMs;
    this.#free = free;
  }

  #wasCancelled(tag: number): boolean {
    if (!this.#cancelledIds.has(this.#ids[tag]!)) return false;
    this.failed(tag, new NodeError('CANCELLED', 'The caller cancelled the operation before it was started'));
    return true;
  }

  /** Marks the writes with these ids, under way or waiting. An atomic group is cancelled with any of its rows. */
  #cancel(ids: readonly number[]): void {
    const wanted = new Set(ids);
    for (let tag = 0; tag < this.#capacity; tag++) {
      const write = this.#writes[tag];
      if (write !== undefined && wanted.has(this.#ids[tag]!)) write.cancelled = true;
    }
    if (this.#frames.length === 0) return;
    for (const id of wanted) this.#cancelledIds.add(id);
  }
}
