// Nodes of MultiRaft in one process: the real log on a file system in memory, frames over a network in memory, virtual time.
import { MemoryFileSystem } from 'nori-io/memory';
import {
  type Entry,
  type GroupOptions,
  type Mark,
  MemoryNodeNetwork,
  MultiRaft,
  type MultiRaftOptions,
  type RaftEvent,
  type RaftGroup,
  type SnapshotSource,
  type StagedSnapshot,
  type StateMachine,
} from 'nori-raft';
import { WalStorage } from 'nori-raft/wal-storage';
import { Rng, VirtualClock } from 'nori-testkit';

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (data: Uint8Array): string => new TextDecoder().decode(data);

/** A list of what was applied. Its "disk" is {@link ListMachine.disk}, which outlives it. */
export class ListMachine implements StateMachine<number> {
  list: string[];
  mark: Mark;
  /** Bytes of a snapshot's chunk. */
  chunkBytes = 1000;
  installs = 0;
  /** What was made durable. */
  readonly disk: { list: string[]; mark: Mark };
  /** Keeps entries from being applied while it is set. */
  gate: Promise<void> | undefined;

  constructor(disk: { list: string[]; mark: Mark }) {
    this.disk = disk;
    this.list = [...disk.list];
    this.mark = disk.mark;
  }

  apply(entries: readonly Entry[]): readonly number[] | Promise<readonly number[]> {
    const run = () => entries.map(({ data }) => this.list.push(decode(data)));
    return this.gate === undefined ? run() : this.gate.then(run);
  }

  applied(mark: Mark): void {
    this.mark = mark;
  }

  /** Makes everything that is applied durable, so that the log may go. */
  flush(): void {
    this.disk.list = [...this.list];
    this.disk.mark = this.mark;
  }

  durableIndex(): number {
    return this.disk.mark.index;
  }

  snapshot(): SnapshotSource {
    const content = bytes(JSON.stringify(this.list));
    const { chunkBytes } = this;
    return {
      ...this.mark,
      async *read(offset: number) {
        for (let at = offset; at < content.length; at += chunkBytes) yield content.subarray(at, at + chunkBytes);
      },
      release: () => {},
    };
  }

  async stage(mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk.slice());
    return {
      install: async () => {
        this.installs++;
        this.list = JSON.parse(decode(Buffer.concat(parts)));
        this.mark = mark;
        this.flush();
      },
      discard: async () => {},
    };
  }
}

export class TestNode {
  readonly events: RaftEvent[] = [];
  readonly machines = new Map<number, ListMachine>();
  readonly unknownGroups: number[] = [];
  multi!: MultiRaft;
  fs = new MemoryFileSystem();
  readonly #disks = new Map<number, { list: string[]; mark: Mark }>();

  constructor(
    readonly cluster: MultiCluster,
    readonly number: number,
  ) {}

  get id(): string {
    return `n${this.number}`;
  }

  async open(options: Partial<MultiRaftOptions> = {}): Promise<void> {
    const { clock, network, rng } = this.cluster;
    const random = () => rng.next();
    const storage = await WalStorage.open({
      ...{ dir: '/raft', nodeId: this.id, clusterId: 'c', fs: this.fs, clock, random, segmentBytesMax: 65_536 },
    });
    this.multi = await MultiRaft.open({
      ...{ nodeId: this.id, clock, storage, random, transport: network.transport(this.id) },
      onEvent: (event) => this.events.push(event),
      onUnknownGroup: (groupId) => this.unknownGroups.push(groupId),
      ...this.cluster.options,
      ...options,
    });
  }

  create(groupId: number, options: Partial<GroupOptions<number>> = {}): Promise<RaftGroup<number>> {
    let disk = this.#disks.get(groupId);
    if (disk === undefined) {
      disk = { list: [], mark: { term: 1, index: 1, config: this.cluster.config } };
      if (options.bootstrap === false) {
        const config = { ...this.cluster.config, voters: [] };
        disk.mark = { term: 0, index: 0, config };
      }
      this.#disks.set(groupId, disk);
    }
    const stateMachine = new ListMachine(disk);
    this.machines.set(groupId, stateMachine);
    const { peers } = this.cluster;
    return this.multi.createGroup({
      ...{ groupId, replicaId: this.number, stateMachine, peers, bootstrap: true },
      ...options,
    });
  }

  /** What a removed replica's state machine had made durable is dropped. */
  forget(groupId: number): void {
    this.#disks.delete(groupId);
  }

  group(groupId: number): RaftGroup<number> {
    return this.multi.group(groupId) as RaftGroup<number>;
  }

  machine(groupId: number): ListMachine {
    return this.machines.get(groupId)!;
  }

  /** The disk ends no sync until the function that is returned is called. */
  stallDisk(): () => void {
    const { fs } = this;
    let release!: () => void;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    fs.onOperation = ({ kind }) => (kind === 'datasync' ? held : undefined);
    return () => {
      fs.onOperation = undefined;
      release();
    };
  }

  /** Writes find no space until the function that is returned is called. */
  fillDisk(): () => void {
    const fault = this.fs.inject({ on: 'write', code: 'IO_NO_SPACE', times: Number.POSITIVE_INFINITY });
    return () => fault.remove();
  }

  /** Ends without a word, as by SIGKILL; what was not synced is lost with `power`. */
  async kill({ power = false } = {}): Promise<void> {
    const fs = power ? this.fs.crash(this.cluster.rng) : this.fs.kill();
    this.cluster.network.transport(this.id);
    const { multi } = this;
    this.fs = fs;
    await multi.close().catch(() => {});
  }
}

export class MultiCluster {
  readonly clock = new VirtualClock();
  readonly rng: Rng;
  readonly nodes: TestNode[] = [];
  readonly network: MemoryNodeNetwork;
  readonly peers: Map<number, string>;
  readonly config;

  private constructor(
    size: number,
    readonly options: Partial<MultiRaftOptions>,
    seed: number,
  ) {
    this.rng = new Rng(seed);
    this.network = new MemoryNodeNetwork({ schedule: (deliver) => this.clock.setTimer(0.1, deliver) });
    const ids = Array.from({ length: size }, (_, i) => i + 1);
    this.peers = new Map(ids.map((id) => [id, `n${id}`]));
    this.config = { voters: ids, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  }

  /** Nodes n1, n2, ... with `groups` groups 0, 1, ...; replica ids are the nodes' numbers. */
  static async start({
    size = 3,
    groups = 1,
    seed = 1,
    preferred = true,
    ...options
  }: {
    readonly size?: number;
    readonly groups?: number;
    readonly seed?: number;
    /** Whether group g prefers to be led by node (g % size) + 1. */
    readonly preferred?: boolean;
  } & Partial<MultiRaftOptions> = {}): Promise<MultiCluster> {
    const cluster = new MultiCluster(size, options, seed);
    for (let i = 1; i <= size; i++) cluster.nodes.push(new TestNode(cluster, i));
    for (const node of cluster.nodes) {
      const opening = node.open();
      await cluster.run(1);
      await opening;
    }
    const creating: Promise<unknown>[] = [];
    for (const node of cluster.nodes) {
      for (let g = 0; g < groups; g++) {
        creating.push(node.create(g, preferred ? { preferredLeader: (g % size) + 1 } : {}));
      }
    }
    await cluster.run(10);
    await Promise.all(creating);
    return cluster;
  }

  node(number: number): TestNode {
    return this.nodes[number - 1]!;
  }

  run(ms: number): Promise<void> {
    return this.clock.advanceAsync(ms);
  }

  /** Runs until `done`, at most `ms`. */
  async until(done: () => boolean, ms = 10_000): Promise<void> {
    for (let spent = 0; !done(); spent += 5) {
      if (spent >= ms) throw new Error(`Not done within ${ms} ms.`);
      await this.run(5);
    }
  }

  /** Runs until a promise is settled, and is as it is. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    const outcome = outcomeOf(promise);
    await this.until(() => outcome.settled);
    return promise;
  }

  leader(groupId: number): TestNode | undefined {
    return this.nodes.find(({ multi }) => multi.group(groupId)?.role === 'leader');
  }

  async close(): Promise<void> {
    const closing = Promise.all(this.nodes.map(({ multi }) => multi.close()));
    await this.run(100);
    await closing;
  }
}

/** What a promise comes to, without waiting for it. */
export function outcomeOf<T>(promise: Promise<T>): { value?: T; code?: string; error?: unknown; settled: boolean } {
  const outcome: { value?: T; code?: string; error?: unknown; settled: boolean } = { settled: false };
  promise.then(
    (value) => Object.assign(outcome, { value, settled: true }),
    (error) => Object.assign(outcome, { error, code: error?.code, settled: true }),
  );
  return outcome;
}
