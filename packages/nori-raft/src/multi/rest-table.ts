// Heartbeats of replicas at rest (../rest.ts), exchanged without touching them: all there is to know of each stands in a few
// columns of numbers, so that a thousand groups fit into the processor's cache, where their cores do not by far.
//
//   leader    every heartbeat interval  ──►  round + 1, one heartbeat to each that follows; answers ──►  answered
//   follower  the same heartbeat again  ──►  heard, answered
//
// Heartbeats are Raft's own, one a group, follower and round; that they are the same as the last ones is checked for each. What is not
// the same goes to the core, which is told first what there was meanwhile. Leaders at rest begin their rounds at the same ticks, so that
// few frames hold them.
import type { LeaderRest } from '../types.js';
import type { Outbox } from './outbox.js';
import type { NodeId } from './ports.js';

/** A group with more replicas beside its leader does not rest. */
const FOLLOWERS_MAX = 6;

const AWAKE = 0;
const LEADS = 1;
const FOLLOWS = 2;

// Columns. Of a leader `COUNT` and `ROUNDS`, of a follower `LEADER`, `COMMIT`, `TRANSFER`, `HEARD_MS`, `HEARD_TICK`, `NODE`.
const GROUP = 0;
const SELF = 1;
const TERM = 2;
const COMMIT = 3;
const TRANSFER = 4;
/** Number of the last round. */
const ROUND = 5;
/** Rounds begun at rest. */
const ROUNDS = 6;
const COUNT = 7;
const LEADER = 5;
const HEARD_MS = 6;
const HEARD_TICK = 7;
const NODE = 8;
const COLUMNS = 9;

// Columns of those that follow a leader at rest.
const REPLICA = 0;
const ANSWERED = 1;
const FOLLOWER_NODE = 2;
const FOLLOWER_COLUMNS = 3;
const FOLLOWERS = FOLLOWERS_MAX * FOLLOWER_COLUMNS;

/** What a leader says again and again, or a follower hears. */
export interface RestingHeartbeat {
  readonly term: number;
  readonly commit: number;
  readonly transfer: number;
}

/** A follower, and where it is. */
export interface RestingFollower {
  readonly id: number;
  readonly node: NodeId;
}

/** A heartbeat, or an answer to one, as it was received. */
export interface HeartbeatNumbers {
  readonly isAnswer: boolean;
  readonly groupId: number;
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly commit: number;
  readonly context: number;
  readonly transfer: number;
}

export class RestTable {
  readonly #heartbeatTicks: number;
  readonly #outbox: Outbox;
  readonly #slots = new Map<number, number>();
  readonly #free: number[] = [];
  readonly #nodes: NodeId[] = [];
  readonly #nodeNumbers = new Map<NodeId, number>();
  #states = new Uint8Array(64);
  #rows = new Float64Array(64 * COLUMNS);
  #followers = new Float64Array(64 * FOLLOWERS);
  #end = 0;
  /** When the last rounds began, oldest first, and the tick of the last. */
  #startsMs: number[] = [];
  #roundTick = 0;
  readonly #startsMax: number;

  /** @param ticksMax the longest that a leader rests */
  constructor(outbox: Outbox, heartbeatTicks: number, ticksMax: number) {
    this.#outbox = outbox;
    this.#heartbeatTicks = heartbeatTicks;
    this.#startsMax = Math.ceil(ticksMax / heartbeatTicks) + 1;
  }

  /** Makes room for a replica; it is awake. @returns its slot */
  add(groupId: number, replicaId: number): number {
    const slot = this.#free.pop() ?? this.#end++;
    if (slot === this.#states.length) this.#grow();
    this.#slots.set(groupId, slot);
    this.#states[slot] = AWAKE;
    this.#rows[slot * COLUMNS + GROUP] = groupId;
    this.#rows[slot * COLUMNS + SELF] = replicaId;
    return slot;
  }

  remove(groupId: number): void {
    const slot = this.#slots.get(groupId);
    if (slot === undefined) return;
    this.#slots.delete(groupId);
    this.#states[slot] = AWAKE;
    this.#free.push(slot);
  }

  /** The first tick from `tick` on at which rounds begin. */
  roundTickFrom(tick: number): number {
    return Math.ceil(tick / this.#heartbeatTicks) * this.#heartbeatTicks;
  }

  /** @param round the last one that began. @returns false when there is no room for so many followers */
  restLeader(slot: number, round: number, says: RestingHeartbeat, followers: readonly RestingFollower[]): boolean {
    if (followers.length > FOLLOWERS_MAX) return false;
    const row = slot * COLUMNS;
    this.#setSaid(row, says);
    this.#rows[row + ROUND] = round;
    this.#rows[row + ROUNDS] = 0;
    this.#rows[row + COUNT] = followers.length;
    let at = slot * FOLLOWERS;
    for (const { id, node } of followers) {
      this.#followers[at + REPLICA] = id;
      this.#followers[at + ANSWERED] = 0;
      this.#followers[at + FOLLOWER_NODE] = this.#numberOf(node);
      at += FOLLOWER_COLUMNS;
    }
    this.#states[slot] = LEADS;
    return true;
  }

  restFollower(slot: number, leader: number, node: NodeId, hears: RestingHeartbeat, tick: number): void {
    const row = slot * COLUMNS;
    this.#setSaid(row, hears);
    this.#rows[row + LEADER] = leader;
    this.#rows[row + NODE] = this.#numberOf(node);
    this.#rows[row + HEARD_TICK] = tick;
    this.#rows[row + HEARD_MS] = -1;
    this.#states[slot] = FOLLOWS;
  }

  /** The tick at which a follower at rest has last heard of its leader. */
  heardTick(slot: number): number {
    return this.#rows[slot * COLUMNS + HEARD_TICK]!;
  }

  /** A follower is woken. @returns when it heard of its leader meanwhile, or undefined */
  wakeFollower(slot: number): { readonly tick: number; readonly nowMs: number } | undefined {
    const row = slot * COLUMNS;
    this.#states[slot] = AWAKE;
    const nowMs = this.#rows[row + HEARD_MS]!;
    return nowMs < 0 ? undefined : { tick: this.#rows[row + HEARD_TICK]!, nowMs };
  }

  /** A leader that has rested from `sinceTick` to `tick` is woken. */
  wakeLeader(slot: number, sinceTick: number, tick: number): LeaderRest {
    const row = slot * COLUMNS;
    this.#states[slot] = AWAKE;
    const rounds = this.#rows[row + ROUNDS]!;
    const answered = new Map<number, number>();
    for (let i = 0, at = slot * FOLLOWERS; i < this.#rows[row + COUNT]!; i++, at += FOLLOWER_COLUMNS) {
      const round = this.#followers[at + ANSWERED]!;
      if (round > 0) answered.set(this.#followers[at + REPLICA]!, round);
    }
    const startsMs = rounds === 0 ? [] : this.#startsMs.slice(-rounds);
    return { ticks: tick - sinceTick, ticksSinceRound: tick - this.#roundTick, startsMs, answered };
  }

  /**
   * When the last round began that a leader at rest began at rest and a majority of `voters`, itself among them, has answered; undefined:
   * there was none.
   */
  confirmedStartMs(slot: number, voters: readonly number[]): number | undefined {
    const row = slot * COLUMNS;
    const last = this.#rows[row + ROUND]!;
    const rounds = this.#rows[row + ROUNDS]!;
    const count = this.#rows[row + COUNT]!;
    const others = voters.length >> 1;
    let confirmed = others === 0 ? last : 0;
    for (let i = 0, at = slot * FOLLOWERS; i < count; i++, at += FOLLOWER_COLUMNS) {
      const round = this.#followers[at + ANSWERED]!;
      if (round <= confirmed || !voters.includes(this.#followers[at + REPLICA]!)) continue;
      if (this.#answeredBy(slot, round, voters) >= others) confirmed = round;
    }
    const ago = last - confirmed;
    return ago < rounds ? this.#startsMs[this.#startsMs.length - 1 - ago] : undefined;
  }

  /** How many of the voters that follow have answered `round` or a later one. */
  #answeredBy(slot: number, round: number, voters: readonly number[]): number {
    let answered = 0;
    const count = this.#rows[slot * COLUMNS + COUNT]!;
    for (let i = 0, at = slot * FOLLOWERS; i < count; i++, at += FOLLOWER_COLUMNS) {
      if (this.#followers[at + ANSWERED]! >= round && voters.includes(this.#followers[at + REPLICA]!)) answered++;
    }
    return answered;
  }

  /** Begins the rounds of this tick. @param isHeard whether anything may be sent: the disk does not stand still */
  tick(tick: number, leaseNowMs: number, isHeard: boolean): void {
    if (tick % this.#heartbeatTicks !== 0) return;
    this.#roundTick = tick;
    this.#startsMs.push(leaseNowMs);
    if (this.#startsMs.length > this.#startsMax) this.#startsMs.shift();
    const rows = this.#rows;
    for (let slot = 0; slot < this.#end; slot++) {
      if (this.#states[slot] !== LEADS) continue;
      const row = slot * COLUMNS;
      rows[row + ROUND]!++;
      rows[row + ROUNDS]!++;
      if (isHeard) this.#sendRound(slot);
    }
  }

  #sendRound(slot: number): void {
    const rows = this.#rows;
    const row = slot * COLUMNS;
    const count = rows[row + COUNT]!;
    for (let i = 0, at = slot * FOLLOWERS; i < count; i++, at += FOLLOWER_COLUMNS) {
      this.#outbox.addHeartbeat(this.#nodes[this.#followers[at + FOLLOWER_NODE]!]!, {
        isAnswer: false,
        groupId: rows[row + GROUP]!,
        from: rows[row + SELF]!,
        to: this.#followers[at + REPLICA]!,
        term: rows[row + TERM]!,
        commit: rows[row + COMMIT]!,
        context: rows[row + ROUND]!,
        transfer: rows[row + TRANSFER]!,
      });
    }
  }

  /**
   * Takes a heartbeat, or an answer, that is for a replica at rest and tells it nothing new.
   * @returns false: it is for the core
   */
  take(node: NodeId, m: HeartbeatNumbers, tick: number, nowMs: number, isHeard: boolean): boolean {
    const slot = this.#slots.get(m.groupId);
    if (slot === undefined) return false;
    const row = slot * COLUMNS;
    const rows = this.#rows;
    if (m.to !== rows[row + SELF] || m.term !== rows[row + TERM]) return false;
    const state = this.#states[slot];
    if (m.isAnswer) return state === LEADS && this.#takeAnswer(slot, node, m);
    if (state !== FOLLOWS || m.from !== rows[row + LEADER] || m.commit !== rows[row + COMMIT]) return false;
    if (m.transfer !== rows[row + TRANSFER] || this.#nodes[rows[row + NODE]!] !== node) return false;
    rows[row + HEARD_TICK] = tick;
    rows[row + HEARD_MS] = nowMs;
    if (isHeard) {
      const { groupId, from, to, term, context } = m;
      this.#outbox.addHeartbeat(node, {
        isAnswer: true,
        groupId,
        from: to,
        to: from,
        term,
        commit: 0,
        context,
        transfer: 0,
      });
    }
    return true;
  }

  #takeAnswer(slot: number, node: NodeId, m: HeartbeatNumbers): boolean {
    const row = slot * COLUMNS;
    if (m.commit !== 0 || m.transfer !== 0 || m.context > this.#rows[row + ROUND]!) return false;
    for (let i = 0, at = slot * FOLLOWERS; i < this.#rows[row + COUNT]!; i++, at += FOLLOWER_COLUMNS) {
      if (this.#followers[at + REPLICA] !== m.from) continue;
      if (this.#nodes[this.#followers[at + FOLLOWER_NODE]!] !== node) return false;
      if (m.context > this.#followers[at + ANSWERED]!) this.#followers[at + ANSWERED] = m.context;
      return true;
    }
    return false;
  }

  #setSaid(row: number, { term, commit, transfer }: RestingHeartbeat): void {
    this.#rows[row + TERM] = term;
    this.#rows[row + COMMIT] = commit;
    this.#rows[row + TRANSFER] = transfer;
  }

  #numberOf(node: NodeId): number {
    let number = this.#nodeNumbers.get(node);
    if (number === undefined) {
      number = this.#nodes.push(node) - 1;
      this.#nodeNumbers.set(node, number);
    }
    return number;
  }

  #grow(): void {
    const size = 2 * this.#states.length;
    const states = new Uint8Array(size);
    states.set(this.#states);
    this.#states = states;
    const rows = new Float64Array(size * COLUMNS);
    rows.set(this.#rows);
    this.#rows = rows;
    const followers = new Float64Array(size * FOLLOWERS);
    followers.set(this.#followers);
    this.#followers = followers;
  }
}
