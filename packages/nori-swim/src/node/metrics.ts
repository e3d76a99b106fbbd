// What a node measures: counts that `Swim.stats()` shows, and the same for a meter.
import type { Counter, Gauge, Histogram, Meter } from 'nori-observe';
import type { CoreAction, IgnoredReason } from '../core/ports.js';
import type { SwimErrorCode } from '../errors.js';
import type { MemberState } from '../member.js';
import type { MembershipEvent } from '../membership-events.js';

/** Why something that came in, or was to go out, came to nothing. */
export type DropReason =
  | 'malformed'
  | 'not-encrypted'
  | 'unknown-key'
  | 'other-cluster'
  | 'oversize'
  | 'overload'
  | 'send-failed'
  | 'state-failed'
  | IgnoredReason;

/** Counts since the start. */
export interface SwimStats {
  readonly packetsSent: number;
  readonly packetsReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Packets, frames and messages that were not used, by reason. */
  readonly dropped: Readonly<Record<DropReason, number>>;
}

const REASONS: readonly DropReason[] = [
  'malformed',
  'not-encrypted',
  'unknown-key',
  'other-cluster',
  'oversize',
  'overload',
  'send-failed',
  'state-failed',
  'misdirected',
  'members-full',
  'messages-full',
  'relays-full',
  'unknown-origin',
  'version',
];

const PROBE_RESULTS = ['direct', 'helper', 'tcp', 'failed'] as const;
const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left'];
const RTT_BUCKETS_SECONDS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1];

export class Metrics {
  readonly #meter: Meter;
  readonly #nowMs: () => number;
  readonly #counts = { packetsSent: 0, packetsReceived: 0, bytesSent: 0, bytesReceived: 0 };
  readonly #dropped = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<DropReason, number>;
  readonly #sent: Counter;
  readonly #received: Counter;
  readonly #bytesSent: Counter;
  readonly #bytesReceived: Counter;
  readonly #drops: Readonly<Record<DropReason, Counter>>;
  readonly #probes: Readonly<Record<(typeof PROBE_RESULTS)[number], Counter>>;
  readonly #members: Readonly<Record<MemberState, Gauge>>;
  readonly #failed: Counter;
  readonly #health: Gauge;
  readonly #rtt: Histogram;

  constructor(meter: Meter, nowMs: () => number) {
    this.#meter = meter;
    this.#nowMs = nowMs;
    const packets = { help: 'Datagrams sent and received.' };
    this.#sent = meter.counter('swim_packets_total', { operation: 'send' }, packets);
    this.#received = meter.counter('swim_packets_total', { operation: 'receive' }, packets);
    const bytes = { help: 'Bytes of datagrams sent and received, without the headers of UDP and IP.' };
    this.#bytesSent = meter.counter('swim_bytes_total', { operation: 'send' }, bytes);
    this.#bytesReceived = meter.counter('swim_bytes_total', { operation: 'receive' }, bytes);
    const help = 'Packets, frames and messages that were not used.';
    this.#drops = byName(REASONS, (result) => meter.counter('swim_dropped_total', { result }, { help }));
    const probes = { help: 'Probes of members: answered directly, to a helper, over TCP, or not at all.' };
    this.#probes = byName(PROBE_RESULTS, (result) => meter.counter('swim_probes_total', { result }, probes));
    const members = { help: 'Other members, by the state in which this node holds them.' };
    this.#members = byName(STATES, (state) => meter.gauge('swim_members', { state }, members));
    this.#failed = meter.counter('swim_failed_members_total', undefined, { help: 'Members that were found dead.' });
    this.#health = meter.gauge('swim_local_health', undefined, { help: 'How slow this node seems to be: 0 to 7.' });
    const rtt = { help: 'Round trips of pings that were answered directly.', buckets: RTT_BUCKETS_SECONDS };
    this.#rtt = meter.histogram('swim_rtt_seconds', undefined, rtt);
  }

  sent(bytes: number): void {
    this.#counts.packetsSent++;
    this.#counts.bytesSent += bytes;
    this.#sent.inc();
    this.#bytesSent.inc(bytes);
  }

  received(bytes: number): void {
    this.#counts.packetsReceived++;
    this.#counts.bytesReceived += bytes;
    this.#received.inc();
    this.#bytesReceived.inc(bytes);
  }

  dropped(reason: DropReason): void {
    this.#dropped[reason]++;
    this.#drops[reason].inc();
  }

  probed({ result, rttMs }: CoreAction & { readonly type: 'probed' }): void {
    this.#probes[result].inc();
    if (rttMs !== undefined) this.#rtt.observe(rttMs / 1_000);
  }

  health(score: number): void {
    this.#health.set(score);
  }

  members(counts: Readonly<Record<MemberState, number>>): void {
    for (const state of STATES) this.#members[state].set(counts[state]);
  }

  /** Counts a change, and hands it to the meter. */
  event(event: MembershipEvent): void {
    if (event.type === 'confirm') this.#failed.inc();
    if (!('member' in event) || !this.#meter.wantsEvents) return;
    const { id: memberId, incarnation } = event.member;
    const common = { atMs: this.#nowMs(), memberId, incarnation };
    if (event.type === 'alive') this.#meter.event({ type: 'swim.alive', ...common, reason: event.reason });
    else if (event.type === 'leave') this.#meter.event({ type: 'swim.leave', ...common });
    else if (event.type === 'suspect') {
      const { by, helpers, nacks } = event;
      this.#meter.event({ type: 'swim.suspect', ...common, by, helpers, nacks });
    } else if (event.type === 'confirm') {
      const { by, suspectedBy } = event;
      this.#meter.event({ type: 'swim.confirm', ...common, by, suspectedBy });
    }
  }

  stats(): SwimStats {
    return { ...this.#counts, dropped: { ...this.#dropped } };
  }
}

/** How a packet that could not be read is counted. */
export function dropReason(code: SwimErrorCode): DropReason {
  switch (code) {
    case 'SWIM_NOT_ENCRYPTED':
      return 'not-encrypted';
    case 'SWIM_UNKNOWN_KEY':
      return 'unknown-key';
    case 'SWIM_OTHER_CLUSTER':
      return 'other-cluster';
    case 'SWIM_WIRE_VERSION':
      return 'version';
    default:
      return 'malformed';
  }
}

function byName<K extends string, V>(names: readonly K[], make: (name: K) => V): Record<K, V> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<K, V>;
}
