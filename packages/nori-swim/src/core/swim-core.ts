// The protocol as a state machine: `step(input, now, random) → actions`. No sockets, no timers, no clock, no randomness of its own.
//
// Whoever drives it carries out the actions, and steps it with `tick` when `nextWakeMs` has come; later is allowed, and noticed. Times
// are milliseconds of any clock that does not jump.
import type { Address, MemberState, NodeId, SwimView } from '../member.js';
import type { ProtocolOptions } from '../protocol-options.js';
import { messageBytes } from '../wire/message-size.js';
import { CoreContext, type SelfOptions } from './context.js';
import { Exchanges } from './exchanges.js';
import type { MemberEntry } from './member-table.js';
import { Membership } from './membership.js';
import { MessageWindow } from './message-window.js';
import type { Ack, MemberRecord, Message, Ping, StreamRequest, UserMessage } from './messages.js';
import type { CoreAction, CoreInput, Random } from './ports.js';
import { accusationOf, Prober } from './prober.js';
import { Relays } from './relays.js';

export class SwimCore {
  readonly #c: CoreContext;
  readonly #membership: Membership;
  readonly #prober: Prober;
  readonly #relays: Relays;
  readonly #exchanges: Exchanges;
  #nextGossipMs = 0;
  #messageSeq = 0;
  /** A step at or after this was due then. */
  #dueMs: number;
  /** While it leaves: not before this is the end of it. */
  #leaveUntilMs = Number.POSITIVE_INFINITY;

  /**
   * @param random also used to spread the first probes of many nodes over an interval
   * @param known members to begin with; they count as alive and are not passed on
   */
  constructor(
    self: SelfOptions,
    options: ProtocolOptions,
    nowMs: number,
    random: Random,
    known: readonly MemberRecord[] = [],
  ) {
    this.#c = new CoreContext(self, options, nowMs);
    this.#c.random = random;
    this.#membership = new Membership(this.#c);
    const { probeIntervalMs, pushPullIntervalMs, healIntervalMs } = options;
    this.#prober = new Prober(this.#c, this.#membership, nowMs + random() * probeIntervalMs);
    this.#relays = new Relays(this.#c);
    const [syncMs, healMs] = [nowMs + random() * pushPullIntervalMs, nowMs + random() * healIntervalMs];
    this.#exchanges = new Exchanges(this.#c, this.#membership, syncMs, healMs);
    for (const { alive } of known) if (alive.id !== self.id) this.#c.table.addForNextRound(alive, nowMs);
    this.#dueMs = this.#wakeMs();
  }

  /** When it wants to be stepped at the latest. */
  get nextWakeMs(): number {
    return this.#dueMs;
  }

  get id(): NodeId {
    return this.#c.id;
  }

  get address(): Address {
    return this.#c.alive.address;
  }

  get incarnation(): number {
    return this.#c.alive.incarnation;
  }

  get phase(): CoreContext['phase'] {
    return this.#c.phase;
  }

  get localHealth(): number {
    return this.#c.health.score;
  }

  get pendingRumours(): number {
    return this.#c.system.size + this.#c.user.size;
  }

  /** User messages that are still to be passed on. */
  get pendingMessages(): number {
    return this.#c.user.size;
  }

  /** All other members as they are now; do not change them. */
  entries(): IterableIterator<Readonly<MemberEntry>> {
    return this.#c.table.values();
  }

  entry(id: NodeId): Readonly<MemberEntry> | undefined {
    return this.#c.table.get(id);
  }

  /** Members that are alive or suspect, this node included. */
  get activeCount(): number {
    return this.#c.members;
  }

  /** How many other members are in each state. */
  counts(): Record<MemberState, number> {
    const counts: Record<MemberState, number> = { alive: 0, suspect: 0, dead: 0, left: 0 };
    for (const { state } of this.#c.table.values()) counts[state]++;
    return counts;
  }

  /** What this node knows, at `nowMs`. */
  view(nowMs: number): SwimView {
    const c = this.#c;
    c.nowMs = Math.max(c.nowMs, nowMs);
    const others = [...c.table.values()].map((entry) => c.describe(entry));
    return { self: c.describeSelf(), others, localHealth: c.health.score, pendingRumours: this.pendingRumours };
  }

  /** This node's own record, as others would learn it. */
  record(): MemberRecord {
    return { alive: this.#c.alive, state: 'alive', ageMs: 0 };
  }

  /** Takes in what has happened. `nowMs` must not be less than before. */
  step(input: CoreInput, nowMs: number, random: Random): CoreAction[] {
    const c = this.#c;
    c.nowMs = nowMs;
    c.random = random;
    c.actions = [];
    if (c.phase !== 'stopped' && c.phase !== 'left') {
      this.#noticePause();
      this.#take(input);
      if (c.phase === 'running' || c.phase === 'leaving') this.#tick();
    }
    // What was due in the past, because a suspicion has become shorter, is due now: it is no sign of a pause.
    this.#dueMs = Math.max(nowMs, this.#wakeMs());
    const { actions } = c;
    c.actions = [];
    return actions;
  }

  #take(input: CoreInput): void {
    const c = this.#c;
    switch (input.type) {
      case 'tick':
        return;
      case 'packet':
        for (const message of input.messages) this.#message(message, input.from);
        return;
      case 'request':
        this.#request(input.stream, input.message, input.from);
        return;
      case 'reply':
        if (input.message.type === 'ack') this.#prober.tcp(input.exchange, input.message);
        this.#exchanges.reply(input.exchange, input.message);
        return;
      case 'no-reply':
        this.#prober.tcp(input.exchange, input.reason);
        this.#exchanges.noReply(input.exchange, input.reason);
        return;
      case 'join':
        c.reserve();
        this.#exchanges.join(input.ticket, input.to);
        return;
      case 'leave':
        this.#leave();
        return;
      case 'broadcast':
        this.#broadcast(input.data);
        return;
      case 'metadata':
        c.raise(0, { metadata: input.metadata });
        return;
      case 'loop-delay': {
        // Half of the direct timeout spent waiting for the event loop, and this node's judgement is worth less.
        const unit = c.options.probeTimeoutMs / 2;
        c.health.change(Math.min(2, Math.floor(input.delayMs / unit)));
      }
    }
  }

  #message(message: Message, from: Address): void {
    switch (message.type) {
      case 'ping':
        this.#ping(message, from);
        return;
      case 'ack':
        if (this.#prober.ack(message) || this.#membership.ack(message) || this.#exchanges.ack(message)) return;
        this.#relays.ack(message);
        return;
      case 'nack':
        this.#prober.nack(message);
        return;
      case 'ping-request':
        this.#relays.request(message, from);
        return;
      case 'alive':
        this.#membership.alive(message);
        return;
      case 'suspect':
        this.#membership.suspect(message);
        return;
      case 'dead':
        this.#membership.dead(message);
        return;
      case 'left':
        this.#membership.left(message);
        return;
      case 'user':
        this.#user(message);
        return;
      case 'conflict':
        this.#membership.conflict(message);
        return;
    }
  }

  #ping(ping: Ping, from: Address): void {
    const c = this.#c;
    if (ping.target !== c.id) {
      c.ignore('misdirected');
      return;
    }
    const ack = this.#answer(ping);
    const sender = c.table.get(ping.from);
    const accusation = sender === undefined ? undefined : accusationOf(c, sender);
    const lead: Message[] = accusation === undefined ? [ack] : [accusation, ack];
    // Whoever takes this node for its former self is told at once.
    if (ping.boot !== c.alive.boot || ping.incarnation < c.alive.incarnation) lead.push({ ...c.alive });
    c.send(from, lead);
    if (sender === undefined && ping.from !== c.id) this.#exchanges.stranger(from);
  }

  #answer(ping: Ping): Ack {
    const c = this.#c;
    const isFormerSelf = ping.boot !== c.alive.boot && ping.incarnation >= c.alive.incarnation;
    if (isFormerSelf && c.phase === 'running') c.raise(ping.incarnation);
    const { boot, incarnation } = c.alive;
    return { type: 'ack', seq: ping.seq, from: c.id, boot, incarnation, via: '' };
  }

  #request(stream: number, message: StreamRequest, _from: Address): void {
    if (message.type === 'push-pull') {
      this.#exchanges.answer(stream, message);
      return;
    }
    if (message.target !== this.#c.id) {
      this.#c.ignore('misdirected');
      return;
    }
    this.#c.act({ type: 'reply', stream, message: this.#answer(message) });
  }

  #broadcast(data: Uint8Array): void {
    const c = this.#c;
    const seq = ++this.#messageSeq;
    this.#passOn({ type: 'user', from: c.id, boot: c.alive.boot, seq, data });
  }

  #user(message: UserMessage): void {
    const c = this.#c;
    if (message.from === c.id) return;
    const sender = c.table.get(message.from);
    if (sender === undefined) {
      c.ignore('unknown-origin');
      return;
    }
    if (sender.messages === undefined || sender.messages.boot < message.boot) {
      sender.messages = new MessageWindow(message.boot, message.seq);
    }
    if (sender.messages.boot !== message.boot || !sender.messages.accept(message.seq)) return;
    c.emit({ type: 'message', from: message.from, data: message.data });
    this.#passOn(message);
  }

  #passOn(message: UserMessage): void {
    const c = this.#c;
    if (c.user.size >= c.options.messagesMax) {
      c.ignore('messages-full');
      return;
    }
    c.user.put(`${message.from}\n${message.boot}\n${message.seq}`, message, messageBytes(message));
  }

  #leave(): void {
    const c = this.#c;
    if (c.phase !== 'running') return;
    c.phase = 'leaving';
    c.spread({ type: 'left', id: c.id, incarnation: c.alive.incarnation });
    // Long enough for the rumour to go out as often as it may.
    const rounds = Math.ceil(c.retransmits / Math.min(c.options.gossipNodes, Math.max(1, c.table.active.length)));
    this.#leaveUntilMs = c.nowMs + (rounds + 1) * c.options.gossipIntervalMs;
  }

  #tick(): void {
    const c = this.#c;
    this.#membership.tick();
    this.#relays.tick();
    if (c.phase === 'running') {
      this.#prober.tick();
      this.#exchanges.tick();
    }
    if (this.pendingRumours > 0 && c.nowMs >= this.#nextGossipMs) this.#gossip();
    if (c.phase !== 'leaving') return;
    if (c.nowMs < this.#leaveUntilMs && c.table.active.length > 0 && c.system.has(c.id)) return;
    c.phase = 'left';
    c.act({ type: 'left' });
  }

  #gossip(): void {
    const c = this.#c;
    const { gossipIntervalMs, gossipNodes, gossipToDeadMs } = c.options;
    this.#nextGossipMs = c.nowMs + gossipIntervalMs;
    const dying = c.table.inactive.filter(
      ({ state, stateSinceMs }) => state === 'dead' && c.nowMs - stateSinceMs < gossipToDeadMs,
    );
    const targets = c.table.pick(gossipNodes, c.random, () => true);
    // One of them, as likely as any active member, and after these: a rumour has few transmissions, and the living need it more.
    if (c.random() * (c.table.active.length + dying.length) < gossipNodes * dying.length) {
      targets.push(dying[Math.floor(c.random() * dying.length)]!);
    }
    for (const { alive } of targets) if (!c.sendRumours(alive.address)) return;
  }

  /** A wake that came far too late: this node, not the others, was silent. */
  #noticePause(): void {
    const c = this.#c;
    const lateMs = c.nowMs - this.#dueMs;
    // Relative to the stretched timeout: a node that is always late gets slower, but does not go blind.
    if (!c.options.pauseDetection || lateMs < (c.options.probeTimeoutMs * c.health.factor) / 2) return;
    c.health.change(1);
    this.#prober.drop();
    this.#relays.clear();
    this.#membership.restartSuspicions();
    c.emit({ type: 'paused', pausedMs: lateMs });
  }

  #wakeMs(): number {
    const c = this.#c;
    if (c.phase === 'left' || c.phase === 'stopped') return Number.POSITIVE_INFINITY;
    const gossipMs = this.pendingRumours > 0 ? this.#nextGossipMs : Number.POSITIVE_INFINITY;
    const wakeMs = Math.min(gossipMs, this.#membership.deadlineMs, this.#relays.wakeMs);
    if (c.phase === 'leaving') return Math.min(wakeMs, this.#leaveUntilMs);
    return Math.min(wakeMs, this.#prober.wakeMs, this.#exchanges.wakeMs);
  }
}
