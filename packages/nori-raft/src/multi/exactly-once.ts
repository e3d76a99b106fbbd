// Makes any state machine apply each request once, however often it is proposed.
//
// A proposal may be lost, or its answer may be: then the client proposes again, and the log may hold the same request
// twice. `exactlyOnce(machine)` is a state machine in front of `machine` that lets the first through and answers the others
// with the first one's result. Entries must be made by `encodeRequest`, or by an `OutcomeSession`, which counts for a client.
//
// What it remembers is part of the replicated state, and bounded (outcome-table.ts says how it forgets safely):
//
//   - In snapshots it stands in front of the machine's own bytes.
//   - A machine that outlives a restart must keep it with its marks: each `mark` that it is given, by `applied` or by
//     `stage`, has an `attachment()`, the bytes to store in the same durable write as the mark; `machine.mark` gives them
//     back. A machine that begins at index 1 after every restart, and has the whole log applied again, need not care.
//
// Layouts are in docs/formats/raft-outcomes.md.
import { RaftError } from '../errors.js';
import type { Entry } from '../types.js';
import { corruptOutcomes, decodeOutcomes, encodeOutcomes } from './outcome-codec.js';
import {
  EMPTY_OUTCOME_STATE,
  OUTCOME_LIMITS,
  type OutcomeLimits,
  type OutcomeSlot,
  OutcomeTable,
} from './outcome-table.js';
import type { Mark, SnapshotSource, StagedSnapshot, StateMachine } from './ports.js';
import { decodeRequest } from './request-codec.js';
import { readPrefixed, withPrefix } from './snapshot-prefix.js';

/** What became of a request. */
export type Outcome<Result> =
  /** It is applied: by this entry or an earlier one, once. */
  | { readonly status: 'applied'; readonly result: Result }
  /** It was applied, by an earlier entry, and its result was over 4 KiB, which is not kept. */
  | { readonly status: 'result-forgotten' }
  /** It was not applied by this entry. Whether it was before cannot be known any more. */
  | { readonly status: 'unknown' }
  /** It was not applied by this entry: its client has said before that it is resolved. */
  | { readonly status: 'below-floor' }
  /** It was not applied: the entry is none that `encodeRequest` makes. */
  | { readonly status: 'malformed' };

/** Options of {@link exactlyOnce}. Both functions must give the same at all replicas. */
export interface ExactlyOnceOptions<Result> {
  /** A result as bytes, to be kept for retries; over 4 KiB it is not kept. */
  encodeResult(result: Result): Uint8Array;
  decodeResult(bytes: Uint8Array): Result;
}

/** Makes `machine` apply each request once. All replicas of a group must be wrapped, from its first entry on. */
export function exactlyOnce<Result>(
  machine: StateMachine<Result>,
  options: ExactlyOnceOptions<Result>,
): StateMachine<Outcome<Result>> {
  return new ExactlyOnceMachine(machine, options);
}

const UNKNOWN = { status: 'unknown' } as const;
const BELOW_FLOOR = { status: 'below-floor' } as const;
const MALFORMED = { status: 'malformed' } as const;
const RESULT_FORGOTTEN = { status: 'result-forgotten' } as const;

/** An entry's verdict, or where it will be found: at a slot, or, if undefined, in the next result. */
type Pending<Result> = Outcome<Result> | OutcomeSlot | undefined;

/** {@link exactlyOnce}, with bounds that tests can reach. */
export class ExactlyOnceMachine<Result> implements StateMachine<Outcome<Result>> {
  readonly #machine: StateMachine<Result>;
  readonly #options: ExactlyOnceOptions<Result>;
  readonly #limits: OutcomeLimits;
  #table: OutcomeTable;
  /** Of the last mark: the table's settled state is of there. */
  #markIndex: number;

  constructor(machine: StateMachine<Result>, options: ExactlyOnceOptions<Result>, limits = OUTCOME_LIMITS) {
    this.#machine = machine;
    this.#options = options;
    this.#limits = limits;
    const { index, attachment } = machine.mark;
    this.#markIndex = index;
    this.#table = new OutcomeTable(limits, this.#decode(attachment?.(), index));
  }

  get mark(): Mark {
    return this.#machine.mark;
  }

  /** For tests: what is remembered now. */
  get table(): OutcomeTable {
    return this.#table;
  }

  apply(entries: readonly Entry[]): readonly Outcome<Result>[] | Promise<readonly Outcome<Result>[]> {
    const fresh: Entry[] = [];
    const freshSlots: (OutcomeSlot | undefined)[] = [];
    const pending: Pending<Result>[] = [];
    for (const entry of entries) {
      const request = decodeRequest(entry.data);
      if (request === undefined) {
        pending.push(MALFORMED);
        continue;
      }
      const { identity, payload } = request;
      const admission = identity === undefined ? undefined : this.#table.admit(identity);
      if (admission === undefined) {
        fresh.push({ ...entry, data: payload });
        freshSlots.push(identity === undefined ? undefined : this.#table.record(identity, entry.index));
        pending.push(undefined);
      } else pending.push(admission === 'unknown' ? UNKNOWN : admission === 'below-floor' ? BELOW_FLOOR : admission);
    }
    if (fresh.length === 0) return this.#finish(pending, freshSlots, []);
    const results = this.#machine.apply(fresh);
    if (results instanceof Promise) return results.then((values) => this.#finish(pending, freshSlots, values));
    return this.#finish(pending, freshSlots, results);
  }

  #finish(
    pending: readonly Pending<Result>[],
    slots: readonly (OutcomeSlot | undefined)[],
    results: readonly Result[],
  ): readonly Outcome<Result>[] {
    if (results.length !== slots.length) {
      throw new RaftError('RAFT_MISUSE', `A state machine gave ${results.length} results for ${slots.length} entries.`);
    }
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i];
      if (slot === undefined) continue;
      const bytes = this.#options.encodeResult(results[i]!);
      // A copy: the bytes may be part of a larger buffer, or be used again.
      if (bytes.length <= this.#limits.resultBytesMax) slot.result = Uint8Array.from(bytes);
    }
    let next = 0;
    return pending.map((outcome) => {
      if (outcome === undefined) return { status: 'applied', result: results[next++]! };
      return 'status' in outcome ? outcome : this.#repeated(outcome);
    });
  }

  #repeated({ result }: OutcomeSlot): Outcome<Result> {
    if (result === undefined) return RESULT_FORGOTTEN;
    return { status: 'applied', result: this.#options.decodeResult(Uint8Array.from(result)) };
  }

  applied(mark: Mark): void {
    this.#table.settle();
    this.#markIndex = mark.index;
    this.#machine.applied({ ...mark, attachment: () => this.#attachment(mark.index) });
  }

  #attachment(index: number): Uint8Array {
    if (index !== this.#markIndex) {
      throw new RaftError(
        'RAFT_MISUSE',
        `The attachment of the mark at ${index} was asked for after a later mark came.`,
      );
    }
    return encodeOutcomes({ index, state: this.#table.settled });
  }

  durableIndex(): number {
    return this.#machine.durableIndex();
  }

  snapshot(): SnapshotSource {
    const source = this.#machine.snapshot();
    if (source.index !== this.#markIndex) {
      source.release();
      throw new RaftError(
        'RAFT_MISUSE',
        `A snapshot is of index ${source.index}, not of the mark, ${this.#markIndex}.`,
      );
    }
    return withPrefix(this.#attachment(source.index), source);
  }

  async stage(mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot> {
    const { prefix, rest, giveUp } = await readPrefixed(chunks, this.#limits);
    try {
      const state = this.#decode(prefix, mark.index);
      const staged = await this.#machine.stage({ ...mark, attachment: () => prefix }, rest);
      return {
        install: async () => {
          await staged.install();
          this.#table = new OutcomeTable(this.#limits, state);
          this.#markIndex = mark.index;
        },
        discard: () => staged.discard(),
      };
    } catch (error) {
      await giveUp();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#machine.close?.();
  }

  #decode(bytes: Uint8Array | undefined, markIndex: number) {
    if (bytes === undefined) {
      if (markIndex <= 1) return EMPTY_OUTCOME_STATE;
      throw corruptOutcomes(
        `A state machine stands at index ${markIndex} without outcomes of clients: it must store mark.attachment() with ` +
          'each mark, and give it back.',
      );
    }
    const { index, state } = decodeOutcomes(bytes, this.#limits);
    if (index === markIndex) return state;
    throw corruptOutcomes(`Outcomes of clients are of index ${index}, but came with a state at ${markIndex}.`);
  }
}
