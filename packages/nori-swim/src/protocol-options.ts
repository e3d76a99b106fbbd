// The constants of the protocol, which all nodes of a cluster should share.
import { SwimError } from './errors.js';

/** The parts of Lifeguard, to be turned off one by one in experiments. */
export interface LifeguardOptions {
  /** Probe more slowly while this node itself seems to be slow. */
  readonly localHealth: boolean;
  /** Give a suspected member more time until others confirm the suspicion. */
  readonly suspicion: boolean;
  /** Tell a member that it is suspected with the very ping that it is to answer. */
  readonly buddy: boolean;
}

/** Constants of the protocol. Times are in milliseconds. */
export interface ProtocolOptions {
  /** One member is probed each interval. Default 500. */
  readonly probeIntervalMs: number;
  /** Time for the direct answer; what is left of the interval is for helpers and TCP. Default 250. */
  readonly probeTimeoutMs: number;
  /** Helpers that are asked when there is no direct answer. Default 3. */
  readonly indirectProbes: number;
  /** Factor in the shortest suspicion. Default 4. */
  readonly suspicionMult: number;
  /** The longest suspicion is so many times the shortest. Default 6. */
  readonly suspicionMaxMult: number;
  /** Factor in the retransmission limit of a rumour. Default 4. */
  readonly retransmitMult: number;
  /** While there are rumours, they go to `gossipNodes` members each interval. Default 200. */
  readonly gossipIntervalMs: number;
  /** Default 3. */
  readonly gossipNodes: number;
  /** Members get rumours for so long after their death, so that they hear of it if they live. Default 30,000. */
  readonly gossipToDeadMs: number;
  /** Whole views are exchanged with one member each interval; longer from 33 members on. Default 30,000. */
  readonly pushPullIntervalMs: number;
  /** How often a dead member is tried. Default 5,000. */
  readonly healIntervalMs: number;
  /** Dead members are tried, and remembered, for so long. Default 24 hours. */
  readonly forgetDeadMs: number;
  /** Members that have left are remembered for so long. Default 1 hour. */
  readonly forgetLeftMs: number;
  /** Largest datagram, everything included. Default 1,400. */
  readonly packetBytesMax: number;
  /** Largest user message. Default 512. */
  readonly messageBytesMax: number;
  /** User messages that wait to be passed on. Default 1,024. */
  readonly messagesMax: number;
  /** Members that are remembered, the dead included. Default 10,000. */
  readonly membersMax: number;
  /** Ping over TCP as well when UDP is silent. Default true. */
  readonly tcpFallback: boolean;
  /** Time for an exchange of views over TCP. Default 5,000. */
  readonly streamTimeoutMs: number;
  readonly lifeguard: LifeguardOptions;
  /** Ask whoever is suspected once more, out of turn, before it is called dead. Default true. */
  readonly recheckSuspects: boolean;
  /** Notice when this node stood still, and drop what it made of the silence. Default true. */
  readonly pauseDetection: boolean;
}

/** Largest metadata of a member. */
export const METADATA_BYTES_MAX = 512;

export const DEFAULT_PROTOCOL: ProtocolOptions = Object.freeze({
  probeIntervalMs: 500,
  probeTimeoutMs: 250,
  indirectProbes: 3,
  suspicionMult: 4,
  suspicionMaxMult: 6,
  retransmitMult: 4,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToDeadMs: 30_000,
  pushPullIntervalMs: 30_000,
  healIntervalMs: 5_000,
  forgetDeadMs: 24 * 3_600_000,
  forgetLeftMs: 3_600_000,
  packetBytesMax: 1_400,
  messageBytesMax: 512,
  messagesMax: 1_024,
  membersMax: 10_000,
  tcpFallback: true,
  streamTimeoutMs: 5_000,
  lifeguard: Object.freeze({ localHealth: true, suspicion: true, buddy: true }),
  recheckSuspects: true,
  pauseDetection: true,
});

/** The smallest and the largest allowed value of each number. */
const RANGES: Readonly<Partial<Record<keyof ProtocolOptions, readonly [min: number, max: number]>>> = {
  probeIntervalMs: [10, 600_000],
  probeTimeoutMs: [5, 600_000],
  indirectProbes: [0, 16],
  suspicionMult: [2, 100],
  suspicionMaxMult: [1, 100],
  retransmitMult: [1, 100],
  gossipIntervalMs: [5, 600_000],
  gossipNodes: [1, 64],
  gossipToDeadMs: [0, 86_400_000],
  pushPullIntervalMs: [100, 86_400_000],
  healIntervalMs: [100, 86_400_000],
  forgetDeadMs: [1_000, 365 * 86_400_000],
  forgetLeftMs: [1_000, 365 * 86_400_000],
  packetBytesMax: [1_232, 65_507],
  messageBytesMax: [1, 65_000],
  messagesMax: [1, 1_000_000],
  membersMax: [2, 100_000],
  streamTimeoutMs: [10, 600_000],
};

/** What the envelope of a packet and the head of a user message take of it at most. */
const MESSAGE_OVERHEAD_BYTES = 256;

/**
 * The defaults with `given` over them, checked.
 * @throws SwimError SWIM_INVALID_OPTION, with the name of the option
 */
export function resolveProtocol(given: Partial<ProtocolOptions> = {}): ProtocolOptions {
  const options: Record<string, unknown> = { ...DEFAULT_PROTOCOL };
  for (const name of Object.keys(DEFAULT_PROTOCOL) as (keyof ProtocolOptions)[]) {
    const value = given[name];
    if (value === undefined) continue;
    const range = RANGES[name];
    if (range !== undefined && !isWithin(value, range)) {
      throw invalid(`${name} must be an integer from ${range[0]} to ${range[1]}, not ${String(value)}.`);
    }
    options[name] = value;
  }
  const resolved = { ...options, lifeguard: { ...DEFAULT_PROTOCOL.lifeguard, ...given.lifeguard } };
  const protocol = resolved as unknown as ProtocolOptions;
  if (protocol.probeTimeoutMs >= protocol.probeIntervalMs) {
    const what = `probeTimeoutMs (${protocol.probeTimeoutMs}) must be below probeIntervalMs (${protocol.probeIntervalMs})`;
    throw invalid(`${what}: helpers need the rest of it.`);
  }
  if (protocol.messageBytesMax > protocol.packetBytesMax - MESSAGE_OVERHEAD_BYTES) {
    throw invalid(`messageBytesMax must be at least ${MESSAGE_OVERHEAD_BYTES} below packetBytesMax.`);
  }
  return Object.freeze(protocol);
}

function isWithin(value: unknown, [min, max]: readonly [number, number]): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function invalid(message: string): SwimError {
  return new SwimError('SWIM_INVALID_OPTION', message);
}
