// What the parts of one core share: who it is, whom it knows, what is to be passed on, and the step that is under way.
import type { Address, Member, NodeId } from '../member.js';
import type { MembershipEvent } from '../membership-events.js';
import type { ProtocolOptions } from '../protocol-options.js';
import { ENVELOPE_BYTES_MAX, MESSAGES_PER_PACKET_MAX } from '../wire/limits.js';
import { messageBytes, payloadOverhead } from '../wire/message-size.js';
import { pushPullIntervalMs, retransmitLimit } from './formulas.js';
import { LocalHealth } from './local-health.js';
import { type MemberEntry, MemberTable } from './member-table.js';
import { type Alive, type MemberRecord, type Message, type Rumour, WIRE_VERSION } from './messages.js';
import type { CoreAction, IgnoredReason, Random } from './ports.js';
import { RumourQueue } from './rumour-queue.js';

/** Who a node is. */
export interface SelfOptions {
  readonly id: NodeId;
  /** Where others reach it. */
  readonly address: Address;
  /** Greater than that of every earlier run under this id. */
  readonly boot: number;
  /** Greater than every one that this id is known to have had. */
  readonly incarnation: number;
  readonly zone?: string;
  readonly metadata?: Uint8Array;
  /** Counts towards the size of packets. */
  readonly cluster?: string;
}

/** Incarnations that are reserved durably at a time. */
const RESERVED = 64;

export class CoreContext {
  readonly options: ProtocolOptions;
  readonly id: NodeId;
  readonly table = new MemberTable();
  readonly system = new RumourQueue();
  readonly user = new RumourQueue();
  readonly health: LocalHealth;
  /** `stopped`: an earlier node of this id is alive. */
  phase: 'running' | 'leaving' | 'left' | 'stopped' = 'running';
  alive: Alive;
  /** Of the step under way. */
  nowMs = 0;
  random: Random = () => 0.5;
  actions: CoreAction[] = [];
  #seq = 0;
  #exchange = 0;
  #reserved: number;
  readonly #startedMs: number;
  readonly #room: number;

  constructor(self: SelfOptions, options: ProtocolOptions, nowMs: number) {
    this.options = options;
    this.id = self.id;
    this.nowMs = nowMs;
    this.#startedMs = nowMs;
    this.health = new LocalHealth(options.lifeguard.localHealth);
    this.alive = {
      type: 'alive',
      id: self.id,
      address: self.address,
      boot: self.boot,
      incarnation: self.incarnation,
      zone: self.zone ?? '',
      metadata: self.metadata ?? new Uint8Array(),
      versionMin: WIRE_VERSION,
      versionMax: WIRE_VERSION,
    };
    this.#reserved = self.incarnation;
    this.#room = options.packetBytesMax - ENVELOPE_BYTES_MAX - payloadOverhead(self.cluster ?? '');
  }

  /** Alive and suspect members, this node included. */
  get members(): number {
    return this.table.active.length + 1;
  }

  /** Of a rumour. The dead count as well: when one of ten dies, the others need to hear of it as before. */
  get retransmits(): number {
    return retransmitLimit(this.table.size + 1, this.options.retransmitMult);
  }

  get pushPullIntervalMs(): number {
    return pushPullIntervalMs(this.members, this.options.pushPullIntervalMs);
  }

  nextSeq(): number {
    this.#seq = (this.#seq + 1) % 2 ** 32;
    return this.#seq;
  }

  nextExchange(): number {
    return ++this.#exchange;
  }

  act(action: CoreAction): void {
    this.actions.push(action);
  }

  emit(event: MembershipEvent): void {
    this.actions.push({ type: 'event', event });
  }

  ignore(reason: IgnoredReason): void {
    this.actions.push({ type: 'ignored', reason });
  }

  /** Sends messages, and with them as many rumours as fit. */
  send(to: Address, lead: readonly Message[]): void {
    if (this.system.size === 0 && this.user.size === 0) {
      this.act({ type: 'send', to, messages: lead });
      return;
    }
    let room = this.#room;
    for (const message of lead) room -= messageBytes(message);
    const rumours: Rumour[] = [];
    this.#fill(room, rumours);
    this.act({ type: 'send', to, messages: rumours.length === 0 ? lead : [...lead, ...rumours] });
  }

  /** Sends rumours alone; false if there are none. */
  sendRumours(to: Address): boolean {
    const rumours: Rumour[] = [];
    this.#fill(this.#room, rumours);
    if (rumours.length > 0) this.act({ type: 'send', to, messages: rumours });
    return rumours.length > 0;
  }

  /** User messages have half of the room for themselves, if they want it. */
  #fill(room: number, out: Rumour[]): void {
    const limit = this.retransmits;
    const forUser = Math.min(this.user.bytes, room >> 1);
    const half = MESSAGES_PER_PACKET_MAX >> 2;
    const left = this.system.take(room - forUser, half, limit, out) + forUser;
    this.user.take(left, half, limit, out);
  }

  /** Lets others know about a member, until everybody should have heard of it. */
  spread(rumour: Exclude<Rumour, { type: 'user' }>): void {
    // Accusations are told apart by accuser, since each of them counts; everything else about a member replaces what was said before.
    if (rumour.type === 'suspect') {
      this.system.put(`${rumour.id}\n${rumour.from}`, rumour, messageBytes(rumour));
      return;
    }
    const accusers = this.table.get(rumour.id)?.suspicion?.accusers ?? [];
    for (const accuser of accusers) this.system.drop(`${rumour.id}\n${accuser}`);
    this.system.put(rumour.id, rumour, messageBytes(rumour));
  }

  /** Begins a higher incarnation of this node, above `accused`, and says so. */
  raise(accused: number, change: Partial<Pick<Alive, 'metadata'>> = {}): void {
    const incarnation = Math.max(this.alive.incarnation, accused) + 1;
    this.alive = { ...this.alive, ...change, incarnation };
    this.reserve();
    this.spread(this.alive);
  }

  /** Has a few incarnations kept durably before they are used. */
  reserve(): void {
    if (this.alive.incarnation + RESERVED / 2 < this.#reserved) return;
    this.#reserved = this.alive.incarnation + RESERVED;
    this.act({ type: 'persist', incarnation: this.#reserved });
  }

  /** This node's record first, then all others. */
  records(): MemberRecord[] {
    const state = this.phase === 'running' ? 'alive' : 'left';
    const records: MemberRecord[] = [{ alive: this.alive, state, ageMs: 0 }];
    for (const entry of this.table.values()) {
      const { alive, incarnation } = entry;
      // What it is accused of counts at its incarnation; that it is alive, at the one that it said it with.
      const isAsSaid = incarnation === alive.incarnation || entry.state === 'alive';
      const said = isAsSaid ? alive : { ...alive, incarnation };
      records.push({ alive: said, state: entry.state, ageMs: this.nowMs - entry.stateSinceMs });
    }
    return records;
  }

  /** A member as users see it. */
  describe(entry: MemberEntry): Member {
    const { alive, udpMisses } = entry;
    return {
      id: alive.id,
      address: alive.address,
      zone: alive.zone,
      metadata: alive.metadata,
      state: entry.state,
      incarnation: entry.incarnation,
      boot: alive.boot,
      stateAgeMs: this.nowMs - entry.stateSinceMs,
      rttMs: entry.rttMs,
      udp: udpMisses < 0 ? 'unknown' : udpMisses < UDP_MISSES_MAX ? 'reachable' : 'unreachable',
      tcp: entry.tcp,
      suspectedBy: [...(entry.suspicion?.accusers ?? [])],
    };
  }

  /** This node as users see it. */
  describeSelf(): Member {
    const { id, address, zone, metadata, incarnation, boot } = this.alive;
    const state = this.phase === 'running' ? 'alive' : 'left';
    const stateAgeMs = this.nowMs - this.#startedMs;
    const common = { id, address, zone, metadata, incarnation, boot, state, stateAgeMs } as const;
    return { ...common, rttMs: 0, udp: 'reachable', tcp: 'reachable', suspectedBy: [] };
  }
}

/** So many pings in a row without a direct answer make a living member unreachable over UDP. */
export const UDP_MISSES_MAX = 3;
