// Runs a core on real sockets, timers and time:
//
//   datagrams, streams, timers ──▶ core.step ──▶ datagrams, streams, events, the state file
import { isIPv4, isIPv6 } from 'node:net';
import { formatHostPort, parseHostPort } from '../address.js';
import type { Refusal, StreamReply } from '../core/messages.js';
import { WIRE_VERSION } from '../core/messages.js';
import type { CoreAction, CoreInput } from '../core/ports.js';
import type { SwimCore } from '../core/swim-core.js';
import { SwimError } from '../errors.js';
import type { Address, NodeId } from '../member.js';
import type { MembershipEvent } from '../membership-events.js';
import type { ProtocolOptions } from '../protocol-options.js';
import { PacketCodec } from '../wire/packet-codec.js';
import { type RequestOutcome, requestFrame } from './frames.js';
import type { Keyring } from './keyring.js';
import { LoopDelay } from './loop-delay.js';
import { dropReason, type Metrics } from './metrics.js';
import { plainAddress, type Sockets } from './sockets.js';
import type { StateFile } from './state-file.js';
import type { StreamReceiver, StreamServer } from './stream-server.js';

/** Longest time that a timer is set for. */
const TIMER_MAX_MS = 60_000;

/** What an engine is made of. */
export interface EngineParts {
  readonly core: SwimCore;
  readonly protocol: ProtocolOptions;
  readonly cluster: string;
  readonly keyring: Keyring | undefined;
  readonly sockets: Sockets;
  readonly server: StreamServer;
  readonly metrics: Metrics;
  readonly state: { readonly file: StateFile; readonly boot: number } | undefined;
}

/** Who is told what the core wants to be known. */
export interface EngineHandlers {
  event(event: MembershipEvent): void;
  joined(ticket: number, id: NodeId): void;
  joinFailed(ticket: number, error: SwimError): void;
  left(): void;
}

export class Engine implements StreamReceiver {
  readonly core: SwimCore;
  readonly protocol: ProtocolOptions;
  readonly metrics: Metrics;
  readonly #parts: EngineParts;
  readonly #codec: PacketCodec;
  readonly #loopDelay = new LoopDelay();
  readonly #isV6: boolean;
  #handlers: EngineHandlers | undefined;
  /** Requests under way, each with what gives it up. */
  readonly #requests = new Map<number, () => void>();
  /** Tickets of joins, with whom they ask. */
  readonly #asked = new Map<number, Address>();
  /** Why the last request to an address failed; kept while a join asks it. */
  readonly #failures = new Map<Address, SwimError>();
  #timer: NodeJS.Timeout | undefined;
  #armedMs = Number.POSITIVE_INFINITY;
  #delayTakenMs = performance.now();
  #isStopped = false;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.core = parts.core;
    this.protocol = parts.protocol;
    this.metrics = parts.metrics;
    this.#codec = new PacketCodec(parts.cluster, parts.keyring);
    this.#isV6 = isIPv6(parts.sockets.udp.address().address);
  }

  start(handlers: EngineHandlers): void {
    const { sockets, server } = this.#parts;
    this.#handlers = handlers;
    server.receiver = this;
    sockets.udp.on('message', (bytes, from) => {
      this.#packet(bytes, formatHostPort(plainAddress(from.address), from.port));
    });
    // Neither ends the node: what could not be sent counts as lost.
    sockets.udp.on('error', () => this.metrics.dropped('send-failed'));
    sockets.server.on('error', () => this.metrics.dropped('overload'));
    this.#arm();
  }

  /** Hands an input to the core and carries out what it wants done. */
  step(input: CoreInput): void {
    if (this.#isStopped) return;
    let hasChanged = false;
    for (const action of this.core.step(input, performance.now(), Math.random)) {
      hasChanged ||= action.type === 'event';
      this.#act(action);
    }
    if (hasChanged) this.metrics.members(this.core.counts());
    this.#arm();
  }

  join(ticket: number, to: Address): void {
    this.#asked.set(ticket, to);
    this.step({ type: 'join', ticket, to });
  }

  /** Does nothing more, but for what is being written to the state file. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#loopDelay.stop();
    for (const giveUp of this.#requests.values()) giveUp();
    this.#requests.clear();
  }

  /** Closes the sockets. */
  async close(): Promise<void> {
    const { sockets, server, state } = this.#parts;
    const udpClosed = new Promise<void>((resolve) => sockets.udp.close(resolve));
    await Promise.all([udpClosed, server.close(sockets.server)]);
    await state?.file.settled();
  }

  frame(stream: number, from: Address, frame: Uint8Array): void {
    const { server } = this.#parts;
    try {
      const message = this.#codec.decodeRequest(frame);
      this.step({ type: 'request', stream, from, message });
    } catch (error) {
      if (!(error instanceof SwimError)) throw error;
      this.metrics.dropped(dropReason(error.code));
      // Who speaks another version can at least read the version of a reply.
      if (error.code === 'SWIM_WIRE_VERSION') this.#reply(stream, { type: 'refusal', reason: 'version', address: '' });
      else server.drop(stream);
    }
  }

  refused(reason: 'malformed' | 'overload'): void {
    this.metrics.dropped(reason);
  }

  #packet(bytes: Uint8Array, from: Address): void {
    if (this.#isStopped) return;
    this.metrics.received(bytes.length);
    if (bytes.length > this.protocol.packetBytesMax) {
      this.metrics.dropped('oversize');
      return;
    }
    try {
      const messages = this.#codec.decodePacket(bytes);
      this.step({ type: 'packet', from, messages });
    } catch (error) {
      if (!(error instanceof SwimError)) throw error;
      this.metrics.dropped(dropReason(error.code));
    }
  }

  #act(action: CoreAction): void {
    switch (action.type) {
      case 'send':
        this.#send(action.to, this.#codec.encode(action.messages));
        break;
      case 'request':
        this.#request(action);
        break;
      case 'reply':
        this.#reply(action.stream, action.message);
        break;
      case 'event':
        this.metrics.event(action.event);
        this.#handlers?.event(action.event);
        break;
      case 'persist':
        this.#persist(action.incarnation);
        break;
      case 'joined':
        this.#asked.delete(action.ticket);
        this.#handlers?.joined(action.ticket, action.id);
        break;
      case 'join-failed':
        this.#joinFailed(action);
        break;
      case 'left':
        this.#handlers?.left();
        break;
      case 'probed':
        this.metrics.probed(action);
        this.metrics.health(this.core.localHealth);
        break;
      case 'ignored':
        this.metrics.dropped(action.reason);
    }
  }

  #send(to: Address, packet: Uint8Array): void {
    const { host, port } = parseHostPort(to, 'An address');
    this.metrics.sent(packet.length);
    const target = this.#isV6 && isIPv4(host) ? `::ffff:${host}` : host;
    this.#parts.sockets.udp.send(packet, port, target, (error) => {
      if (error) this.metrics.dropped('send-failed');
    });
  }

  #request({ exchange, to, message, timeoutMs }: CoreAction & { readonly type: 'request' }): void {
    const done = (outcome: RequestOutcome) => {
      this.#requests.delete(exchange);
      this.#requestDone(exchange, to, outcome);
    };
    const frame = this.#codec.encode([message]);
    this.#requests.set(exchange, requestFrame(parseHostPort(to, 'An address'), frame, timeoutMs, done));
  }

  #requestDone(exchange: number, to: Address, outcome: RequestOutcome): void {
    if ('failure' in outcome) {
      this.#failures.set(to, new SwimError('SWIM_SEED_UNREACHABLE', `${outcome.message}.`));
      this.step({ type: 'no-reply', exchange, reason: outcome.failure });
    } else {
      try {
        const message = this.#codec.decodeReply(outcome.reply);
        this.step({ type: 'reply', exchange, message });
      } catch (error) {
        if (!(error instanceof SwimError)) throw error;
        this.metrics.dropped(dropReason(error.code));
        this.#failures.set(to, error);
        this.step({ type: 'no-reply', exchange, reason: 'failed' });
      }
    }
    if (![...this.#asked.values()].includes(to)) this.#failures.delete(to);
  }

  #reply(stream: number, message: StreamReply): void {
    this.#parts.server.reply(stream, this.#codec.encode([message]));
  }

  #joinFailed({ ticket, reason }: CoreAction & { readonly type: 'join-failed' }): void {
    const to = this.#asked.get(ticket);
    this.#asked.delete(ticket);
    if (to === undefined) return;
    const failure = this.#failures.get(to) ?? new SwimError('SWIM_SEED_UNREACHABLE', `${to} did not answer.`);
    this.#handlers?.joinFailed(ticket, typeof reason === 'string' ? failure : this.#refusal(reason));
  }

  #refusal({ reason, address }: Refusal): SwimError {
    if (reason === 'id-conflict') return conflictError(this.core.id, this.core.address, address);
    return new SwimError('SWIM_WIRE_VERSION', `It does not speak version ${WIRE_VERSION} of the protocol.`);
  }

  #persist(incarnation: number): void {
    const { state, core } = this.#parts;
    // Should it fail, the others know better: a node that comes back hears from them what it has to rise above.
    state?.file.write({ id: core.id, boot: state.boot, incarnation }).catch(() => this.metrics.dropped('state-failed'));
  }

  /** One timer, for the time that the core names. */
  #arm(): void {
    if (this.#isStopped) return;
    const wakeMs = this.core.nextWakeMs;
    if (wakeMs >= this.#armedMs) return;
    clearTimeout(this.#timer);
    this.#armedMs = wakeMs;
    const delayMs = Math.min(TIMER_MAX_MS, Math.max(0, wakeMs - performance.now()));
    // What has arrived meanwhile is read before the timer is acted on: after a pause, an answer that waits in the socket counts.
    this.#timer = setTimeout(() => setImmediate(() => this.#wake()), delayMs);
  }

  #wake(): void {
    this.#armedMs = Number.POSITIVE_INFINITY;
    if (this.#isStopped) return;
    const nowMs = performance.now();
    if (nowMs - this.#delayTakenMs >= this.protocol.probeIntervalMs) {
      this.#delayTakenMs = nowMs;
      const delayMs = this.#loopDelay.takeMs();
      if (delayMs >= this.protocol.probeTimeoutMs / 2) this.step({ type: 'loop-delay', delayMs });
    }
    if (this.core.nextWakeMs <= performance.now()) this.step({ type: 'tick' });
    else this.#arm();
  }
}

/** Another live node has the id of this one. */
export function conflictError(id: NodeId, address: Address, otherAddress: Address): SwimError {
  const what = `There is a live node ${JSON.stringify(id)} at ${otherAddress}, so the one at ${address}, which came later, is refused`;
  return new SwimError('SWIM_ID_CONFLICT', `${what}. Give it an id of its own, or stop the other one first.`);
}
