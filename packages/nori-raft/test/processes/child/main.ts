// A node process of the tests: MultiRaft over TCP, its log on the real disk, a replicated map in each group. Ends with its
// parent.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFileSystem } from 'nori-io';
import { type DriverClock, encodeRequest, exactlyOnce, MultiRaft, type Outcome, type RaftGroup } from 'nori-raft';
import { TcpTransport } from 'nori-raft/tcp-transport';
import { systemClock, WalStorage } from 'nori-raft/wal-storage';
import {
  type Command,
  EXIT_NOT_STARTED,
  EXIT_STORAGE_FAILED,
  type NodeOptions,
  type NodeState,
  type Request,
  type Response,
} from '../protocol.js';
import { FaultyDisk } from './faulty-disk.js';
import { StoredMap } from './stored-map.js';

/** How often maps are written to their files. */
const FLUSH_INTERVAL_MS = 400;

const RESULTS = {
  encodeResult: (written: boolean) => Uint8Array.of(written ? 1 : 0),
  decodeResult: (bytes: Uint8Array) => bytes[0] === 1,
};

/** A clock that runs at its own rate. */
function clockAt(rate: number): DriverClock {
  const [wallMs, monotonicMs] = [systemClock.now(), systemClock.monotonic()];
  return {
    now: () => Math.floor(wallMs + (systemClock.now() - wallMs) * rate),
    monotonic: () => (systemClock.monotonic() - monotonicMs) * rate,
    setTimer: (delayMs, fn, options) => systemClock.setTimer(delayMs / rate, fn, options),
    nextTurn: (fn) => systemClock.nextTurn(fn),
  };
}

class Node {
  readonly #options: NodeOptions;
  readonly #disk: FaultyDisk;
  readonly #raft: MultiRaft;
  readonly #transport: TcpTransport;
  readonly #groups: RaftGroup<Outcome<boolean>>[] = [];
  readonly #maps: StoredMap[] = [];
  readonly #counts: { leaseReads: number; indexReads: number; snapshotsInstalled: number };

  private constructor(
    options: NodeOptions,
    parts: { disk: FaultyDisk; raft: MultiRaft; transport: TcpTransport; counts: { snapshotsInstalled: number } },
  ) {
    this.#options = options;
    this.#disk = parts.disk;
    this.#raft = parts.raft;
    this.#transport = parts.transport;
    this.#counts = Object.assign(parts.counts, { leaseReads: 0, indexReads: 0 });
  }

  static async start(options: NodeOptions): Promise<Node> {
    const { number, dir, clusterId, heartbeatMs, electionTimeoutMs } = options;
    const nodeId = `n${number}`;
    const random = Math.random;
    const clock = clockAt(options.clockRate);
    const disk = new FaultyDisk();
    mkdirSync(dir, { recursive: true });
    const storage = await WalStorage.open({
      ...{ dir: join(dir, 'log'), nodeId, clusterId, random, segmentBytesMax: 256 * 1024 },
      fs: disk.wrap(nodeFileSystem),
    });
    const transport = new TcpTransport({
      ...{ nodeId, clusterId, incarnation: storage.incarnation, listen: '127.0.0.1:0', clock, random },
      ...{ retryDelayMinMs: 20, retryDelayMaxMs: 200, lifeIntervalMs: 500 },
    });
    transport.setPeers(new Map(Object.entries(options.peers)));
    const counts = { snapshotsInstalled: 0 };
    const raft = await MultiRaft.open({
      ...{ nodeId, clock, random, storage, transport, heartbeatMs, electionTimeoutMs, snapshotChunkBytes: 2048 },
      onEvent: ({ type }) => {
        if (type === 'raft.snapshot_installed') counts.snapshotsInstalled++;
      },
    });
    void raft.failed.then((error) => {
      console.error(error.message);
      process.exit(EXIT_STORAGE_FAILED);
    });
    const node = new Node(options, { disk, raft, transport, counts });
    for (let groupId = 0; groupId < options.groups; groupId++) await node.#createGroup(groupId);
    setInterval(() => node.#flush(), FLUSH_INTERVAL_MS);
    return node;
  }

  get address(): string {
    return this.#transport.address;
  }

  async #createGroup(groupId: number): Promise<void> {
    const { dir, number, config } = this.#options;
    const map = new StoredMap(join(dir, `group-${groupId}.json`), config);
    const peers = new Map(config.voters.map((id) => [id, `n${id}`]));
    this.#maps[groupId] = map;
    this.#groups[groupId] = await this.#raft.createGroup({
      ...{ groupId, replicaId: number, peers, bootstrap: true, preferredLeader: (groupId % 3) + 1 },
      stateMachine: exactlyOnce(map, RESULTS),
    });
  }

  #flush(): void {
    for (const map of this.#maps) map.flush();
  }

  async answer(command: Command): Promise<unknown> {
    switch (command.f) {
      case 'write':
        return this.#write(command);
      case 'read':
        return this.#read(command);
      case 'disk':
        this.#disk.mode = command.mode;
        return null;
      case 'transfer':
        this.#groups[command.group]!.transferLeader(command.to);
        return null;
      case 'state':
        return this.#state();
    }
  }

  async #write({ group, identity, command, timeoutMs }: Command & { f: 'write' }): Promise<Outcome<boolean>> {
    const clientId = new Uint8Array(Buffer.from(identity.clientId, 'hex'));
    const payload = new TextEncoder().encode(JSON.stringify(command));
    const data = encodeRequest({ ...identity, clientId, timeMs: Date.now() }, payload);
    const proposal = this.#groups[group]!.propose(data, { timeoutMs });
    if (this.#options.bug === 'acknowledge-before-write' && this.#groups[group]!.role === 'leader') {
      proposal.catch(() => {});
      return { status: 'applied', result: true };
    }
    return (await proposal).result;
  }

  async #read({ group: groupId, key, how, timeoutMs }: Command & { f: 'read' }): Promise<string | null> {
    const group = this.#groups[groupId]!;
    const get = () => this.#maps[groupId]!.values.get(key) ?? null;
    if (this.#options.bug === 'read-without-check') return get();
    if (how === 'lease') {
      const read = group.leaseRead(get);
      if (read !== undefined) {
        this.#counts.leaseReads++;
        return read.value;
      }
    }
    await group.read({ timeoutMs });
    this.#counts.indexReads++;
    return get();
  }

  #state(): NodeState {
    const { unknownGroupMessages, framesRefused } = this.#raft.stats();
    return {
      ...this.#counts,
      ...{ unknownGroupMessages, framesRefused, refusals: this.#transport.counters.refusals },
      leading: this.#groups.filter(({ role }) => role === 'leader').map(({ groupId }) => groupId),
      summary: JSON.stringify({
        ...{ counts: this.#counts, stats: this.#raft.stats(), stalledMs: this.#raft.options.storage.stalledMs() },
        transport: this.#transport.counters,
        groups: this.#groups.map((group) => ({ ...group.status(), hasLease: group.leaseRead(() => true) })),
      }),
      maps: this.#maps.map(({ values }) => JSON.stringify([...values].sort(([a], [b]) => (a < b ? -1 : 1)))),
    };
  }
}

const tell = (message: Response | { ready: string }): void => {
  // Without a parent there is nobody to answer to.
  process.send?.(message, () => {});
};

process.on('disconnect', () => process.exit());
try {
  const node = await Node.start(JSON.parse(process.argv[2]!) as NodeOptions);
  process.on('message', ({ id, ...command }: Request) => {
    node.answer(command as Command).then(
      (value) => tell({ id, value }),
      (error: { code?: string; message: string; leader?: number }) => {
        const { code = 'UNEXPECTED', message, leader = 0 } = error;
        tell({ id, failure: { code, message, leader } });
      },
    );
  });
  tell({ ready: node.address });
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  console.error(`${code}: ${message}`);
  process.exitCode = EXIT_NOT_STARTED;
  process.disconnect?.();
}
