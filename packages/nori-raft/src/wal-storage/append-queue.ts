// Hands records to nori-wal, one flight at a time: what comes while one is under way goes together as the next one, as a batch of
// which all or nothing survives.
//
// Nothing is appended behind a flight before it is known how it ended. Later records build on earlier ones: if an earlier one finds
// no space, those behind it must not be stored either, though there may be space for them. So when a flight fails for
// lack of space, it and all that waits is undone, from the last step back, and memory is as the disk is.
import type { Clock } from 'nori-io';
import { type Wal, WalError } from 'nori-wal';
import { RaftError } from '../errors.js';
import type { Step } from './group-memory.js';
import { asRaftError } from './storage-error.js';

/** Records of a flight beyond the first do not make it larger than this: the next flight shall not wait for long. */
const FLIGHT_BYTES_MAX = 8 * 1024 * 1024;

interface Pending {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly steps: readonly Step[];
  readonly startedMs: number;
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: RaftError): void;
}

/** See the top of this file. */
export class AppendQueue {
  readonly #wal: Wal;
  readonly #clock: Clock;
  readonly #durability: 'sync' | 'batch' | 'os';
  /** Under way. */
  #flight: Pending[] = [];
  /** Not yet. */
  #waiting: Pending[] = [];
  #failure: RaftError | undefined;

  constructor(wal: Wal, clock: Clock, durability: 'sync' | 'batch' | 'os') {
    this.#wal = wal;
    this.#clock = clock;
    this.#durability = durability;
  }

  /** Why nothing is written any more. */
  get failure(): RaftError | undefined {
    return this.#failure;
  }

  /** When the oldest record that is not durable was given here, on the monotonic clock. */
  get oldestStartedMs(): number | undefined {
    return this.#flight[0]?.startedMs;
  }

  /** Appends a record. Its steps have been carried out in memory. Resolves when it is durable and they are settled. */
  push(parts: readonly Uint8Array[], bytes: number, steps: readonly Step[]): Promise<void> {
    let resolve!: () => void;
    let reject!: (error: RaftError) => void;
    const promise = new Promise<void>((done, failed) => {
      resolve = done;
      reject = failed;
    });
    this.#waiting.push({ parts, bytes, steps, startedMs: this.#clock.monotonic(), promise, resolve, reject });
    if (this.#flight.length === 0) this.#start();
    return promise;
  }

  /** As the last record ends, or nothing if all is durable. */
  last(): Promise<void> {
    return (this.#waiting.at(-1) ?? this.#flight.at(-1))?.promise ?? Promise.resolve();
  }

  #start(): void {
    const flight = this.#takeFlight();
    this.#flight = flight;
    const options = { durability: this.#durability };
    const first = flight[0]!;
    if (flight.length === 1) {
      this.#wal.append(first.parts, options).then(
        (position) => this.#succeeded(flight, [position]),
        (error: unknown) => this.#failed(error),
      );
      return;
    }
    const records = flight.map(({ parts }) => parts);
    this.#wal.appendBatch(records, options).then(
      (positions) => this.#succeeded(flight, positions),
      (error: unknown) => this.#failed(error),
    );
  }

  #takeFlight(): Pending[] {
    const waiting = this.#waiting;
    let bytes = waiting[0]!.bytes;
    let count = 1;
    while (count < waiting.length && bytes + waiting[count]!.bytes <= FLIGHT_BYTES_MAX)
      bytes += waiting[count++]!.bytes;
    if (count === waiting.length) {
      this.#waiting = [];
      return waiting;
    }
    return waiting.splice(0, count);
  }

  #succeeded(flight: readonly Pending[], positions: readonly number[]): void {
    this.#flight = [];
    for (let i = 0; i < flight.length; i++) {
      const { steps } = flight[i]!;
      for (let j = 0; j < steps.length; j++) steps[j]!.settle(positions[i]!);
    }
    // The disk first, then those who wait.
    if (this.#waiting.length > 0) this.#start();
    for (let i = 0; i < flight.length; i++) flight[i]!.resolve();
  }

  #failed(cause: unknown): void {
    const failed = this.#flight.concat(this.#waiting);
    this.#flight = [];
    this.#waiting = [];
    for (let i = failed.length - 1; i >= 0; i--) {
      const { steps } = failed[i]!;
      for (let j = steps.length - 1; j >= 0; j--) steps[j]!.undo();
    }
    const isFull = cause instanceof WalError && cause.code === 'WAL_NO_SPACE';
    if (!isFull) this.#failure = finalError(cause);
    for (const { reject } of failed) reject(isFull ? asRaftError(cause) : finalError(cause));
  }
}

/** Whatever else than a full disk it was: nobody knows what is stored. */
export function finalError(cause: unknown): RaftError {
  const { message } = asRaftError(cause);
  return new RaftError(
    'RAFT_STORAGE_FAILED',
    `The raft log is no longer written, because what it holds on disk is unknown. ${message}`,
    0,
    cause,
  );
}
