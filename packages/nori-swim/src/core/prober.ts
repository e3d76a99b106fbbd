// Probes one member after the other. A probe:
//
//   ping ──(timeout)──▶ ping-request to helpers, ping over TCP ──(rest of the interval)──▶ the member is suspected
//
// An answer on any way ends it. Whoever is suspected is asked once more out of turn. Interval and timeout are stretched while this node's own health is bad.
import type { NodeId } from '../member.js';
import { HELPER_WAIT_MAX_MS } from '../wire/limits.js';
import { type CoreContext, UDP_MISSES_MAX } from './context.js';
import type { MemberEntry } from './member-table.js';
import type { Membership } from './membership.js';
import type { Ack, Message, Nack, Ping, PingRequest, Suspect } from './messages.js';

/** Share of the time that is left which a helper waits before it sends a nack, so that the nack comes in time. */
const HELPER_SHARE = 0.8;

interface Probe {
  readonly entry: MemberEntry;
  /** Because it is suspected. */
  readonly isOutOfTurn: boolean;
  readonly seq: number;
  readonly startedMs: number;
  readonly timeoutMs: number;
  readonly deadlineMs: number;
  /** Who was asked to help, once the direct answer did not come in time. */
  helpers: Map<NodeId, 'nack' | 'silent'> | undefined;
  tcp: 'failed' | 'no-answer' | 'off';
  tcpExchange: number;
  done: boolean;
}

export class Prober {
  readonly #c: CoreContext;
  readonly #membership: Membership;
  #probe: Probe | undefined;
  #nextMs: number;
  #wasOutOfTurn = false;

  constructor(context: CoreContext, membership: Membership, firstMs: number) {
    this.#c = context;
    this.#membership = membership;
    this.#nextMs = firstMs;
  }

  get wakeMs(): number {
    const probe = this.#probe;
    if (probe === undefined || probe.done || probe.helpers !== undefined) return this.#nextMs;
    return probe.startedMs + probe.timeoutMs;
  }

  tick(): void {
    const { nowMs } = this.#c;
    const probe = this.#probe;
    if (probe !== undefined && !probe.done) {
      if (nowMs >= probe.deadlineMs) this.#fail(probe);
      else if (probe.helpers === undefined && nowMs >= probe.startedMs + probe.timeoutMs) this.#askHelpers(probe);
    }
    if (nowMs >= this.#nextMs) this.#start();
  }

  /** This node stood still: the silence of the member says nothing, so it is asked again. */
  drop(): void {
    const probe = this.#probe;
    if (probe === undefined || probe.done) return;
    this.#probe = undefined;
    if (probe.isOutOfTurn) probe.entry.suspicion?.restart(this.#c.nowMs);
    else this.#c.table.probeAgain();
    this.#nextMs = this.#c.nowMs;
  }

  ack(ack: Ack): boolean {
    const probe = this.#probe;
    if (probe === undefined || probe.seq !== ack.seq || probe.entry.id !== ack.from) return false;
    const { entry } = probe;
    this.#membership.answered(entry, ack);
    if (ack.via === '') {
      const rttMs = this.#c.nowMs - probe.startedMs;
      entry.rttMs = rttMs;
      this.#heard(entry);
      if (!probe.done) this.#succeed(probe, 'direct', rttMs);
    } else if (!probe.done) {
      probe.helpers?.delete(ack.via);
      this.#missed(entry);
      this.#succeed(probe, 'helper');
    }
    return true;
  }

  nack(nack: Nack): void {
    const probe = this.#probe;
    if (probe?.seq === nack.seq && probe.helpers?.has(nack.from)) probe.helpers.set(nack.from, 'nack');
  }

  /** What came of a ping over TCP. */
  tcp(exchange: number, answer: Ack | 'failed' | 'no-answer'): void {
    const probe = this.#probe;
    if (probe === undefined || probe.tcpExchange !== exchange) return;
    const answered = typeof answer !== 'string' && answer.from === probe.entry.id;
    setTcp(this.#c, probe.entry, answered);
    if (!answered) probe.tcp = typeof answer === 'string' ? answer : 'failed';
    else {
      this.#membership.answered(probe.entry, answer);
      if (probe.done) return;
      this.#missed(probe.entry);
      this.#succeed(probe, 'tcp');
    }
  }

  #start(): void {
    const c = this.#c;
    const { options, nowMs } = c;
    const intervalMs = options.probeIntervalMs * c.health.factor;
    this.#nextMs = nowMs + intervalMs;
    this.#probe = undefined;
    const doubtful = this.#doubtful();
    this.#wasOutOfTurn = doubtful !== undefined;
    const entry = doubtful ?? c.table.nextToProbe(c.random);
    if (entry === undefined) return;
    const seq = c.nextSeq();
    this.#probe = {
      entry,
      isOutOfTurn: this.#wasOutOfTurn,
      seq,
      startedMs: nowMs,
      timeoutMs: options.probeTimeoutMs * c.health.factor,
      deadlineMs: this.#nextMs,
      helpers: undefined,
      tcp: options.tcpFallback ? 'no-answer' : 'off',
      tcpExchange: -1,
      done: false,
    };
    c.send(entry.alive.address, pingWithAccusation(c, entry, seq));
  }

  /** Whoever is suspected and should be asked once more; every second probe at most, so that the others have their turn. */
  #doubtful(): MemberEntry | undefined {
    const c = this.#c;
    if (this.#wasOutOfTurn || !c.options.recheckSuspects) return undefined;
    let first: MemberEntry | undefined;
    for (const entry of c.table.suspects) {
      const checkMs = entry.suspicion?.nextCheckMs ?? Number.POSITIVE_INFINITY;
      if (checkMs <= c.nowMs && checkMs < (first?.suspicion?.nextCheckMs ?? Number.POSITIVE_INFINITY)) first = entry;
    }
    first?.suspicion?.checked(c.nowMs);
    return first;
  }

  #askHelpers(probe: Probe): void {
    const c = this.#c;
    const { entry, seq } = probe;
    const leftMs = probe.deadlineMs - c.nowMs;
    const request: PingRequest = {
      type: 'ping-request',
      seq,
      target: entry.id,
      address: entry.alive.address,
      boot: expectedBoot(entry),
      incarnation: entry.incarnation,
      waitMs: Math.min(HELPER_WAIT_MAX_MS, Math.floor(leftMs * HELPER_SHARE)),
      from: c.id,
    };
    const helpers = pickHelpers(c, entry);
    probe.helpers = new Map(helpers.map(({ id }) => [id, 'silent']));
    for (const helper of helpers) c.send(helper.alive.address, [request]);
    if (!c.options.tcpFallback) return;
    probe.tcpExchange = c.nextExchange();
    const message = ping(c, entry, seq);
    const { tcpExchange: exchange } = probe;
    c.act({ type: 'request', exchange, to: entry.alive.address, message, timeoutMs: leftMs * 0.95 });
  }

  #succeed(probe: Probe, result: 'direct' | 'helper' | 'tcp', rttMs?: number): void {
    probe.done = true;
    this.#c.health.change(-1);
    this.#c.act(rttMs === undefined ? { type: 'probed', result } : { type: 'probed', result, rttMs });
  }

  #fail(probe: Probe): void {
    const c = this.#c;
    const { entry } = probe;
    probe.done = true;
    c.act({ type: 'probed', result: 'failed' });
    const answers = probe.helpers ?? new Map<NodeId, 'nack' | 'silent'>();
    let nacks = 0;
    for (const answer of answers.values()) if (answer === 'nack') nacks++;
    // Helpers that are silent as well make this node doubt itself; without helpers it cannot know.
    c.health.change(answers.size === 0 ? 1 : answers.size - nacks);
    if (!entry.isActive || c.table.get(entry.id) !== entry) return;
    const { id, incarnation } = entry;
    const accusation: Suspect = { type: 'suspect', id, incarnation, from: c.id, helpers: answers.size, nacks };
    const helpers = [...answers].map(([helper, answer]) => ({ id: helper, answer }));
    this.#membership.suspect(accusation, { timeoutMs: probe.timeoutMs, helpers, tcp: probe.tcp });
  }

  #heard(entry: MemberEntry): void {
    const wasUnreachable = entry.udpMisses >= UDP_MISSES_MAX;
    entry.udpMisses = 0;
    if (wasUnreachable)
      this.#c.emit({ type: 'reachability', member: this.#c.describe(entry), path: 'udp', now: 'reachable' });
  }

  #missed(entry: MemberEntry): void {
    entry.udpMisses = Math.max(0, entry.udpMisses) + 1;
    if (entry.udpMisses !== UDP_MISSES_MAX) return;
    this.#c.emit({ type: 'reachability', member: this.#c.describe(entry), path: 'udp', now: 'unreachable' });
  }
}

/** Notes whether a member answers over TCP. */
export function setTcp(c: CoreContext, entry: MemberEntry, answered: boolean): void {
  const now = answered ? 'reachable' : 'unreachable';
  if (entry.tcp === now) return;
  const isNews = entry.tcp !== 'unknown' || !answered;
  entry.tcp = now;
  if (isNews) c.emit({ type: 'reachability', member: c.describe(entry), path: 'tcp', now });
}

/** A ping to whom this node knows under this id. */
export function ping(c: CoreContext, entry: MemberEntry, seq: number): Ping {
  const { id: target, incarnation } = entry;
  return { type: 'ping', seq, target, boot: expectedBoot(entry), incarnation, from: c.id };
}

/** The run that is expected to answer. None, if the member has said something about itself that has not come here: then it says it again. */
function expectedBoot({ alive, incarnation, state }: MemberEntry): number {
  return state === 'alive' && alive.incarnation < incarnation ? 0 : alive.boot;
}

/** What the member is accused of, and a ping, in this order: so its answer is a refutation. */
export function pingWithAccusation(c: CoreContext, entry: MemberEntry, seq: number): Message[] {
  const message = ping(c, entry, seq);
  const accusation = accusationOf(c, entry);
  return accusation === undefined ? [message] : [accusation, message];
}

/** What this node holds against a member. */
export function accusationOf(c: CoreContext, entry: MemberEntry): Message | undefined {
  const { id, incarnation, state } = entry;
  if (state === 'suspect' && c.options.lifeguard.buddy) {
    return { type: 'suspect', id, incarnation, from: c.id, helpers: 0, nacks: 0 };
  }
  if (state === 'dead') return { type: 'dead', id, incarnation, from: c.id, suspectedBy: [] };
  return state === 'left' ? { type: 'left', id, incarnation } : undefined;
}

/** Helpers from as many zones as there are, so that the trouble of one zone is not taken for the member's. */
function pickHelpers(c: CoreContext, target: MemberEntry): MemberEntry[] {
  const { indirectProbes } = c.options;
  const isUsable = (entry: MemberEntry) => entry !== target && entry.state === 'alive';
  const candidates = c.table.pick(3 * indirectProbes, c.random, isUsable);
  const zones = new Set([c.alive.zone]);
  const near: MemberEntry[] = [];
  const far: MemberEntry[] = [];
  for (const entry of candidates) {
    (zones.has(entry.alive.zone) ? near : far).push(entry);
    zones.add(entry.alive.zone);
  }
  return [...far, ...near].slice(0, indirectProbes);
}
