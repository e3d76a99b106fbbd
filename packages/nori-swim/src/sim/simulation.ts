// Many nodes in one process of virtual time. A run is decided by its seed and what is done to it: the same calls give the same run.
//
// Nodes are known by number, from 0. They run the very core that `Swim` runs; sockets, timers and the file of the incarnation are
// simulated. Use it to try constants, and to see what a cluster does when its network or its machines misbehave.
import type { SelfOptions } from '../core/context.js';
import type { MemberRecord, Message, StreamReply, StreamRequest } from '../core/messages.js';
import type { CoreAction, CoreInput } from '../core/ports.js';
import { SwimCore } from '../core/swim-core.js';
import type { Address, NodeId } from '../member.js';
import type { MembershipEvent } from '../membership-events.js';
import { type ProtocolOptions, resolveProtocol } from '../protocol-options.js';
import { ENVELOPE_BYTES_MAX } from '../wire/limits.js';
import { messageBytes, payloadOverhead } from '../wire/message-size.js';
import { PacketCodec } from '../wire/packet-codec.js';
import { EventHeap } from './event-heap.js';
import { type CutKind, LAN, type NetworkQuality, SimulatedNetwork } from './network.js';
import { seededRandom } from './rng.js';

/** Options of {@link Simulation}. */
export interface SimulationOptions extends SimulationObserver {
  /** An integer. */
  readonly seed: number;
  /** How many nodes there are at most. */
  readonly nodes: number;
  /** Constants of the protocol that are not the defaults. */
  readonly protocol?: Partial<ProtocolOptions>;
  /** Default: a good local network, see {@link LAN}. */
  readonly network?: Partial<NetworkQuality>;
  /** All nodes run and know each other at the start. Default true; else {@link Simulation.start} them one by one. */
  readonly formed?: boolean;
  /** The zone of a node. Default: none. */
  readonly zone?: (node: number) => string;
  /** What a node does first when a pause ends: what its timers are late with (the harder case), or what has arrived. Default `timers`. */
  readonly wakeOrder?: 'timers' | 'packets';
  /** Write and read every packet and frame as it would be sent. Default false: slower. */
  readonly throughCodec?: boolean;
  /** A restarted node begins above the incarnation that it kept. Default true. */
  readonly persistent?: boolean;
}

/** Sees what happens in a simulation. */
export interface SimulationObserver {
  /** Called with each event of each node. */
  readonly onEvent?: (node: number, event: MembershipEvent, nowMs: number) => void;
  /** Called after each step of each node, once its actions are under way. */
  readonly onStep?: (node: number, actions: readonly CoreAction[], nowMs: number) => void;
}

/** What was sent so far. */
export interface SimulationStats {
  datagrams: number;
  /** Of datagrams, with everything but the headers of UDP and IP, encrypted. */
  bytes: number;
  streams: number;
  /** Steps of all cores. */
  steps: number;
}

interface SimNode {
  readonly index: number;
  readonly id: NodeId;
  readonly address: Address;
  core: SwimCore | undefined;
  /** One for each time that it was started. */
  run: number;
  kept: number;
  /** When its next tick is on the heap; infinity if it is not. */
  armedMs: number;
  pausedUntilMs: number;
  stalledUntilMs: number;
  /** What was to be sent during a stall. */
  readonly outgoing: CoreAction[];
  /** What came during a pause or a stall. */
  readonly waiting: Happening[];
  /** Requests that are not answered yet. */
  readonly open: Set<number>;
  readonly streams: Map<number, { readonly from: SimNode; readonly run: number; readonly exchange: number }>;
  stream: number;
}

type Happening = { readonly node: SimNode; readonly run: number } & (
  | { readonly kind: 'tick' }
  | { readonly kind: 'resume' }
  | { readonly kind: 'flow' }
  | { readonly kind: 'packet'; readonly from: Address; readonly messages: readonly Message[] }
  | {
      readonly kind: 'request';
      readonly from: SimNode;
      readonly fromRun: number;
      readonly exchange: number;
      readonly message: StreamRequest;
    }
  | { readonly kind: 'reply'; readonly exchange: number; readonly message: StreamReply }
  | { readonly kind: 'timeout'; readonly exchange: number }
);

export class Simulation {
  readonly stats: SimulationStats = { datagrams: 0, bytes: 0, streams: 0, steps: 0 };
  readonly protocol: ProtocolOptions;
  readonly network: SimulatedNetwork;
  /** For decisions of the caller that are to be repeatable. */
  readonly random: () => number;
  readonly #options: SimulationOptions;
  readonly #nodes: SimNode[];
  readonly #byAddress = new Map<Address, SimNode>();
  readonly #heap = new EventHeap<Happening | (() => void)>();
  readonly #coreRandom: () => number;
  readonly #codec: PacketCodec | undefined;
  readonly #observers: SimulationObserver[] = [];
  #nowMs = 0;
  #ticket = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.protocol = resolveProtocol(options.protocol);
    this.#observers.push(options);
    this.#coreRandom = seededRandom(options.seed);
    this.random = seededRandom(options.seed + 1);
    this.network = new SimulatedNetwork({ ...LAN, ...options.network }, seededRandom(options.seed + 2));
    this.#codec = options.throughCodec ? new PacketCodec('') : undefined;
    this.#nodes = Array.from({ length: options.nodes }, (_, index) => makeNode(index));
    for (const node of this.#nodes) this.#byAddress.set(node.address, node);
    if (options.formed ?? true) this.#form();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Numbers of all nodes. */
  get numbers(): number[] {
    return this.#nodes.map(({ index }) => index);
  }

  /** The core of a node that runs. @throws Error when it does not */
  core(node: number): SwimCore {
    const { core } = this.#node(node);
    if (core === undefined) throw new Error(`Node ${node} does not run.`);
    return core;
  }

  isRunning(node: number): boolean {
    return this.#node(node).core !== undefined;
  }

  isPaused(node: number): boolean {
    return this.#node(node).pausedUntilMs > this.#nowMs;
  }

  idOf(node: number): NodeId {
    return this.#node(node).id;
  }

  addressOf(node: number): Address {
    return this.#node(node).address;
  }

  /** The number of the node with this id. */
  numberOf(id: NodeId): number {
    return Number(id.slice(id.lastIndexOf('-') + 1));
  }

  /** Has somebody see what happens from now on. */
  observe(observer: SimulationObserver): void {
    this.#observers.push(observer);
  }

  /** How often a node was started. */
  runsOf(node: number): number {
    return this.#node(node).run;
  }

  /** Lets time pass. */
  run(forMs: number): void {
    this.runUntil(() => false, forMs);
  }

  /** Lets time pass until `condition` holds, which is looked at after each event, or `atMostMs` are over. Returns whether it holds. */
  runUntil(condition: () => boolean, atMostMs: number): boolean {
    const endMs = this.#nowMs + atMostMs;
    while (this.#heap.nextMs <= endMs) {
      this.#nowMs = this.#heap.nextMs;
      const next = this.#heap.pop();
      if (typeof next === 'function') next();
      else this.#happen(next);
      if (condition()) return true;
    }
    this.#nowMs = endMs;
    return condition();
  }

  /** Calls `fn` when `delayMs` have passed. */
  after(delayMs: number, fn: () => void): void {
    this.#heap.push(this.#nowMs + delayMs, fn);
  }

  /** Starts a node that does not run, knowing nobody, and lets it ask `seeds` for membership. */
  start(node: number, seeds: readonly number[] = []): void {
    const target = this.#node(node);
    if (target.core !== undefined) throw new Error(`Node ${node} runs already.`);
    this.#startCore(target, []);
    this.join(node, seeds);
  }

  /** Lets a running node ask for membership. */
  join(node: number, seeds: readonly number[]): void {
    for (const seed of seeds) this.input(node, { type: 'join', ticket: ++this.#ticket, to: this.addressOf(seed) });
  }

  /** Ends a node without a word, as SIGKILL or a power failure do. */
  kill(node: number): void {
    const target = this.#node(node);
    target.core = undefined;
    target.run++;
    target.waiting.length = 0;
    target.open.clear();
    target.streams.clear();
    target.armedMs = Number.POSITIVE_INFINITY;
    target.pausedUntilMs = 0;
    target.stalledUntilMs = 0;
    target.outgoing.length = 0;
  }

  /** Stops a node for a while, as SIGSTOP or a stop-the-world pause do. What is sent to it waits. */
  pause(node: number, forMs: number): void {
    const target = this.#node(node);
    if (target.core === undefined) return;
    target.pausedUntilMs = Math.max(target.pausedUntilMs, this.#nowMs + forMs);
    this.#heap.push(target.pausedUntilMs, { kind: 'resume', node: target, run: target.run });
  }

  /**
   * Holds up all that a node sends and gets for a while, and its timers not, as a network or a thread does that is overloaded. Then all
   * of it goes out and comes in at once.
   */
  stall(node: number, forMs: number): void {
    const target = this.#node(node);
    if (target.core === undefined) return;
    target.stalledUntilMs = Math.max(target.stalledUntilMs, this.#nowMs + forMs);
    this.#heap.push(target.stalledUntilMs, { kind: 'flow', node: target, run: target.run });
  }

  /** Splits the nodes into groups that do not reach each other. The function that is returned heals it. */
  partition(groups: readonly (readonly number[])[], kind: CutKind = 'all'): () => void {
    const heals = groups.flatMap((from) =>
      groups.map((to) => (from === to ? undefined : this.network.cut(from, to, kind))),
    );
    return () => {
      for (const heal of heals) heal?.();
    };
  }

  /** Hands an input to a running node. */
  input(node: number, input: CoreInput): void {
    const target = this.#node(node);
    if (target.core !== undefined) this.#step(target, input);
  }

  /** Has a node pass bytes on to all others. */
  broadcast(node: number, data: Uint8Array): void {
    this.input(node, { type: 'broadcast', data });
  }

  #form(): void {
    // Records name the boots and incarnations that the nodes are going to have.
    const records = this.#nodes.map((node) =>
      new SwimCore(this.#self(node, node.run + 1), this.protocol, 0, () => 0).record(),
    );
    for (const node of this.#nodes) this.#startCore(node, records);
  }

  #startCore(node: SimNode, known: readonly MemberRecord[]): void {
    node.run++;
    node.core = new SwimCore(this.#self(node, node.run), this.protocol, this.#nowMs, this.#coreRandom, known);
    node.armedMs = Number.POSITIVE_INFINITY;
    this.#arm(node);
  }

  #self({ id, address, index, kept }: SimNode, run: number): SelfOptions {
    const { persistent = true, zone } = this.#options;
    return { id, address, boot: 1_000 + run, incarnation: persistent ? kept + 1 : 1, zone: zone?.(index) ?? '' };
  }

  #node(index: number): SimNode {
    const node = this.#nodes[index];
    if (node === undefined) throw new RangeError(`There is no node ${index}.`);
    return node;
  }

  #happen(what: Happening): void {
    const { node } = what;
    if (what.run !== node.run || node.core === undefined) return;
    if (what.kind === 'resume') {
      this.#resume(node);
      return;
    }
    if (what.kind === 'flow') {
      this.#flow(node);
      return;
    }
    if (what.kind === 'tick' && what.run === node.run && node.armedMs <= this.#nowMs) {
      node.armedMs = Number.POSITIVE_INFINITY;
    }
    const isStalled = node.stalledUntilMs > this.#nowMs && what.kind !== 'tick' && what.kind !== 'timeout';
    if (node.pausedUntilMs > this.#nowMs || isStalled) {
      node.waiting.push(what);
      return;
    }
    this.#deliver(node, what);
  }

  #resume(node: SimNode): void {
    if (node.pausedUntilMs > this.#nowMs) return;
    const waiting = node.waiting.splice(0);
    const timersFirst = (this.#options.wakeOrder ?? 'timers') === 'timers';
    if (timersFirst) this.#step(node, { type: 'tick' });
    for (const what of waiting) if (what.kind !== 'tick') this.#deliver(node, what);
    if (!timersFirst) this.#step(node, { type: 'tick' });
  }

  #flow(node: SimNode): void {
    if (node.stalledUntilMs > this.#nowMs) return;
    for (const action of node.outgoing.splice(0)) this.#act(node, action);
    if (node.pausedUntilMs > this.#nowMs) return;
    for (const what of node.waiting.splice(0)) this.#deliver(node, what);
  }

  #deliver(node: SimNode, what: Happening): void {
    if (node.core === undefined) return;
    switch (what.kind) {
      case 'tick':
        if (node.core.nextWakeMs > this.#nowMs) {
          this.#arm(node);
          return;
        }
        this.#step(node, { type: 'tick' });
        return;
      case 'packet':
        this.#step(node, what);
        return;
      case 'request': {
        const stream = ++node.stream;
        node.streams.set(stream, { from: what.from, run: what.fromRun, exchange: what.exchange });
        this.#step(node, { type: 'request', stream, from: what.from.address, message: what.message });
        return;
      }
      case 'reply':
        if (!node.open.delete(what.exchange)) return;
        this.#step(node, { type: 'reply', exchange: what.exchange, message: what.message });
        return;
      case 'timeout':
        if (!node.open.delete(what.exchange)) return;
        this.#step(node, { type: 'no-reply', exchange: what.exchange, reason: 'no-answer' });
        return;
    }
  }

  #step(node: SimNode, input: CoreInput | (Happening & { readonly kind: 'packet' })): void {
    const core = node.core!;
    this.stats.steps++;
    // A packet on the heap has the shape of an input, but for the name of its type.
    const taken: CoreInput = 'kind' in input ? { type: 'packet', from: input.from, messages: input.messages } : input;
    const actions = core.step(taken, this.#nowMs, this.#coreRandom);
    for (const action of actions) this.#act(node, action);
    for (const observer of this.#observers) observer.onStep?.(node.index, actions, this.#nowMs);
    this.#arm(node);
  }

  #arm(node: SimNode): void {
    const wakeMs = node.core?.nextWakeMs ?? Number.POSITIVE_INFINITY;
    if (wakeMs >= node.armedMs || wakeMs === Number.POSITIVE_INFINITY) return;
    node.armedMs = wakeMs;
    this.#heap.push(Math.max(wakeMs, this.#nowMs), { kind: 'tick', node, run: node.run });
  }

  #act(node: SimNode, action: CoreAction): void {
    if (node.stalledUntilMs > this.#nowMs && (action.type === 'send' || action.type === 'reply')) {
      node.outgoing.push(action);
      return;
    }
    switch (action.type) {
      case 'send':
        this.#send(node, action.to, action.messages);
        return;
      case 'request':
        this.#request(node, action);
        return;
      case 'reply':
        this.#reply(node, action.stream, action.message);
        return;
      case 'persist':
        node.kept = action.incarnation;
        return;
      case 'event':
        for (const observer of this.#observers) observer.onEvent?.(node.index, action.event, this.#nowMs);
    }
  }

  #send(node: SimNode, to: Address, messages: readonly Message[]): void {
    this.stats.datagrams++;
    let bytes = ENVELOPE_BYTES_MAX + payloadOverhead('');
    for (const message of messages) bytes += messageBytes(message);
    this.stats.bytes += bytes;
    if (bytes > this.protocol.packetBytesMax)
      throw new Error(`A packet of ${bytes} bytes: ${JSON.stringify(messages)}`);
    const target = this.#byAddress.get(to);
    if (target === undefined) return;
    const sent = this.#codec === undefined ? messages : this.#codec.decodePacket(this.#codec.encode(messages));
    this.network.datagram(node.index, target.index, (delayMs) => {
      const what = { kind: 'packet', node: target, run: target.run, from: node.address, messages: sent } as const;
      this.#heap.push(this.#nowMs + delayMs, what);
    });
  }

  #request(node: SimNode, action: CoreAction & { readonly type: 'request' }): void {
    const { exchange, timeoutMs } = action;
    this.stats.streams++;
    node.open.add(exchange);
    this.#heap.push(this.#nowMs + timeoutMs, { kind: 'timeout', node, run: node.run, exchange });
    const target = this.#byAddress.get(action.to);
    // A stalled node cannot even connect.
    if (target === undefined || node.stalledUntilMs > this.#nowMs) return;
    const delayMs = this.network.streamDelayMs(node.index, target.index);
    if (delayMs === undefined) return;
    const codec = this.#codec;
    const message = codec === undefined ? action.message : codec.decodeRequest(codec.encode([action.message]));
    const common = { kind: 'request', node: target, run: target.run, from: node, fromRun: node.run } as const;
    this.#heap.push(this.#nowMs + delayMs, { ...common, exchange, message });
  }

  #reply(node: SimNode, stream: number, reply: StreamReply): void {
    const origin = node.streams.get(stream);
    node.streams.delete(stream);
    if (origin === undefined) return;
    const delayMs = this.network.streamDelayMs(node.index, origin.from.index);
    if (delayMs === undefined) return;
    const codec = this.#codec;
    const message = codec === undefined ? reply : codec.decodeReply(codec.encode([reply]));
    const what = { kind: 'reply', node: origin.from, run: origin.run, exchange: origin.exchange, message } as const;
    this.#heap.push(this.#nowMs + delayMs, what);
  }
}

function makeNode(index: number): SimNode {
  const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:7449`;
  const times = { armedMs: Number.POSITIVE_INFINITY, pausedUntilMs: 0, stalledUntilMs: 0 };
  const lists = { waiting: [], outgoing: [], open: new Set<number>(), streams: new Map() };
  return { index, id: `node-${index}`, address, core: undefined, run: 0, kept: 0, stream: 0, ...times, ...lists };
}
