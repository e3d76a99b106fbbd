// What a leader knows of one replica, and how fast it may send to it.
//
//              rejected, unreachable                 log compacted below `next`
//   replicate ------------------------> probe ----------------------------------> snapshot
//       ^                                | ^                                         |
//       |        acknowledged            | |      snapshot reported as sent or lost  |
//       +--------------------------------+ +-----------------------------------------+
//       ^                 an acknowledgement at or beyond the log's start            |
//       +----------------------------------------------------------------------------+
//
// - probe: one append, then silence until it is answered or a heartbeat is.
// - replicate: appends follow each other, up to a window of messages and of bytes.
// - snapshot: nothing until the snapshot has arrived.
//
// Always 0 <= match < next; entries between the two are on the way. Used by the core only, by the leader only.
import { RaftError } from './errors.js';
import type { ProgressState, ProgressStatus } from './types.js';

/** Window of appends on the way to one replica. */
export interface InflightLimits {
  readonly appendsMax: number;
  /** Soft: the append that reaches it is still sent. */
  readonly bytesMax: number;
}

// Slots of a new ring, and what a ring that ran empty may keep. Powers of two.
const RING_SLOTS_MIN = 4;
const RING_SLOTS_KEPT_MAX = 32;

/** One replica, as its leader sees it. */
export class Progress {
  readonly id: number;
  /** The replica's log is known to match up to here. */
  match: number;
  /** The next entry to send. */
  next: number;
  /** Greatest commit index sent; lower again when it may have been lost. */
  sentCommit = 0;
  state: ProgressState = 'probe';
  /** Index of the snapshot that is awaited in state `snapshot`, else 0. */
  pendingSnapshot = 0;
  /** Whether the replica was heard of since the last check of the quorum. */
  recentActive = false;
  /** Whether it was heard of between the last two checks. */
  wasActive = false;
  /** No append until a heartbeat is answered: an append is being probed, or the window is full. */
  paused = false;
  learner: boolean;
  /** The latest heartbeat round that the replica answered. */
  ackedRound = 0;
  readonly #limits: InflightLimits;
  // The window: a ring of (last index, bytes) pairs, allocated by the first append in state `replicate`.
  #ring: number[] | undefined = undefined;
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(id: number, match: number, next: number, learner: boolean, limits: InflightLimits) {
    this.id = id;
    this.match = match;
    this.next = next;
    this.learner = learner;
    this.#limits = limits;
  }

  /** A new term: nothing is known any more, but where this replica's own log ends. */
  reset(match: number, next: number): void {
    this.#become('probe');
    this.match = match;
    this.next = next;
    this.sentCommit = 0;
    this.recentActive = false;
    this.wasActive = false;
    this.ackedRound = 0;
  }

  /** Find out where the logs meet: after `match`, or after the snapshot that was on the way. */
  becomeProbe(): void {
    const after = Math.max(this.match, this.state === 'snapshot' ? this.pendingSnapshot : 0);
    this.#become('probe');
    this.next = after + 1;
    this.sentCommit = Math.min(this.sentCommit, after);
  }

  /** The logs meet at `match`: send on from there. */
  becomeReplicate(): void {
    this.#become('replicate');
    this.next = this.match + 1;
  }

  /** A snapshot at `index` is being sent. */
  becomeSnapshot(index: number): void {
    this.#become('snapshot');
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  #become(state: ProgressState): void {
    this.paused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.#ring = undefined;
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  /** An append of `count` entries from `next` on, of `bytes` together, was sent. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === 'replicate') {
      if (count > 0) {
        this.next += count;
        this.#addInflight(this.next - 1, bytes);
      }
      // An append that fills the window, or an empty one sent while it is full, is a probe.
      this.paused = this.inflightFull;
    } else if (this.state === 'probe') {
      if (count > 0) this.paused = true;
    } else {
      throw new RaftError('RAFT_MISUSE', `No append may be sent to replica ${this.id}, which awaits a snapshot.`);
    }
  }

  /** Whether telling commit index `index` may advance the replica's. */
  canBumpCommit(index: number): boolean {
    return index > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** The replica acknowledged everything up to `index`. False when that is no news. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    if (this.next <= index) this.next = index + 1;
    this.paused = false;
    return true;
  }

  /**
   * The replica rejected the append after index `rejected`; the logs may meet at `matchHint`. False when the answer is
   * out of date and nothing changed.
   */
  maybeDecrementTo(rejected: number, matchHint: number): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
    } else {
      // One append at a time is on the way: a rejection of any other is old.
      if (this.next - 1 !== rejected) return false;
      this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1);
      this.paused = false;
    }
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    return true;
  }

  /** No append may be sent now. */
  get isPaused(): boolean {
    return this.paused || this.state === 'snapshot';
  }

  /** Appends on the way. */
  get inflightCount(): number {
    return this.#count;
  }

  get inflightFull(): boolean {
    return this.#count >= this.#limits.appendsMax || this.#bytes >= this.#limits.bytesMax;
  }

  /** Appends that end at or before `index` have arrived. */
  freeInflightsTo(index: number): void {
    const ring = this.#ring;
    if (ring === undefined) return;
    const mask = ring.length - 1;
    while (this.#count > 0 && ring[this.#start]! <= index) {
      this.#bytes -= ring[this.#start + 1]!;
      this.#start = (this.#start + 2) & mask;
      this.#count--;
    }
    if (this.#count === 0 && ring.length > 2 * RING_SLOTS_KEPT_MAX) {
      // After a burst: a group at rest keeps little.
      this.#ring = undefined;
      this.#start = 0;
    }
  }

  #addInflight(index: number, bytes: number): void {
    if (this.inflightFull) {
      throw new RaftError('RAFT_MISUSE', `The window of appends to replica ${this.id} is full; check isPaused first.`);
    }
    if (this.#ring === undefined || 2 * this.#count === this.#ring.length) this.#grow();
    const ring = this.#ring!;
    const at = (this.#start + 2 * this.#count) & (ring.length - 1);
    ring[at] = index;
    ring[at + 1] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  #grow(): void {
    const old = this.#ring;
    const ring = new Array<number>(old === undefined ? 2 * RING_SLOTS_MIN : 2 * old.length).fill(0);
    for (let i = 0; old !== undefined && i < old.length; i++) ring[i] = old[(this.#start + i) & (old.length - 1)]!;
    this.#ring = ring;
    this.#start = 0;
  }

  /** A copy that shares nothing with this one. */
  clone(): Progress {
    const copy = new Progress(this.id, this.match, this.next, this.learner, this.#limits);
    copy.sentCommit = this.sentCommit;
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.recentActive = this.recentActive;
    copy.wasActive = this.wasActive;
    copy.paused = this.paused;
    copy.ackedRound = this.ackedRound;
    copy.#ring = this.#ring?.slice();
    copy.#start = this.#start;
    copy.#count = this.#count;
    copy.#bytes = this.#bytes;
    return copy;
  }

  /** What to tell those who ask. */
  status(): ProgressStatus {
    return {
      id: this.id,
      match: this.match,
      next: this.next,
      state: this.state,
      learner: this.learner,
      recentActive: this.recentActive,
      paused: this.isPaused,
      pendingSnapshot: this.pendingSnapshot,
      inflight: this.#count,
      inflightFull: this.inflightFull,
      ackedRound: this.ackedRound,
    };
  }
}
