// The composition root: the only file that knows which adapter serves which port. Builds the store from log and storage,
// the service from the store, the transports around the service, and takes them down in the opposite order.
import { randomBytes as systemRandomBytes } from 'node:crypto';
import { type Clock, type FileSystem, nodeFileSystem, systemClock } from 'nori-io';
import type { TaskExecutor } from 'nori-lsm';
import { type Meter, MetricRegistry } from 'nori-observe';
import { collectProcessMetrics } from 'nori-observe/process';
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from 'nori-observe/prometheus';
import { WalStorage } from 'nori-raft/wal-storage';
import { loadKeyHasher } from 'norikv-protocol';
import { version as VERSION } from '../package.json';
import { Ballast } from './adapters/ballast.js';
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
import { formatAddress, type NodeConfig } from './config/index.js';
import { AlonePlacement } from './core/alone-placement.js';
import { KvService } from './core/kv-service.js';
import { Router } from './core/router.js';
import { Store } from './core/store.js';
import { hexToBytes } from './domain/hex.js';
import { GROUP_COUNT_MAX, SHARD_COUNT } from './domain/placement.js';
import { StartupError } from './domain/startup-error.js';
import type { ClusterSnapshot, NodeStatus } from './ports/kv.js';
import type { Logger } from './ports/logger.js';
import type { ReplayReport } from './ports/replicated-log.js';

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

/** A store, and what its start found. */
export interface OpenedStore {
  readonly store: Store;
  readonly log: RaftLog;
  readonly report: ReplayReport;
}

/** Builds a store: the log first, since a damaged one must stop the start before anything else is touched. */
export const openStore = async (settings: StoreSettings, environment: StoreEnvironment): Promise<OpenedStore> => {
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
    transport: noPeers(nodeId),
    placement: new AlonePlacement(nodeId),
    clock,
    random,
    meter,
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
 * Starts a node: data directory, log and tables, then the ports.
 * @throws StartupError, ListenError: one line for the operator; what was opened is closed again
 */
export const startNode = async (config: NodeConfig, dependencies: NodeDependencies): Promise<RunningNode> => {
  const {
    logger,
    fs = nodeFileSystem,
    clock = systemClock,
    randomBytes = systemRandomBytes,
    random = Math.random,
  } = dependencies;
  const undo: (() => Promise<unknown>)[] = [];
  const registry = new MetricRegistry();
  const events = new EventHub();
  const meter = events.tap(registry);
  try {
    const dataDir = await openDataDir({
      fs,
      dir: config.dataDir,
      nodeId: config.nodeId,
      nowMs: clock.now(),
      randomBytes,
    });
    undo.push(() => dataDir.lock.release());
    const opened = await openNodeStore(
      config,
      dataDir,
      { fs, clock, meter, random, executor: dependencies.executor },
      logger,
    );
    const { store, log } = opened;
    undo.push(() => store.close({ flush: false }));
    const node = await new NodeParts(config, dataDir, opened, { clock, meter, registry, events, logger }).listen(undo);
    const stopProcessMetrics = collectProcessMetrics(registry);
    meter.event({ type: 'node.ready', atMs: clock.now(), nodeId: config.nodeId });
    let stopping: Promise<void> | undefined;
    return {
      nodeId: config.nodeId,
      rpcAddress: node.rpcAddress,
      httpAddress: node.httpAddress,
      failed: log.failed,
      stop: () => {
        stopping ??= (async () => {
          meter.event({ type: 'node.draining', atMs: clock.now(), nodeId: config.nodeId });
          stopProcessMetrics();
          await node.drain(config.drainTimeoutMs);
          const unflushed = await store.close({ flush: true });
          if (unflushed !== undefined) {
            logger.warn({ err: unflushed }, 'Memory was not written to tables; the next start replays the log instead');
          }
          await dataDir.lock.release();
        })();
        return stopping;
      },
    };
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw error;
  }
};

/** Opens the node's store and tells the operator what was found. */
const openNodeStore = async (
  config: NodeConfig,
  dataDir: DataDir,
  environment: StoreEnvironment,
  logger: Logger,
): Promise<OpenedStore> => {
  const dirs = await dataDir.store(0);
  let opened: OpenedStore;
  try {
    opened = await openStore(
      {
        nodeId: config.nodeId,
        clusterId: dataDir.identity.clusterId,
        raftDir: dirs.raft,
        tablesDir: dirs.tables,
        foundationLogDir: dirs.foundationLog,
        snapshotsDir: dirs.snapshots,
        memtableBytes: config.memtableBytes,
        blockCacheBytes: config.blockCacheBytes,
        logSegmentBytes: config.logSegmentBytes,
        ballastPath: dirs.ballast,
        ballastBytes: config.ballastBytes,
        fsync: config.fsync,
      },
      environment,
    );
  } catch (error) {
    throw asStartupError(config.dataDir, error);
  }
  const { groups, entriesReplayed, cut } = opened.report;
  if (cut !== undefined) {
    logger.warn(
      { ...cut },
      `The log ended in a torn record, as after a power loss: ${cut.bytes} bytes were cut from ${cut.file} at offset ${cut.offset}. Nothing acknowledged was lost`,
    );
  }
  logger.info({ groups, entriesReplayed, shards: opened.store.activeShards }, 'Opened the store');
  return opened;
};

/** Damage, locks and formats of log and tables, in the words of a start that is refused. */
const asStartupError = (dataDir: string, error: unknown): unknown => {
  const code = (error as { readonly code?: unknown }).code;
  if (!(error instanceof Error) || typeof code !== 'string') return error;
  if (code.includes('UNSUPPORTED_VERSION')) {
    return new StartupError('DATA_DIR_NEWER_FORMAT', error.message, { cause: error });
  }
  if (/CORRUPT|MISSING|NOT_A_/.test(code)) return new StartupError('DATA_CORRUPT', error.message, { cause: error });
  return new StartupError('DATA_DIR_NOT_WRITABLE', `${dataDir} cannot be used: ${error.message}`, { cause: error });
};

interface Surroundings {
  readonly clock: Clock;
  readonly meter: Meter;
  readonly registry: MetricRegistry;
  readonly events: EventHub;
  readonly logger: Logger;
}

/** The service and the transports of a node, around its store. */
class NodeParts {
  readonly #config: NodeConfig;
  readonly #dataDir: DataDir;
  readonly #opened: OpenedStore;
  readonly #surroundings: Surroundings;
  readonly #startedMs: number;
  rpcAddress = '';
  httpAddress = '';
  #readiness!: Readiness;
  #clientPort!: ClientPort;
  #httpPort!: HttpPort;

  constructor(config: NodeConfig, dataDir: DataDir, opened: OpenedStore, surroundings: Surroundings) {
    this.#config = config;
    this.#dataDir = dataDir;
    this.#opened = opened;
    this.#surroundings = surroundings;
    this.#startedMs = surroundings.clock.monotonic();
  }

  /** Opens both ports. What has to be closed if a later step fails is put on `undo`. */
  async listen(undo: (() => Promise<unknown>)[]): Promise<this> {
    const { clock, meter, registry, events, logger } = this.#surroundings;
    const { rpcAddr, httpAddr, allowedHosts } = this.#config;
    const { store } = this.#opened;
    const service = new KvService({
      router: new Router(await loadKeyHasher(), SHARD_COUNT, new Array<Store>(GROUP_COUNT_MAX).fill(store)),
      stores: [store],
      clock,
      status: () => this.#status(),
      cluster: () => this.#cluster(),
    });
    this.#readiness = new Readiness(service, clock);
    const metrics = new RequestMetrics(meter);
    const common = { node: service, clock, meter, logger, metrics, readiness: this.#readiness, allowedHosts };
    this.#clientPort = new ClientPort({ ...common, address: rpcAddr });
    this.#httpPort = new HttpPort({
      ...common,
      address: httpAddr,
      events,
      metricsPage: { contentType: PROMETHEUS_CONTENT_TYPE, render: () => renderPrometheus(registry) },
    });
    undo.push(() => this.#clientPort.close());
    this.rpcAddress = formatAddress(await this.#clientPort.listen());
    undo.push(() => this.#httpPort.close());
    this.httpAddress = formatAddress(await this.#httpPort.listen());
    return this;
  }

  /** Both ports let what is under way finish, then close. */
  async drain(timeoutMs: number): Promise<void> {
    this.#readiness.drain();
    await Promise.all([this.#clientPort.drain(timeoutMs), this.#httpPort.drain(timeoutMs)]);
    await Promise.all([this.#clientPort.close(), this.#httpPort.close()]);
  }

  #status(): NodeStatus {
    const { store, log } = this.#opened;
    const refusal = store.refusal;
    return {
      nodeId: this.#config.nodeId,
      version: VERSION,
      uptimeMs: Math.floor(this.#surroundings.clock.monotonic() - this.#startedMs),
      ready: refusal === undefined,
      reasons: refusal === undefined ? [] : [refusal],
      clusterId: hexToBytes(this.#dataDir.identity.clusterId),
      shardCount: SHARD_COUNT,
      activeShards: store.activeShards,
      storage: store.storage.stats(),
      log: log.stats(),
    };
  }

  /** A single node leads every shard, and never changes. */
  #cluster(): ClusterSnapshot {
    const { nodeId } = this.#config;
    return {
      clusterId: hexToBytes(this.#dataDir.identity.clusterId),
      epoch: 1,
      shardCount: SHARD_COUNT,
      replicationFactor: 1,
      nodes: [{ nodeId, state: 'alive', version: VERSION, httpAddress: this.httpAddress }],
      stores: [{ nodeId, store: 0, address: this.rpcAddress }],
      shardLeaders: new Array<number>(SHARD_COUNT).fill(1),
    };
  }
}
