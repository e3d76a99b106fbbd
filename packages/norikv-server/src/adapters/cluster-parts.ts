// What ties a node to others, put together: gossip, the state that the cluster has agreed on, connections to peers, and who looks after
// them. A node that is alone has all of it but gossip and connections.
//
//   open ──(found, or find the cluster)──▶ ofStore (for the composition root) ──▶ start ──▶ leave ──▶ close
import type { Clock, FileSystem } from 'nori-io';
import type { Meter } from 'nori-observe';
import type { PeerTransport } from 'nori-raft';
import type { PeerEvent } from 'nori-raft/tcp-transport';
import { formatAddress, type NodeConfig, parseAddress } from '../config/index.js';
import { ClusterDirectory } from '../core/cluster-directory.js';
import { ClusterViewBuilder } from '../core/cluster-view.js';
import { type Belonging, Founding } from '../core/founding.js';
import { GossipKeeper } from '../core/gossip-keeper.js';
import { GroupMachines } from '../core/group-machines.js';
import { MetaClient } from '../core/meta-client.js';
import { MetaGroup } from '../core/meta-group.js';
import { MetaKeeper } from '../core/meta-keeper.js';
import { MetaPlacement } from '../core/meta-placement.js';
import { ClusterShardPeers } from '../core/shard-peers.js';
import { encodeCard, type NodeCard, PROTOCOL_VERSION } from '../domain/node-card.js';
import { NodeError } from '../domain/node-error.js';
import { META_GROUP, SHARD_COUNT } from '../domain/placement.js';
import { StartupError } from '../domain/startup-error.js';
import type { ClusterSnapshot } from '../ports/kv.js';
import type { Logger } from '../ports/logger.js';
import { PEER_METHOD } from '../ports/peer-calls.js';
import type { Placement } from '../ports/placement.js';
import type { StateMachine } from '../ports/replicated-log.js';
import type { ShardPeers } from '../ports/shard-peers.js';
import { AtomicFile } from './atomic-file.js';
import type { DataDir } from './data-dir.js';
import { NodeTransport } from './peer-transport.js';
import { noPeers } from './raft-log/no-peers.js';
import type { RaftLog } from './raft-log/raft-log.js';
import { SwimMembership } from './swim-membership.js';

const LOOK_INTERVAL_MS = 50;
const JOIN_TIMEOUT_MS = 5_000;
/** A log that has made no promise yet. */
const NO_LOG = 'blank';

/** What a node brings along. */
export interface ClusterPartsOptions {
  readonly config: NodeConfig;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly random: () => number;
  readonly meter: Meter;
  readonly logger: Logger;
  readonly dataDir: DataDir;
  readonly rpcAddress: string;
  readonly httpAddress: string;
  readonly version: string;
  readonly newClusterId: () => string;
  readonly signal: AbortSignal;
}

export class ClusterParts {
  readonly failed: Promise<Error>;
  readonly #options: ClusterPartsOptions;
  readonly #meta: MetaGroup;
  readonly #membership: SwimMembership | undefined;
  readonly #directory: ClusterDirectory;
  readonly #belonging: Belonging;
  readonly #placement: MetaPlacement;
  readonly #client: MetaClient;
  readonly #view: ClusterViewBuilder;
  readonly #told = new Set<string>();
  #answerScan: (body: Uint8Array) => Promise<Uint8Array> = notYet;
  #tellChange: () => void = () => {};
  #incarnation = '';
  #transport: NodeTransport | undefined;
  #log: RaftLog | undefined;
  #keeper: MetaKeeper | undefined;
  #gossip: GossipKeeper | undefined;
  #fail!: (error: Error) => void;

  private constructor(
    options: ClusterPartsOptions,
    meta: MetaGroup,
    directory: ClusterDirectory,
    membership: SwimMembership | undefined,
    belonging: Belonging,
  ) {
    this.#options = options;
    this.#meta = meta;
    this.#directory = directory;
    this.#membership = membership;
    this.#belonging = belonging;
    const { clock } = options;
    const state = () => meta.state;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    void membership?.failed.then((error) => this.#fail(error));
    this.#placement = new MetaPlacement(state, directory, belonging.founders);
    const parts = this;
    this.#client = new MetaClient({
      clock,
      meta,
      control: () => this.#log?.control(META_GROUP),
      log: () => this.#log,
      get calls() {
        return parts.#transport;
      },
    });
    this.#view = new ClusterViewBuilder({
      clock,
      clusterId: belonging.clusterId,
      state,
      directory,
      placement: this.#placement,
      leaderOf: (group) => this.#log?.leaderOf(group),
      onChange: () => this.#tellChange(),
    });
  }

  /** Finds out where the node belongs; waits for the nodes that are to form the cluster with it. @throws StartupError */
  static async open(options: ClusterPartsOptions): Promise<ClusterParts> {
    const { config, dataDir, meter } = options;
    // A blank directory has no store yet, and gets none before the node belongs somewhere.
    const isBlank = dataDir.identity === undefined || dataDir.identity.phase === 'accepted';
    let meta = isBlank ? undefined : await openMeta(options);
    const others = [...(meta?.state.nodes.values() ?? [])].filter(({ id }) => id !== config.nodeId);
    const isAlone = config.join.length === 0 && others.length === 0 && dataDir.identity?.phase !== 'joining';
    const card = firstCard(options);
    const membership = isAlone
      ? undefined
      : await SwimMembership.start({ nodeId: config.nodeId, bind: config.gossipAddr, card: encodeCard(card), meter });
    const directory = new ClusterDirectory({ nodeId: config.nodeId, card, membership });
    if (membership !== undefined) directory.announce({ ...addresses(options, membership.address) });
    try {
      const join = config.join.length > 0 ? config.join : others.map(({ gossip }) => gossip);
      const founding = new Founding({
        clock: options.clock,
        logger: options.logger,
        dataDir: config.dataDir,
        keeper: dataDir,
        directory,
        join,
        expect: config.expect,
        newClusterId: options.newClusterId,
        signal: options.signal,
      });
      const belonging = await founding.run();
      if (belonging.isJoining && dataDir.identity === undefined) await knock(options, directory, belonging.clusterId);
      meta ??= await openMeta(options);
      return new ClusterParts(options, meta, directory, membership, belonging);
    } catch (error) {
      directory.close();
      await membership?.leave();
      throw error;
    }
  }

  get clusterId(): string {
    return this.#belonging.clusterId;
  }

  /** Why this node can decide nothing; undefined when it can, as far as it knows. */
  get refusal(): string | undefined {
    const control = this.#log?.control(META_GROUP);
    return control?.leaderNode === undefined ? 'No majority of the nodes of the cluster can be reached' : undefined;
  }

  /** The nodes that share the shards with this one. */
  get peers(): ShardPeers {
    const state = () => this.#meta.state;
    return new ClusterShardPeers({ directory: this.#directory, state, calls: () => this.#transport });
  }

  /** From now on other nodes are answered that ask for parts of scans. */
  serveScans(answer: (body: Uint8Array) => Promise<Uint8Array>): void {
    this.#answerScan = answer;
  }

  view(): ClusterSnapshot {
    return this.#view.get();
  }

  /** What a store of this node needs to be one of the cluster's. */
  ofStore(): {
    readonly transport: (incarnation: string) => PeerTransport;
    readonly placement: Placement;
    readonly wrap: (machine: StateMachine) => StateMachine;
    readonly onLeadersChanged: () => void;
  } {
    return {
      transport: (incarnation) => {
        this.#incarnation = incarnation;
        if (this.#membership === undefined) return noPeers(this.#directory.nodeId);
        this.#transport = makeTransport(this.#options, this.clusterId, incarnation, {
          accepts: (peer, shown, known) => this.#accepts(peer, shown, known),
          handler: (_from, method, body) =>
            method === PEER_METHOD.scanPart ? this.#answerScan(body) : this.#client.handle(method, body),
          onEvent: (event) => this.#onPeerEvent(event),
        });
        this.#directory.follow(() => this.#meta.state);
        this.#transport.setPeers(validAddresses(this.#directory));
        return this.#transport;
      },
      placement: this.#placement,
      wrap: (machine) => new GroupMachines(this.#meta, machine),
      onLeadersChanged: () => {
        this.#view.changed();
        this.#keeper?.wake();
      },
    };
  }

  /** Once the log runs: joins if need be, and resolves when this node knows what the cluster has agreed on. @throws StartupError */
  async start(log: RaftLog, onViewChange: () => void, signal: AbortSignal): Promise<void> {
    this.#log = log;
    this.#tellChange = onViewChange;
    if (this.#transport !== undefined) this.#announcePeerAddress(this.#transport.address);
    const update = () => {
      this.#transport?.setPeers(validAddresses(this.#directory));
      this.#view.changed();
      this.#keeper?.wake();
    };
    this.#directory.onChange(update);
    this.#meta.onChange(update);
    update();
    const isKnown = this.#meta.state.nodes.has(this.#directory.nodeId);
    if (this.#belonging.founders === undefined && !isKnown) await this.#join(signal);
    this.#keep();
    while (this.#meta.state.settings === undefined) await pause(this.#options.clock, signal);
  }

  #keep(): void {
    const { clock, logger, config } = this.#options;
    const state = () => this.#meta.state;
    this.#keeper = new MetaKeeper({
      clock,
      logger,
      directory: this.#directory,
      client: this.#client,
      state,
      control: () => this.#log?.control(META_GROUP),
      founders: this.#belonging.founders,
      incarnation: this.#incarnation,
      onRefused: ({ why }) => this.#fail(new StartupError('NODE_ID_KNOWN', why)),
    });
    this.#keeper.start();
    if (this.#membership === undefined) return;
    this.#gossip = new GossipKeeper({ clock, directory: this.#directory, state, seeds: config.join });
    this.#gossip.start();
  }

  /** Asks the cluster to take this node in, until it answers. */
  async #join(signal: AbortSignal): Promise<void> {
    const { dataDir, logger } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      try {
        const node = this.#directory.describe(this.#incarnation);
        const { result, state } = await this.#client.propose({ type: 'join', node }, JOIN_TIMEOUT_MS);
        if (!result.ok) throw new StartupError('NODE_ID_KNOWN', result.why);
        this.#meta.lend(state);
        await dataDir.become({ clusterId: this.clusterId, phase: 'formed' });
        this.#directory.announce({ phase: 'formed' });
        return;
      } catch (error) {
        if (error instanceof StartupError) throw error;
        logger.info({ reason: (error as Error).message }, 'Waiting to join the cluster');
      }
    }
  }

  #announcePeerAddress(bound: string): void {
    const { client } = this.#directory.card.stores[0]!;
    const peer = this.#options.config.peerAdvertise || reachable(bound, this.#directory.membership!.address);
    this.#directory.announce({ stores: [{ client, peer }] });
  }

  /** A node that the cluster knows must show the log that it registered with. */
  #accepts(peer: string, shown: string, known: string | undefined): boolean {
    const node = this.#meta.state.nodes.get(peer);
    // Whoever only asks to be taken in has no log that promised anything.
    if (node === undefined) return true;
    return node.incarnation === '' ? known === undefined || known === shown : node.incarnation === shown;
  }

  #onPeerEvent(event: PeerEvent): void {
    const { logger } = this.#options;
    if (event.type !== 'refused') return;
    const key = `${event.peer}:${event.by}:${event.reason}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    const { peer, by, reason, detail, address } = event;
    // A node that has just come is not known everywhere yet.
    if (reason === 'unknown-node') logger.debug({ peer, by, reason, address }, 'A peer is not known yet');
    else logger.warn({ peer, by, reason, detail, address }, 'A connection between nodes was refused');
  }

  /** Says goodbye: the others stop sending clients here at once. */
  async leave(): Promise<void> {
    this.#keeper?.close();
    this.#gossip?.close();
    await this.#membership?.leave();
  }

  async close(): Promise<void> {
    this.#keeper?.close();
    this.#gossip?.close();
    this.#view.close();
    this.#directory.close();
    await this.#membership?.close();
    await this.#meta.close();
  }
}

const openMeta = async ({ dataDir, fs }: ClusterPartsOptions): Promise<MetaGroup> => {
  const { meta } = await dataDir.store(0);
  try {
    return await MetaGroup.open(new AtomicFile(fs, meta));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const why = `${meta} cannot be understood: ${cause.message}. It was written by another version, or by a defect.`;
    throw new StartupError('DATA_CORRUPT', why, { cause });
  }
};

const firstCard = (options: ClusterPartsOptions): NodeCard => ({
  protocolVersion: PROTOCOL_VERSION,
  shardCount: SHARD_COUNT,
  phase: 'blank',
  clusterId: '',
  members: '',
  version: options.version,
  http: options.config.httpAdvertise || options.httpAddress,
  stores: [{ client: options.config.rpcAdvertise || options.rpcAddress, peer: '' }],
});

/**
 * This node's addresses as others can use them: those that were given for them, else those listened on, where those that stand for
 * all addresses become the one that gossip has.
 */
const addresses = (
  { rpcAddress, httpAddress, config }: ClusterPartsOptions,
  gossip: string,
): Pick<NodeCard, 'http' | 'stores'> => {
  const bound = config.peerAddr.port === 0 ? '' : reachable(formatAddress(config.peerAddr), gossip);
  const client = config.rpcAdvertise || reachable(rpcAddress, gossip);
  return {
    http: config.httpAdvertise || reachable(httpAddress, gossip),
    stores: [{ client, peer: config.peerAdvertise || bound }],
  };
};

const reachable = (text: string, gossip: string): string => {
  const address = parseAddress(text);
  const host = parseAddress(gossip)?.host;
  if (address === undefined || host === undefined) return text;
  return /^(0\.0\.0\.0|::|0:0:0:0:0:0:0:0)$/.test(address.host) ? formatAddress({ ...address, host }) : text;
};

const validAddresses = (directory: ClusterDirectory): ReadonlyMap<string, string> =>
  new Map([...directory.peerAddresses()].filter(([, address]) => parseAddress(address) !== undefined));

interface TransportHooks {
  readonly accepts: (peer: string, shown: string, known: string | undefined) => boolean;
  readonly handler: (from: string, method: number, body: Uint8Array) => Promise<Uint8Array>;
  readonly onEvent: (event: PeerEvent) => void;
}

const makeTransport = (
  { config, clock, random }: ClusterPartsOptions,
  clusterId: string,
  incarnation: string,
  hooks: TransportHooks,
): NodeTransport => {
  const { nodeId, peerAddr } = config;
  return new NodeTransport({
    nodeId,
    clusterId,
    incarnation,
    listen: formatAddress(peerAddr),
    clock,
    random,
    ...hooks,
  });
};

/**
 * A blank node asks the cluster whether it may come, before it writes anything.
 * @throws StartupError `NODE_ID_KNOWN` when the cluster has a node of its name
 */
const knock = async (options: ClusterPartsOptions, directory: ClusterDirectory, clusterId: string): Promise<void> => {
  const { clock, config, dataDir, signal } = options;
  let isRefused = false;
  const transport = makeTransport(options, clusterId, NO_LOG, {
    accepts: () => true,
    handler: () => Promise.reject(new Error('nothing can be asked here')),
    onEvent: (event) => {
      if (event.type === 'refused' && event.by === 'peer' && event.reason === 'incarnation') isRefused = true;
    },
  });
  const client = new MetaClient({ clock, meta: await emptyMeta(), control: noControl, log: noLog, calls: transport });
  const known = (): StartupError =>
    new StartupError(
      'NODE_ID_KNOWN',
      `Cluster ${clusterId} has a node ${config.nodeId} already, and ${config.dataDir} is blank: start it with its own data directory, or as a new node with another --node-id.`,
    );
  try {
    await transport.start({ onFrame: () => {}, onUnreachable: () => {} });
    const peer = config.peerAdvertise || reachable(transport.address, directory.membership!.address);
    directory.announce({ stores: [{ client: directory.card.stores[0]!.client, peer }] });
    for (;;) {
      transport.setPeers(validAddresses(directory));
      if (isRefused) throw known();
      const [nodeId] = transport.reachable();
      const state = nodeId === undefined ? undefined : await client.fetch(nodeId).catch(() => undefined);
      if (state?.nodes.has(config.nodeId)) throw known();
      if (state?.removedNodes.has(config.nodeId)) {
        const why = `Node ${config.nodeId} was removed from cluster ${clusterId}, and names do not come back: choose another --node-id.`;
        throw new StartupError('NODE_ID_KNOWN', why);
      }
      if (state !== undefined) break;
      await pause(clock, signal);
    }
  } finally {
    await transport.close();
  }
  await dataDir.become({ clusterId, phase: 'joining' });
};

const notYet = (): Promise<never> => Promise.reject(new NodeError('UNAVAILABLE', 'The node is starting.'));
const noControl = (): undefined => undefined;
const noLog = (): undefined => undefined;
const emptyMeta = (): Promise<MetaGroup> => MetaGroup.open({ load: async () => undefined, save: async () => {} });

const pause = async (clock: Clock, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted();
  await new Promise<void>((resolve) => clock.setTimer(LOOK_INTERVAL_MS, resolve));
  signal.throwIfAborted();
};
