// The composition root: the only file that knows which adapter serves which port. Builds the store from log and storage,
// the service from the store, the transports around the service, and takes them down in the opposite order. What ties a node to others
// (gossip, the meta group, peer connections) is put together in adapters/cluster-parts.ts.
import { randomBytes as systemRandomBytes } from 'node:crypto';
import { type Clock, type FileSystem, nodeFileSystem, systemClock } from 'nori-io';
import type { TaskExecutor } from 'nori-lsm';
import { type Meter, MetricRegistry } from 'nori-observe';
import { collectProcessMetrics } from 'nori-observe/process';
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from 'nori-observe/prometheus';
import type { PeerTransport } from 'nori-raft';
import { WalStorage } from 'nori-raft/wal-storage';
import { loadKeyHasher } from 'norikv-protocol';
import { version as VERSION } from '../package.json';
import { Ballast } from './adapters/ballast.js';
import { ClusterParts } from './adapters/cluster-parts.js';
import { ClientPort } from './adapters/connect-transport/client-port.js';
import { type DataDir, openDataDir } from './adapters/data-dir.js';
import { hasFoundationLog, removeFoundationLog, replayFoundationLog } from './adapters/foundation-log.js';
import { EventHub } from './adapters/http/event-hub.js';
import { HttpPort } from './adapters/http/http-port.js';
import { LsmStorage } from './adapters/lsm-storage.js';
import { Readiness } from './adapters/net/readiness.js';
import { RequestMetrics } from './adapters/net/request-metrics.js';
import { GuardedStorage } from './adapters/raft-log/guarded-storage.js';
import { noPeers } from './adapters/raft-log/no-peers.js';
import { RaftLog } from './adapters/raft-log/raft-log.js';
import { formatAddress, type NodeConfig, parseAddress } from './config/index.js';
import { AlonePlacement } from './core/alone-placement.js';
import { KvService } from './core/kv-service.js';
import { LateNode } from './core/late-node.js';
import { Router } from './core/router.js';
import { ScanPartServer } from './core/scan-part.js';
import { Store } from './core/store.js';
import { hexToBytes, toHex } from './domain/hex.js';
import { GROUP_COUNT_MAX, SHARD_COUNT } from './domain/placement.js';
import { StartupError } from './domain/startup-error.js';
import type { ClusterSnapshot, NodeStatus } from './ports/kv.js';
import type { Logger } from './ports/logger.js';
import type { Placement } from './ports/placement.js';
import type { ReplayReport, StateMachine } from './ports/replicated-log.js';

/** Where a store keeps its data, and the sizes it uses. */
export interface StoreSettings {
  readonly nodeId: string;
  /** Of the cluster, as hex. */
  readonly clusterId: string;
  readonly raftDir: string;
  readonly tablesDir: string;
  readonly foundationLogDir: string;
  /** For copies of groups on their way. */
  readonly snapshotsDir: string;
  readonly memtableBytes: number;
  readonly blockCacheBytes: number;
  readonly logSegmentBytes: number;
  readonly ballastPath: string;
  /** 0: none. */
  readonly ballastBytes: number;
  readonly fsync: 'always' | 'batch' | 'os';
}

/** What the outside world is to a store. */
export interface StoreEnvironment {
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly meter: Meter;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
  /** Default: nori-lsm's own. */
  readonly executor?: TaskExecutor | undefined;
}

/** What ties a store to the stores of other nodes. Without it the store is alone. */
export interface StoreCluster {
  /** @param incarnation of the store's log */
  readonly transport: (incarnation: string) => PeerTransport;
  readonly placement: Placement;
  readonly wrap: (machine: StateMachine) => StateMachine;
  readonly onLeadersChanged: () => void;
}

/** A store, and what its start found. */
export interface OpenedStore {
  readonly store: Store;
  readonly log: RaftLog;
  readonly report: ReplayReport;
}

/** Builds a store: the log first, since a damaged one must stop the start before anything else is touched. */
export const openStore = async (
  settings: StoreSettings,
  environment: StoreEnvironment,
  cluster?: StoreCluster,
): Promise<OpenedStore> => {
  const { fs, clock, meter, random, executor } = environment;
  const { nodeId, clusterId } = settings;
  const wal = await WalStorage.open({
    dir: settings.raftDir,
    nodeId,
    clusterId,
    random,
    fs,
    clock,
    meter,
    segmentBytesMax: settings.logSegmentBytes,
    durability: settings.fsync === 'always' ? 'sync' : settings.fsync,
    lock: false,
  });
  const ballast = await Ballast.open({ path: settings.ballastPath, bytes: settings.ballastBytes, fs, clock });
  const storage = new GuardedStorage(wal, ballast);
  const foundation = { dir: settings.foundationLogDir, fs, clock, meter };
  const log = new RaftLog({
    nodeId,
    storage,
    transport: cluster?.transport(wal.incarnation) ?? noPeers(nodeId),
    placement: cluster?.placement ?? new AlonePlacement(nodeId),
    clock,
    random,
    meter,
    ...(cluster === undefined ? {} : { wrap: cluster.wrap, onLeadersChanged: cluster.onLeadersChanged }),
  });
  try {
    const { store, report } = await Store.open({
      log,
      clock,
      meter,
      adopt: async (machine, flush) => {
        if (!(await hasFoundationLog(foundation))) return;
        await replayFoundationLog(foundation, machine);
        await flush();
        await removeFoundationLog(foundation);
      },
      openStorage: (hooks) =>
        LsmStorage.open(
          {
            dir: settings.tablesDir,
            snapshotsDir: settings.snapshotsDir,
            fs,
            clock,
            meter,
            memtableBytes: settings.memtableBytes,
            blockCacheBytes: settings.blockCacheBytes,
            ...(executor === undefined ? {} : { executor }),
          },
          hooks,
        ),
    });
    return { store, log, report };
  } catch (error) {
    await log.close();
    throw error;
  }
};

/** What the outside world is to a node; all but the logger default to the real one. */
export interface NodeDependencies {
  readonly logger: Logger;
  readonly fs?: FileSystem;
  readonly clock?: Clock;
  readonly randomBytes?: (length: number) => Uint8Array;
  /** Source of randomness in [0, 1). */
  readonly random?: () => number;
  readonly executor?: TaskExecutor;
  /** Gives the start up, however long it still would have waited for other nodes. */
  readonly signal?: AbortSignal;
}

/** A node that serves. */
export interface RunningNode {
  readonly nodeId: string;
  /** host:port of the client port. */
  readonly rpcAddress: string;
  /** host:port of the HTTP port. */
  readonly httpAddress: string;
  /** Resolves with the error that makes going on unsafe, if there ever is one; then end the process. */
  readonly failed: Promise<Error>;
  /** Lets running requests finish, writes memory to tables, and closes. Idempotent. */
  stop(reason: string): Promise<void>;
}

/**
 * Starts a node: data directory, ports, the cluster it belongs to, log and tables. Resolves when the node serves; one that forms a
 * cluster with others waits for them.
 * @throws StartupError, ListenError: one line for the operator; what was opened is closed again
 */
export const startNode = async (config: NodeConfig, dependencies: NodeDependencies): Promise<RunningNode> => {
  const node = new NodeLife(config, dependencies);
  try {
    return await node.start();
  } catch (error) {
    await node.abandon();
    throw error;
  }
};

/** Damage, locks and formats of log and tables, in the words of a start that is refused. */
const asStartupError = (dataDir: string, error: unknown): unknown => {
  const code = (error as { readonly code?: unknown }).code;
  if (!(error instanceof Error) || error instanceof StartupError || typeof code !== 'string') return error;
  if (code.includes('UNSUPPORTED_VERSION')) {
    return new StartupError('DATA_DIR_NEWER_FORMAT', error.message, { cause: error });
  }
  if (/CORRUPT|MISSING|NOT_A_/.test(code)) return new StartupError('DATA_CORRUPT', error.message, { cause: error });
  if (code === 'RAFT_LISTEN_FAILED') {
    return new StartupError('ADDRESS_UNUSABLE', `--peer-addr: ${error.message}`, { cause: error });
  }
  return new StartupError('DATA_DIR_NOT_WRITABLE', `${dataDir} cannot be used: ${error.message}`, { cause: error });
};

/** One node from its start to its end: what is opened is noted on the way, and closed in the opposite order. */
class NodeLife {
  readonly #config: NodeConfig;
  readonly #logger: Logger;
  readonly #fs: FileSystem;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #randomBytes: (length: number) => Uint8Array;
  readonly #executor: TaskExecutor | undefined;
  readonly #signal: AbortSignal;
  readonly #registry = new MetricRegistry();
  readonly #events = new EventHub();
  readonly #meter: Meter;
  readonly #startedMs: number;
  readonly #undo: (() => Promise<unknown> | unknown)[] = [];
  readonly #late: LateNode;
  #ports!: NodePorts;
  #dataDir!: DataDir;
  #opened: OpenedStore | undefined;
  #cluster: ClusterParts | undefined;
  #stopping: Promise<void> | undefined;
  #fail!: (error: Error) => void;
  readonly #failed = new Promise<Error>((resolve) => {
    this.#fail = resolve;
  });

  constructor(config: NodeConfig, dependencies: NodeDependencies) {
    this.#config = config;
    this.#logger = dependencies.logger;
    this.#fs = dependencies.fs ?? nodeFileSystem;
    this.#clock = dependencies.clock ?? systemClock;
    this.#random = dependencies.random ?? Math.random;
    this.#randomBytes = dependencies.randomBytes ?? systemRandomBytes;
    this.#executor = dependencies.executor;
    this.#signal = dependencies.signal ?? new AbortController().signal;
    this.#meter = this.#events.tap(this.#registry);
    this.#startedMs = this.#clock.monotonic();
    this.#late = new LateNode(
      () => this.#status(),
      () => this.#view(),
    );
  }

  async start(): Promise<RunningNode> {
    const { nodeId, dataDir: dir } = this.#config;
    const clock = this.#clock;
    this.#dataDir = await openDataDir({ fs: this.#fs, dir, nodeId, nowMs: clock.now() });
    this.#undo.push(() => this.#dataDir.lock.release());
    await this.#listen();
    const cluster = await this.#belong();
    this.#cluster = cluster;
    this.#undo.push(() => cluster.close());
    const opened = await this.#openStore(cluster);
    this.#opened = opened;
    this.#undo.push(() => opened.store.close({ flush: false }));
    void opened.log.failed.then((error) => this.#fail(error));
    void cluster.failed.then((error) => this.#fail(error));
    await cluster.start(opened.log, () => this.#late.clusterChanged(), this.#signal);
    await this.#serve(opened, cluster);
    const stopProcessMetrics = collectProcessMetrics(this.#registry);
    this.#undo.push(stopProcessMetrics);
    this.#meter.event({ type: 'node.ready', atMs: clock.now(), nodeId });
    return {
      nodeId,
      rpcAddress: this.#ports.rpcAddress,
      httpAddress: this.#ports.httpAddress,
      failed: this.#failed,
      stop: () => {
        this.#stopping ??= this.#stop(opened, cluster, stopProcessMetrics);
        return this.#stopping;
      },
    };
  }

  /** Closes what a start that failed had opened. */
  async abandon(): Promise<void> {
    for (const step of this.#undo.reverse()) {
      try {
        await step();
      } catch {}
    }
  }

  async #stop(opened: OpenedStore, cluster: ClusterParts, stopProcessMetrics: () => void): Promise<void> {
    this.#meter.event({ type: 'node.draining', atMs: this.#clock.now(), nodeId: this.#config.nodeId });
    stopProcessMetrics();
    // While the ports still say who leads now.
    const led = await opened.log.handOver();
    if (led.handedOver + led.kept > 0) this.#logger.info({ ...led }, 'Other nodes lead what this one has led');
    await this.#ports.drain(this.#config.drainTimeoutMs);
    await cluster.leave();
    const unflushed = await opened.store.close({ flush: true });
    if (unflushed !== undefined) {
      this.#logger.warn({ err: unflushed }, 'Memory was not written to tables; the next start replays the log instead');
    }
    await cluster.close();
    await this.#dataDir.lock.release();
  }

  /** The ports open before anything else: they say that the node lives, and their addresses are told to the others. */
  async #listen(): Promise<void> {
    const { rpcAddr, httpAddr, rpcAdvertise, httpAdvertise } = this.#config;
    const advertised = [rpcAdvertise, httpAdvertise].flatMap((text) => parseAddress(text)?.host.toLowerCase() ?? []);
    const allowedHosts = [...this.#config.allowedHosts, ...advertised];
    const common = {
      node: this.#late,
      clock: this.#clock,
      meter: this.#meter,
      logger: this.#logger,
      metrics: new RequestMetrics(this.#meter),
      readiness: new Readiness(this.#late, this.#clock),
      allowedHosts,
    };
    const metricsPage = { contentType: PROMETHEUS_CONTENT_TYPE, render: () => renderPrometheus(this.#registry) };
    this.#ports = new NodePorts(
      common.readiness,
      new ClientPort({ ...common, address: rpcAddr }),
      new HttpPort({ ...common, address: httpAddr, events: this.#events, metricsPage }),
    );
    this.#undo.push(() => this.#ports.close());
    await this.#ports.listen();
  }

  /** Finds out which cluster the node belongs to: its own, one that it forms with others, or one that takes it in. */
  #belong(): Promise<ClusterParts> {
    return ClusterParts.open({
      config: this.#config,
      fs: this.#fs,
      clock: this.#clock,
      random: this.#random,
      meter: this.#meter,
      logger: this.#logger,
      dataDir: this.#dataDir,
      rpcAddress: this.#ports.rpcAddress,
      httpAddress: this.#ports.httpAddress,
      version: VERSION,
      newClusterId: () => toHex(this.#randomBytes(16)),
      signal: this.#signal,
    });
  }

  /** Opens the node's store and tells the operator what was found. */
  async #openStore(cluster: ClusterParts): Promise<OpenedStore> {
    const { nodeId, dataDir, memtableBytes, blockCacheBytes, logSegmentBytes, ballastBytes, fsync } = this.#config;
    const dirs = await this.#dataDir.store(0);
    const settings = {
      nodeId,
      clusterId: cluster.clusterId,
      raftDir: dirs.raft,
      tablesDir: dirs.tables,
      foundationLogDir: dirs.foundationLog,
      snapshotsDir: dirs.snapshots,
      memtableBytes,
      blockCacheBytes,
      logSegmentBytes,
      ballastPath: dirs.ballast,
      ballastBytes,
      fsync,
    };
    const environment = {
      fs: this.#fs,
      clock: this.#clock,
      meter: this.#meter,
      random: this.#random,
      executor: this.#executor,
    };
    let opened: OpenedStore;
    try {
      opened = await openStore(settings, environment, cluster.ofStore());
    } catch (error) {
      throw asStartupError(dataDir, error);
    }
    const { groups, entriesReplayed, cut } = opened.report;
    if (cut !== undefined) {
      this.#logger.warn(
        { ...cut },
        `The log ended in a torn record, as after a power loss: ${cut.bytes} bytes were cut from ${cut.file} at offset ${cut.offset}. Nothing acknowledged was lost`,
      );
    }
    this.#logger.info({ groups, entriesReplayed, shards: opened.store.activeShards }, 'Opened the store');
    return opened;
  }

  async #serve({ store }: OpenedStore, cluster: ClusterParts): Promise<void> {
    const router = new Router(await loadKeyHasher(), SHARD_COUNT, new Array<Store>(GROUP_COUNT_MAX).fill(store));
    const { peers } = cluster;
    const parts = new ScanPartServer({ router, peers, clock: this.#clock });
    cluster.serveScans((body) => parts.answer(body));
    const service = new KvService({
      router,
      stores: [store],
      clock: this.#clock,
      peers,
      status: () => this.#status(),
      cluster: () => this.#view(),
    });
    this.#late.become(service);
  }

  #status(): NodeStatus {
    const refusal =
      this.#opened === undefined || this.#cluster === undefined
        ? 'The node is starting and does not belong to a cluster yet'
        : (this.#opened.store.refusal ?? this.#cluster.refusal);
    return {
      nodeId: this.#config.nodeId,
      version: VERSION,
      uptimeMs: Math.floor(this.#clock.monotonic() - this.#startedMs),
      ready: refusal === undefined,
      reasons: refusal === undefined ? [] : [refusal],
      clusterId: hexToBytes(this.#cluster?.clusterId ?? ''),
      shardCount: SHARD_COUNT,
      activeShards: this.#opened?.store.activeShards ?? 0,
      storage: this.#opened?.store.storage.stats() ?? NO_STORAGE,
      log: this.#opened?.log.stats() ?? { segments: 0, bytes: 0 },
    };
  }

  #view(): ClusterSnapshot {
    return this.#cluster?.view() ?? NO_CLUSTER;
  }
}

const NO_STORAGE: NodeStatus['storage'] = {
  memtableBytes: 0,
  memtables: 0,
  tableBytes: 0,
  levelTables: [],
  levelBytes: [],
  blockCacheBytes: 0,
};

const NO_CLUSTER: ClusterSnapshot = {
  clusterId: new Uint8Array(0),
  epoch: 0,
  revision: 0,
  shardCount: SHARD_COUNT,
  replicationFactor: 0,
  nodes: [],
  stores: [],
  shardLeaders: [],
  shardTerms: [],
  replicaCounts: [],
  replicas: [],
};

/** The two ports of a node for its users. */
class NodePorts {
  readonly #readiness: Readiness;
  readonly #clientPort: ClientPort;
  readonly #httpPort: HttpPort;
  rpcAddress = '';
  httpAddress = '';

  constructor(readiness: Readiness, clientPort: ClientPort, httpPort: HttpPort) {
    this.#readiness = readiness;
    this.#clientPort = clientPort;
    this.#httpPort = httpPort;
  }

  async listen(): Promise<void> {
    this.rpcAddress = formatAddress(await this.#clientPort.listen());
    this.httpAddress = formatAddress(await this.#httpPort.listen());
  }

  /** Both let what is under way finish, then close. */
  async drain(timeoutMs: number): Promise<void> {
    this.#readiness.drain();
    await Promise.all([this.#clientPort.drain(timeoutMs), this.#httpPort.drain(timeoutMs)]);
    await this.close();
  }

  async close(): Promise<void> {
    await Promise.all([this.#clientPort.close(), this.#httpPort.close()]);
  }
}
