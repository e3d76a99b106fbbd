// A KvNode in memory for tests of the transports: keeps the rules that callers can see (versions, conditions, limits,
// deadlines), answers writes a turn later, and lets a test hold them back or take the node down.
import type { Clock } from 'nori-io';
import { LIMITS } from 'norikv-protocol';
import { NodeError } from '../../../src/domain/node-error.js';
import type {
  ClusterSnapshot,
  KvNode,
  NodeStatus,
  ReadConsistency,
  ResultSink,
  ScanPage,
  ScanQuery,
  WriteRequest,
} from '../../../src/ports/kv.js';

interface Stored {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly index: number;
}

const TERM = 1;

const nameOf = (key: Uint8Array): string => Buffer.from(key).toString('latin1');

export class MemoryNode implements KvNode {
  readonly #clock: Clock;
  readonly #stored = new Map<string, Stored>();
  readonly #listeners = new Set<() => void>();
  #held: WriteRequest[] = [];
  #index = 0;
  #epoch = 1;
  /** True: writes wait for {@link release}. */
  holding = false;
  ready = true;
  readonly consistencies: ReadConsistency[] = [];
  readonly deadlines: number[] = [];
  /** Writes that came, whatever became of them. */
  readonly writes: WriteRequest[] = [];
  readonly scans: ScanQuery[] = [];
  flushes = 0;
  /** Answers every get with this error while set. */
  failure: NodeError | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#stored.size;
  }

  get heldWrites(): number {
    return this.#held.length;
  }

  get clusterListeners(): number {
    return this.#listeners.size;
  }

  /** Answers the writes held back. */
  release(): void {
    const held = this.#held;
    this.#held = [];
    this.holding = false;
    for (const request of held) this.#apply(request);
  }

  /** Publishes a new view of the cluster. */
  changeCluster(): void {
    this.#epoch++;
    for (const listener of this.#listeners) listener();
  }

  get(key: Uint8Array, consistency: ReadConsistency, deadlineMs: number, sink: ResultSink, tag: number): void {
    this.consistencies.push(consistency);
    this.deadlines.push(deadlineMs);
    const wrong = this.failure ?? keyError(key);
    if (wrong !== undefined) {
      sink.failed(tag, wrong);
      return;
    }
    const stored = this.#stored.get(nameOf(key));
    if (stored === undefined) sink.absent(tag);
    else sink.value(tag, stored.value, TERM, stored.index);
  }

  write(request: WriteRequest): void {
    this.writes.push(request);
    if (this.holding) this.#held.push(request);
    else this.#clock.nextTurn(() => this.#apply(request));
  }

  #apply({ operations, cancelled, deadlineMs, sink }: WriteRequest): void {
    const refused = cancelled
      ? new NodeError('CANCELLED', 'The caller cancelled the write before it was started')
      : this.#clock.monotonic() > deadlineMs
        ? new NodeError('DEADLINE_EXCEEDED', 'The deadline passed before the write was started')
        : operations.map((operation) => this.#refusal(operation)).find((error) => error !== undefined);
    if (refused !== undefined) {
      for (const { tag } of operations) sink.failed(tag, refused);
      return;
    }
    const index = ++this.#index;
    for (const { kind, key, value, tag } of operations) {
      const existed = kind === 'put' || this.#stored.has(nameOf(key));
      if (kind === 'put') this.#stored.set(nameOf(key), { key: key.slice(), value: value.slice(), index });
      else this.#stored.delete(nameOf(key));
      sink.written(tag, TERM, index, existed);
    }
  }

  #refusal(operation: WriteRequest['operations'][number]): NodeError | undefined {
    const { key, value, ifAbsent, ifVersion } = operation;
    const wrong = keyError(key);
    if (wrong !== undefined) return wrong;
    if (value.length > LIMITS.valueBytesMax) {
      return new NodeError('INVALID_ARGUMENT', `value has ${value.length} bytes: the limit is ${LIMITS.valueBytesMax}`);
    }
    const stored = this.#stored.get(nameOf(key));
    const current = stored && { term: TERM, index: stored.index };
    if (ifAbsent && current !== undefined) return new NodeError('ALREADY_EXISTS', 'The key exists', { current });
    if (ifVersion !== undefined && (current?.index !== ifVersion.index || ifVersion.term !== TERM)) {
      return new NodeError('VERSION_MISMATCH', 'The key has another version', { current });
    }
    return undefined;
  }

  async scan(query: ScanQuery): Promise<ScanPage> {
    this.scans.push(query);
    const prefix = nameOf(query.prefix);
    const from = nameOf(query.token);
    const names = [...this.#stored.keys()].filter((name) => name.startsWith(prefix) && name >= from).sort();
    const limit = query.limit || LIMITS.scanLimitDefault;
    const page = names.slice(0, limit);
    return {
      entries: page.map((name) => {
        const { key, value, index } = this.#stored.get(name)!;
        return { key, value, version: { term: TERM, index } };
      }),
      nextToken: new Uint8Array(Buffer.from(names[limit] ?? '', 'latin1')),
    };
  }

  status(): NodeStatus {
    return {
      nodeId: 'node-1',
      version: '0.1.0',
      uptimeMs: 1234.5,
      ready: this.ready,
      reasons: this.ready ? [] : ['The log is being read'],
      clusterId: new Uint8Array(16).fill(7),
      shardCount: 1024,
      activeShards: 3,
      storage: {
        memtableBytes: 100,
        memtables: 1,
        tableBytes: 2000,
        levelTables: [1, 2],
        levelBytes: [500, 1500],
        blockCacheBytes: 300,
      },
      log: { segments: 1, bytes: 4096 },
    };
  }

  cluster(): ClusterSnapshot {
    return {
      clusterId: new Uint8Array(16).fill(7),
      epoch: this.#epoch,
      revision: this.#epoch,
      shardCount: 4,
      replicationFactor: 1,
      nodes: [{ nodeId: 'node-1', state: 'alive', version: '0.1.0', httpAddress: '127.0.0.1:8080' }],
      stores: [{ nodeId: 'node-1', store: 0, address: '127.0.0.1:7447' }],
      shardLeaders: [1, 1, 1, 1],
      shardTerms: [],
      replicaCounts: [],
      replicas: [],
    };
  }

  onClusterChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async flush(): Promise<void> {
    this.flushes++;
  }
}

const keyError = (key: Uint8Array): NodeError | undefined =>
  key.length >= LIMITS.keyBytesMin && key.length <= LIMITS.keyBytesMax
    ? undefined
    : new NodeError('INVALID_ARGUMENT', `key has ${key.length} bytes: allowed are 1 to ${LIMITS.keyBytesMax}`);
