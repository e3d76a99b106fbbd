// The replicated log of a node that replicates to nobody: nori-wal behind the ReplicatedLog port. One record a turn
// holds the entries of all groups (docs/formats/log-entry.md), so that one fdatasync serves every shard that writes.
// Terms are always 1; a Raft log opens the same files.
//
// One turn is in flight at a time; what arrives meanwhile is the next. When a turn is durable the next is taken
// first and the durable one applied while the disk works. A turn that finds no space is refused whole, and its
// indexes are used again, since nothing of it was or will be applied. A failed fdatasync ends the log for ever.
import type { Clock, FileSystem } from 'nori-io';
import type { Meter } from 'nori-observe';
import { Wal, WalError } from 'nori-wal';
import { ByteReader } from '../domain/byte-reader.js';
import { ByteWriter } from '../domain/byte-writer.js';
import { NodeError } from '../domain/node-error.js';
import { GROUP_COUNT_MAX } from '../domain/placement.js';
import type {
  EntryPosition,
  LogStats,
  Proposal,
  ReplayReport,
  ReplicatedLog,
  StateMachine,
} from '../ports/replicated-log.js';

/** How the log is opened. */
export interface LocalLogOptions {
  readonly dir: string;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly meter: Meter;
  readonly segmentBytesMax: number;
  /** `os`: acknowledged without an fdatasync. */
  readonly fsync: 'always' | 'batch' | 'os';
}

const TERM = 1;
/**
 * Entries applied in one turn of the event loop: their results are on their way while the next are applied, so that
 * callers and node work at the same time, and nobody else waits long.
 */
const ENTRIES_PER_SLICE = 32;
/** Turns that may be durable and not applied before no more are taken. */
const DURABLE_TURNS_MAX = 2;
const RECORD_ENTRIES = 1;

interface DurableTurn {
  readonly turn: readonly Proposal[];
  readonly entries: readonly EntryPosition[];
  readonly position: number;
  /** Entries applied so far. */
  applied: number;
}

/** {@link ReplicatedLog} over one nori-wal. */
export class LocalLog implements ReplicatedLog {
  readonly failed: Promise<Error>;
  readonly #wal: Wal;
  readonly #durability: 'sync' | 'os';
  readonly #header = new ByteWriter();
  /** Index of the last entry proposed in each group. */
  readonly #lastIndexes = new Float64Array(GROUP_COUNT_MAX);
  readonly #clock: Clock;
  /** Turns that are durable and not all applied, oldest first. */
  readonly #durableTurns: DurableTurn[] = [];
  #machine!: StateMachine;
  #inFlight = false;
  #started = false;
  #closing: Promise<void> | undefined;
  #broken = false;
  #appliedPosition = 0;
  #fail!: (error: Error) => void;

  private constructor(wal: Wal, clock: Clock, fsync: LocalLogOptions['fsync']) {
    this.#wal = wal;
    this.#clock = clock;
    this.#durability = fsync === 'os' ? 'os' : 'sync';
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  /** Opens the log; its lock is the caller's. */
  static async open(options: LocalLogOptions): Promise<LocalLog> {
    const wal = await Wal.open({
      dir: options.dir,
      fs: options.fs,
      clock: options.clock,
      meter: options.meter,
      segmentBytesMax: options.segmentBytesMax,
      fsync: options.fsync,
      lock: false,
    });
    return new LocalLog(wal, options.clock, options.fsync);
  }

  async start(machine: StateMachine): Promise<ReplayReport> {
    this.#machine = machine;
    for (let group = 0; group < GROUP_COUNT_MAX; group++) this.#lastIndexes[group] = machine.applied(group).index;
    let entriesReplayed = 0;
    let entriesSkipped = 0;
    for await (const { position, data } of this.#wal.readFrom(this.#wal.start)) {
      this.#appliedPosition = position;
      for (const { entry, body } of readTurn(data, position)) {
        const last = this.#lastIndexes[entry.group]!;
        if (entry.index <= last) {
          entriesSkipped++;
          continue;
        }
        if (entry.index !== last + 1) throw gap(entry, last, position);
        const wait = machine.writable();
        if (wait !== undefined) await wait;
        replay(machine, entry, body, position);
        this.#lastIndexes[entry.group] = entry.index;
        entriesReplayed++;
      }
      this.#appliedPosition = position + 1;
    }
    this.#started = true;
    return { entriesReplayed, entriesSkipped, cut: this.#wal.recovery.cut };
  }

  get accepting(): boolean {
    if (!this.#started || this.#inFlight || this.#broken || this.#closing !== undefined) return false;
    return this.#durableTurns.length < DURABLE_TURNS_MAX;
  }

  get busy(): boolean {
    return this.#inFlight || this.#durableTurns.length > 0;
  }

  propose(turn: readonly Proposal[]): void {
    this.#inFlight = true;
    const header = this.#header;
    header.reset();
    header.u8(RECORD_ENTRIES);
    header.varint(turn.length);
    const entries: EntryPosition[] = [];
    for (const { group, timeMs, body } of turn) {
      const index = this.#lastIndexes[group]! + 1;
      this.#lastIndexes[group] = index;
      entries.push({ group, term: TERM, index, timeMs });
      header.varint(group);
      header.varint(TERM);
      header.varint(index);
      header.varint(timeMs);
      header.varint(body.length);
    }
    const parts = [header.view(), ...joinAdjacent(turn)];
    this.#wal.append(parts, { durability: this.#durability }).then(
      (position) => this.#durable(turn, entries, position),
      (error) => this.#refuse(turn, entries, error),
    );
  }

  #durable(turn: readonly Proposal[], entries: readonly EntryPosition[], position: number): void {
    this.#inFlight = false;
    this.#durableTurns.push({ turn, entries, position, applied: 0 });
    if (!this.#broken) this.#machine.ready();
    if (this.#durableTurns.length === 1) this.#applySlice();
  }

  /** Applies some entries of the oldest durable turn; the rest, and later turns, in later turns of the event loop. */
  readonly #applySlice = (): void => {
    const oldest = this.#durableTurns[0]!;
    const { turn, entries, position } = oldest;
    try {
      // What was proposed before the state machine failed must not be applied on top of the failure.
      const end = this.#broken ? 0 : Math.min(oldest.applied + ENTRIES_PER_SLICE, turn.length);
      this.#appliedPosition = position;
      for (; oldest.applied < end; oldest.applied++) {
        this.#machine.apply(entries[oldest.applied]!, turn[oldest.applied]!.context);
      }
    } catch (error) {
      // What is in memory is no longer what the log says.
      this.#stop(error);
    }
    if (this.#broken) {
      for (; oldest.applied < turn.length; oldest.applied++) {
        this.#machine.refused(turn[oldest.applied]!.context, inDoubt(undefined));
      }
    } else if (oldest.applied === turn.length) this.#appliedPosition = position + 1;
    if (oldest.applied === turn.length) {
      this.#durableTurns.shift();
      this.#machine.turnApplied();
    }
    if (this.#durableTurns.length > 0) this.#clock.nextTurn(this.#applySlice);
  };

  #refuse(turn: readonly Proposal[], entries: readonly EntryPosition[], cause: unknown): void {
    this.#inFlight = false;
    for (let i = entries.length - 1; i >= 0; i--) this.#lastIndexes[entries[i]!.group] = entries[i]!.index - 1;
    const refusal = cause instanceof WalError ? nothingWritten(cause) : undefined;
    const error = refusal ?? inDoubt(cause);
    for (const { context } of turn) this.#machine.refused(context, error);
    if (refusal === undefined) this.#stop(cause);
    else this.#machine.ready();
    this.#machine.turnApplied();
  }

  #stop(cause: unknown): void {
    this.#broken = true;
    const message = 'The log has failed and the node ends; nothing was written.';
    this.#machine.stopped(new NodeError('UNAVAILABLE', message, { cause }));
    this.#fail(cause instanceof Error ? cause : new Error(String(cause)));
  }

  leaderTerm(): number | undefined {
    return this.#broken ? undefined : TERM;
  }

  /** The only replica is always its own quorum. */
  readBarrier(): undefined {
    return undefined;
  }

  appliedPosition(): number {
    return this.#appliedPosition;
  }

  truncate(position: number): Promise<void> {
    return this.#wal.truncateBefore(position);
  }

  stats(): LogStats {
    const { segments, bytes } = this.#wal.stats();
    return { segments, bytes };
  }

  close(): Promise<void> {
    this.#closing ??= this.#wal.close();
    return this.#closing;
  }
}

/** The bodies of a turn; those that lie side by side in one buffer, which is the rule, as one: copied and summed at once. */
const joinAdjacent = (turn: readonly Proposal[]): Uint8Array[] => {
  const joined: Uint8Array[] = [];
  let { buffer, byteOffset: start } = turn[0]!.body;
  let end = start;
  for (const { body } of turn) {
    if (body.buffer !== buffer || body.byteOffset !== end) {
      joined.push(new Uint8Array(buffer, start, end - start));
      buffer = body.buffer;
      start = body.byteOffset;
    }
    end = body.byteOffset + body.length;
  }
  joined.push(new Uint8Array(buffer, start, end - start));
  return joined;
};

/** The error of a turn of which the log took nothing; undefined if that is not certain. */
const nothingWritten = (cause: WalError): NodeError | undefined => {
  if (cause.code === 'WAL_NO_SPACE') {
    const message = 'The disk of the log is full; nothing was written. Free some space: writes resume by themselves.';
    return new NodeError('RESOURCE_EXHAUSTED', message, { cause });
  }
  return cause.code === 'WAL_RECORD_TOO_LARGE' ? new NodeError('INTERNAL', cause.message, { cause }) : undefined;
};

const inDoubt = (cause: unknown): NodeError =>
  new NodeError(
    'COMMIT_TIMEOUT',
    'The log failed while the write was under way; it may or may not survive. Retry it with the same identity.',
    { cause },
  );

function* readTurn(data: Uint8Array, position: number): Generator<{ entry: EntryPosition; body: Uint8Array }> {
  const reader = new ByteReader(data);
  const heads: (EntryPosition & { readonly length: number })[] = [];
  try {
    const kind = reader.u8();
    if (kind !== RECORD_ENTRIES) throw new RangeError(`record kind ${kind} is not known`);
    const count = reader.varint();
    for (let i = 0; i < count; i++) {
      heads.push({
        group: reader.varint(),
        term: reader.varint(),
        index: reader.varint(),
        timeMs: reader.varint(),
        length: reader.varint(),
      });
    }
  } catch (error) {
    throw damaged(position, error);
  }
  for (const { length, ...entry } of heads) {
    if (entry.group >= GROUP_COUNT_MAX || length > reader.remaining) {
      throw damaged(position, new RangeError(`the entry of group ${entry.group} does not fit its record`));
    }
    yield { entry, body: reader.bytes(length) };
  }
}

const replay = (machine: StateMachine, entry: EntryPosition, body: Uint8Array, position: number): void => {
  try {
    machine.replay(entry, body);
  } catch (error) {
    if (error instanceof RangeError) throw damaged(position, error);
    throw error;
  }
};

const damaged = (position: number, cause: unknown): NodeError =>
  new NodeError(
    'CORRUPTION',
    `The log record at position ${position} has a valid checksum but cannot be understood: ${(cause as Error).message}. It was written by another version, or by a defect; do not delete it.`,
    { cause },
  );

const gap = (entry: EntryPosition, last: number, position: number): NodeError =>
  new NodeError(
    'CORRUPTION',
    `The log misses entries ${last + 1} to ${entry.index - 1} of group ${entry.group} before position ${position}. Restore the missing segments.`,
  );
