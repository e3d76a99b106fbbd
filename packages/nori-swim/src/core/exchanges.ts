// Exchanges of whole views: on joining, at intervals, with strangers, and with dead members that turn out to live. Also the check of
// whether the id of a node that joins is taken.
import type { Address } from '../member.js';
import type { CoreContext } from './context.js';
import type { MemberEntry } from './member-table.js';
import type { Membership } from './membership.js';
import type { Ack, PushPull, PushPullReply, Refusal } from './messages.js';
import { ping, pingWithAccusation, setTcp } from './prober.js';

/** Joins whose id is being checked at a time. */
const CHECKS_MAX = 64;

type Exchange =
  | { readonly purpose: 'sync'; readonly peer: MemberEntry | undefined }
  | { readonly purpose: 'join'; readonly ticket: number; readonly wasAlone: boolean }
  | { readonly purpose: 'check'; readonly check: Check };

/** Is the member that has the id of one that joins, elsewhere, still there? */
interface Check {
  readonly stream: number;
  readonly request: PushPull;
  readonly entry: MemberEntry;
  readonly seq: number;
  readonly endMs: number;
}

export class Exchanges {
  readonly #c: CoreContext;
  readonly #membership: Membership;
  readonly #open = new Map<number, Exchange>();
  readonly #checks = new Set<Check>();
  /** Pings to dead members that were not answered yet. */
  readonly #healing = new Map<number, MemberEntry>();
  #nextSyncMs: number;
  #nextHealMs: number;
  #nextStrangerMs = 0;

  constructor(context: CoreContext, membership: Membership, firstSyncMs: number, firstHealMs: number) {
    this.#c = context;
    this.#membership = membership;
    this.#nextSyncMs = firstSyncMs;
    this.#nextHealMs = firstHealMs;
  }

  get wakeMs(): number {
    let wakeMs = Math.min(this.#nextSyncMs, this.#nextHealMs);
    if (this.#checks.size > 0) for (const { endMs } of this.#checks) wakeMs = Math.min(wakeMs, endMs);
    return wakeMs;
  }

  tick(): void {
    const c = this.#c;
    if (c.nowMs >= this.#nextSyncMs) {
      this.#nextSyncMs = c.nowMs + c.pushPullIntervalMs;
      this.#membership.prune();
      const [peer] = c.table.pick(1, c.random, ({ state }) => state === 'alive');
      if (peer !== undefined) this.#sync(peer.alive.address, peer);
    }
    if (c.nowMs >= this.#nextHealMs) {
      this.#nextHealMs = c.nowMs + c.options.healIntervalMs;
      this.#heal();
    }
    for (const check of this.#checks) if (c.nowMs >= check.endMs) this.#admit(check);
  }

  join(ticket: number, to: Address): void {
    this.#request(to, true, { purpose: 'join', ticket, wasAlone: this.#c.table.size === 0 });
  }

  /** A node that is not known has pinged this one: they should know each other. */
  stranger(from: Address): void {
    const c = this.#c;
    if (c.nowMs < this.#nextStrangerMs) return;
    this.#nextStrangerMs = c.nowMs + c.options.probeIntervalMs;
    this.#sync(from, undefined);
  }

  /** A request of another node. */
  answer(stream: number, request: PushPull): void {
    const c = this.#c;
    const [first] = request.records;
    if (first === undefined || c.phase !== 'running') return;
    if (request.join) {
      const { id, boot, address } = first.alive;
      if (id === c.id && boot !== c.alive.boot) {
        this.#refuse(stream, c.alive.address);
        return;
      }
      const entry = c.table.get(id);
      if (entry?.isActive && entry.alive.boot !== boot && entry.alive.address !== address) {
        this.#check(stream, request, entry);
        return;
      }
    }
    this.#accept(stream, request);
  }

  reply(exchange: number, message: Ack | PushPullReply | Refusal): boolean {
    const open = this.#open.get(exchange);
    if (open === undefined) return false;
    this.#open.delete(exchange);
    const c = this.#c;
    if (open.purpose === 'check') {
      if (message.type === 'ack') this.ack(message);
    } else if (message.type === 'push-pull-reply') {
      if (open.purpose === 'sync' && open.peer !== undefined) setTcp(c, open.peer, true);
      const from = message.records[0]?.alive.id ?? c.id;
      this.#membership.merge(message.records, from, open.purpose === 'sync' || !open.wasAlone);
      if (open.purpose === 'join') {
        c.act({ type: 'joined', ticket: open.ticket, id: from });
        // Whoever answered may know of an earlier run of this node: `merge` has risen above it. Everybody is told.
        if (!c.system.has(c.id)) c.spread({ ...c.alive });
      }
    } else if (open.purpose === 'join') {
      c.act({ type: 'join-failed', ticket: open.ticket, reason: message.type === 'refusal' ? message : 'failed' });
    }
    return true;
  }

  noReply(exchange: number, reason: 'failed' | 'no-answer'): boolean {
    const open = this.#open.get(exchange);
    if (open === undefined) return false;
    this.#open.delete(exchange);
    if (open.purpose === 'join') this.#c.act({ type: 'join-failed', ticket: open.ticket, reason });
    else if (open.purpose === 'sync' && open.peer !== undefined) setTcp(this.#c, open.peer, false);
    return true;
  }

  /** An answer to a ping that belongs to no probe. */
  ack(ack: Ack): boolean {
    const c = this.#c;
    const dead = this.#healing.get(ack.seq);
    if (dead !== undefined && dead.id === ack.from) {
      this.#healing.delete(ack.seq);
      // Should TCP not get through, it has at least this node's own word.
      c.send(dead.alive.address, [{ ...c.alive }]);
      this.#sync(dead.alive.address, undefined);
      return true;
    }
    for (const check of this.#checks) {
      if (check.seq !== ack.seq || check.entry.id !== ack.from) continue;
      this.#checks.delete(check);
      // Another run of it under the old address is not the one that is known, but alive all the same.
      this.#refuse(check.stream, check.entry.alive.address);
      return true;
    }
    return false;
  }

  /** Tries one of the dead; all members together try as many at a time as there are dead ones. */
  #heal(): void {
    const c = this.#c;
    this.#healing.clear();
    const dead = c.table.inactive.filter(({ state }) => state === 'dead');
    if (dead.length === 0 || c.random() * c.members > dead.length) return;
    const entry = dead[Math.floor(c.random() * dead.length)]!;
    const seq = c.nextSeq();
    this.#healing.set(seq, entry);
    c.send(entry.alive.address, pingWithAccusation(c, entry, seq));
  }

  #sync(to: Address, peer: MemberEntry | undefined): void {
    this.#request(to, false, { purpose: 'sync', peer });
  }

  #request(to: Address, join: boolean, exchange: Exchange): void {
    const c = this.#c;
    const number = c.nextExchange();
    this.#open.set(number, exchange);
    const message: PushPull = { type: 'push-pull', join, records: c.records() };
    c.act({ type: 'request', exchange: number, to, message, timeoutMs: c.options.streamTimeoutMs });
  }

  #accept(stream: number, request: PushPull): void {
    const c = this.#c;
    const reply: PushPullReply = { type: 'push-pull-reply', records: c.records() };
    this.#membership.merge(request.records, request.records[0]!.alive.id, true);
    c.act({ type: 'reply', stream, message: reply });
  }

  #check(stream: number, request: PushPull, entry: MemberEntry): void {
    const c = this.#c;
    if (this.#checks.size >= CHECKS_MAX) return;
    const seq = c.nextSeq();
    const check: Check = { stream, request, entry, seq, endMs: c.nowMs + c.options.probeIntervalMs };
    this.#checks.add(check);
    c.send(entry.alive.address, pingWithAccusation(c, entry, seq));
    const exchange = c.nextExchange();
    this.#open.set(exchange, { purpose: 'check', check });
    const { probeIntervalMs: timeoutMs } = c.options;
    c.act({ type: 'request', exchange, to: entry.alive.address, message: ping(c, entry, seq), timeoutMs });
  }

  /** The member that had the id does not answer: the new one takes its place. */
  #admit(check: Check): void {
    this.#checks.delete(check);
    this.#accept(check.stream, check.request);
  }

  #refuse(stream: number, address: Address): void {
    this.#c.act({ type: 'reply', stream, message: { type: 'refusal', reason: 'id-conflict', address } });
  }
}
