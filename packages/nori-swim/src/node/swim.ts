// `Swim`: a member of a cluster, for applications. What it does on the network is in engine.ts.
import { randomInt } from 'node:crypto';
import { noopMeter } from 'nori-observe';
import { SwimCore } from '../core/swim-core.js';
import { SwimError } from '../errors.js';
import type { Address, Member, NodeId, SwimView } from '../member.js';
import type { MembershipEvent } from '../membership-events.js';
import { conflictError, Engine } from './engine.js';
import { EventStream } from './event-stream.js';
import { Join, type JoinResult } from './joins.js';
import { Keyring } from './keyring.js';
import { Metrics, type SwimStats } from './metrics.js';
import { checkMetadata, resolveOptions, type SwimOptions } from './options.js';
import { resolveAdvertised, resolveBind, resolveSeed } from './resolver.js';
import { listen } from './sockets.js';
import { StateFile } from './state-file.js';
import { StreamServer } from './stream-server.js';

/** A member of a cluster. Made by {@link Swim.start}. */
export class Swim implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #keyring: Keyring | undefined;
  readonly #bindHost: string;
  readonly #streams = new Set<EventStream>();
  /** By ticket. */
  readonly #joins = new Map<number, Join>();
  readonly #leaving: (() => void)[] = [];
  #ticket = 0;
  /** Why it has stopped by itself. */
  #failure: SwimError | undefined;
  #closed: Promise<void> | undefined;

  private constructor(engine: Engine, keyring: Keyring | undefined, bindHost: string) {
    this.#engine = engine;
    this.#keyring = keyring;
    this.#bindHost = bindHost;
    engine.start({
      event: (event) => this.#emit(event),
      joined: (ticket, id) => this.#joins.get(ticket)?.answered(ticket, id),
      joinFailed: (ticket, error) => this.#joins.get(ticket)?.failed(ticket, error),
      left: () => {
        for (const resolve of this.#leaving.splice(0)) resolve();
      },
    });
  }

  /**
   * Listens, and is a cluster of one until it has joined others.
   * @throws SwimError SWIM_INVALID_OPTION, SWIM_METADATA_TOO_LARGE, SWIM_BAD_KEY, SWIM_ADDRESS_IN_USE, SWIM_LISTEN_FAILED,
   * SWIM_CORRUPT_STATE, SWIM_STATE_FAILED
   */
  static async start(given: SwimOptions): Promise<Swim> {
    const options = resolveOptions(given);
    const { keys, encryptOutgoing: sealsOutgoing, requireEncrypted: requiresSealed } = options;
    const keyring = keys.length === 0 ? undefined : new Keyring({ keys, sealsOutgoing, requiresSealed });
    const stateFile = options.stateFile === undefined ? undefined : new StateFile(options.stateFile);
    const kept = await stateFile?.read(options.id);
    const bind = await resolveBind(options.bind);
    const server = new StreamServer();
    const sockets = await listen(bind, (socket) => server.accept(socket));
    try {
      const address = await resolveAdvertised(options.advertise, { host: bind.host, port: sockets.port });
      const { id, zone, metadata, cluster, protocol } = options;
      const boot = nextBoot(kept?.boot ?? 0);
      const incarnation = (kept?.incarnation ?? 0) + 1;
      await stateFile?.write({ id, boot, incarnation });
      const self = { id, address, boot, incarnation, zone, metadata, cluster };
      const core = new SwimCore(self, protocol, performance.now(), Math.random);
      const metrics = new Metrics(given.meter ?? noopMeter, () => Date.now());
      const state = stateFile === undefined ? undefined : { file: stateFile, boot };
      const engine = new Engine({ core, protocol, cluster, keyring, sockets, server, metrics, state });
      return new Swim(engine, keyring, bind.host);
    } catch (error) {
      sockets.udp.close();
      await server.close(sockets.server);
      throw error;
    }
  }

  get id(): NodeId {
    return this.#engine.core.id;
  }

  /** Where others reach this node: `host:port`. Good as a seed for them. */
  get address(): Address {
    return this.#engine.core.address;
  }

  /**
   * Asks nodes that are members for membership; resolves as soon as one of them has answered. Seeds are `host:port`; a name may have
   * many addresses, and this node's own address may be among them.
   * @throws SwimJoinError SWIM_JOIN_FAILED when nobody answers, with everybody who was tried; SWIM_ID_CONFLICT when another live
   * node has this node's id; SwimError SWIM_CLOSED
   */
  async join(seeds: readonly string[], options: { readonly signal?: AbortSignal } = {}): Promise<JoinResult> {
    this.#assertOpen();
    const { signal } = options;
    signal?.throwIfAborted();
    const join = new Join();
    const abort = () => join.abandon(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await Promise.all(seeds.map((seed) => this.#askSeed(join, seed)));
      join.asked();
      return await join.result;
    } finally {
      signal?.removeEventListener('abort', abort);
      for (const [ticket, each] of this.#joins) if (each === join) this.#joins.delete(ticket);
    }
  }

  /** Says goodbye to all members, so that nobody takes this node for dead. It still has to be closed. */
  async leave(): Promise<void> {
    this.#assertOpen();
    if (this.#engine.core.phase === 'left') return;
    const left = new Promise<void>((resolve) => this.#leaving.push(resolve));
    this.#engine.step({ type: 'leave' });
    await left;
  }

  /** All members that are not known to be dead or to have left, this node first. */
  members(): Member[] {
    const { self, others } = this.view();
    return [self, ...others.filter(({ state }) => state === 'alive' || state === 'suspect')];
  }

  /** Everything that this node knows at this moment. */
  view(): SwimView {
    return this.#engine.core.view(performance.now());
  }

  /** Whether a member is alive as far as is known; a suspicion is no death yet. */
  isAlive(id: NodeId): boolean {
    const { core } = this.#engine;
    if (id === core.id) return core.phase === 'running';
    return core.entry(id)?.isActive ?? false;
  }

  /** All that happens from now on. A reader that is too slow is told how much it has missed. Ends when the node is closed. */
  events(): AsyncIterableIterator<MembershipEvent> {
    const stream = new EventStream((ended) => this.#streams.delete(ended));
    if (this.#closed === undefined) this.#streams.add(stream);
    else stream.end();
    return stream;
  }

  /**
   * Passes bytes on to all members, each of which gets them at most once, as a `message` event; usually all do, but nobody promises.
   * @throws SwimError SWIM_MESSAGE_TOO_LARGE, SWIM_QUEUE_FULL, SWIM_CLOSED
   */
  broadcast(message: Uint8Array): void {
    this.#assertOpen();
    const { core, protocol } = this.#engine;
    const { messageBytesMax, messagesMax } = protocol;
    if (message.length > messageBytesMax) {
      const what = `A message of ${message.length} bytes: messageBytesMax allows ${messageBytesMax}`;
      throw new SwimError('SWIM_MESSAGE_TOO_LARGE', `${what}. Send large things directly.`);
    }
    if (core.pendingMessages >= messagesMax) {
      throw new SwimError('SWIM_QUEUE_FULL', `${messagesMax} messages wait to be passed on: send fewer, or later.`);
    }
    this.#engine.step({ type: 'broadcast', data: message.slice() });
  }

  /** Changes the metadata of this node; all members will know them. @throws SwimError SWIM_METADATA_TOO_LARGE, SWIM_CLOSED */
  setMetadata(metadata: Uint8Array): void {
    this.#assertOpen();
    checkMetadata(metadata);
    this.#engine.step({ type: 'metadata', metadata: metadata.slice() });
  }

  /**
   * Changes the keys of this node. To go from one key to the next without interruption: `install` it on all nodes, then `use` it on
   * all, then `remove` the old one on all.
   * @returns the names of the keys, the one in use first; they are not secret
   * @throws SwimError SWIM_BAD_KEY, SWIM_UNKNOWN_KEY, SWIM_NOT_ENCRYPTED when the node was started without keys
   */
  rotateKey(step: 'install' | 'use' | 'remove', key: Uint8Array): readonly string[] {
    this.#assertOpen();
    const keyring = this.#keyring;
    if (keyring === undefined) throw new SwimError('SWIM_NOT_ENCRYPTED', 'This node was started without keys.');
    keyring[step](key);
    return keyring.ids;
  }

  /** Counts since the start. */
  stats(): SwimStats {
    return this.#engine.metrics.stats();
  }

  /**
   * Stops without a word; see {@link Swim.leave}. In this order: timers, what waits for others (rejected with SWIM_CLOSED), sockets,
   * the state file, the event streams. May be called again.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #askSeed(join: Join, seed: string): Promise<void> {
    let addresses: string[];
    try {
      addresses = await resolveSeed(seed, this.#bindHost);
    } catch (error) {
      if (!(error instanceof SwimError) || error.code === 'SWIM_INVALID_OPTION') throw error;
      join.unresolved(seed, error);
      return;
    }
    this.#assertOpen();
    for (const address of addresses) {
      if (address === this.address) continue;
      const ticket = ++this.#ticket;
      join.ask(ticket, seed, address);
      this.#joins.set(ticket, join);
      this.#engine.join(ticket, address);
    }
  }

  #emit(event: MembershipEvent): void {
    for (const stream of this.#streams) stream.push(event);
    if (event.type !== 'conflict') return;
    this.#failure = conflictError(event.id, event.address, event.otherAddress);
    void this.close();
  }

  async #close(): Promise<void> {
    const error = this.#failure ?? new SwimError('SWIM_CLOSED', 'This node was closed.');
    this.#engine.stop();
    for (const join of this.#joins.values()) join.abandon(error);
    for (const resolve of this.#leaving.splice(0)) resolve();
    await this.#engine.close();
    for (const stream of this.#streams) stream.end();
    this.#streams.clear();
  }

  #assertOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed !== undefined) throw new SwimError('SWIM_CLOSED', 'This node was closed: start another one.');
  }
}

/** Seconds since the epoch, and 20 random bits: greater in later runs, and different in two that start at once. */
function nextBoot(last: number): number {
  const now = Math.floor(Date.now() / 1_000) * 2 ** 20 + randomInt(2 ** 20);
  return Math.max(last + 1, now);
}
