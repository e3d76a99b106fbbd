// The node behind the driving port: checks what transports hand in, finds the shard, and lets the store do it.
import type { Clock } from 'nori-io';
import { LIMITS } from 'norikv-protocol';
import { asNodeError, NodeError } from '../domain/node-error.js';
import type {
  ClusterSnapshot,
  KvNode,
  NodeStatus,
  ReadConsistency,
  ResultSink,
  ScanPage,
  ScanQuery,
  WriteRequest,
} from '../ports/kv.js';
import type { ShardPeers } from '../ports/shard-peers.js';
import type { Router } from './router.js';
import { scanPage } from './scan.js';
import { hasReplica } from './scan-part.js';
import type { Store } from './store.js';
import { failRequest } from './turn.js';
import { identityProblem, keyProblem, operationProblem } from './validation.js';

/** What the service is made of. */
export interface KvServiceParts {
  readonly router: Router;
  readonly stores: readonly Store[];
  readonly clock: Clock;
  /** The nodes that share the shards with this one. */
  readonly peers: ShardPeers;
  readonly status: () => NodeStatus;
  readonly cluster: () => ClusterSnapshot;
}

/** {@link KvNode} over the stores of this node. */
export class KvService implements KvNode {
  readonly #router: Router;
  readonly #stores: readonly Store[];
  readonly #clock: Clock;
  readonly #parts: KvServiceParts;
  readonly #listeners = new Set<() => void>();

  constructor(parts: KvServiceParts) {
    this.#parts = parts;
    this.#router = parts.router;
    this.#stores = parts.stores;
    this.#clock = parts.clock;
  }

  get(key: Uint8Array, consistency: ReadConsistency, deadlineMs: number, sink: ResultSink, tag: number): void {
    const problem = keyProblem(key);
    if (problem !== undefined) {
      sink.failed(tag, problem);
      return;
    }
    if (deadlineMs !== Number.POSITIVE_INFINITY && deadlineMs <= this.#clock.monotonic()) {
      sink.failed(tag, new NodeError('DEADLINE_EXCEEDED', 'The deadline passed before the read was started.'));
      return;
    }
    const group = this.#router.groupOf(key);
    const store = this.#router.storeOf(group);
    if (consistency === 'stale_ok' && !hasReplica(group, store, this.#parts.peers)) {
      sink.failed(tag, store.notLeader(group));
      return;
    }
    store.get(group, key, consistency, deadlineMs, sink, tag);
  }

  write(request: WriteRequest): void {
    const group = this.#admit(request);
    if (group instanceof NodeError) failRequest(request, group);
    else this.#router.storeOf(group).write(group, request);
  }

  /** The group that a request goes to, or why it cannot go anywhere. */
  #admit(request: WriteRequest): number | NodeError {
    const { operations, identity } = request;
    if (identity !== undefined) {
      const problem = identityProblem(identity);
      if (problem !== undefined) return problem;
    }
    let group = -1;
    let bytes = 0;
    for (const operation of operations) {
      const problem = operationProblem(operation);
      if (problem !== undefined) return problem;
      bytes += operation.key.length + operation.value.length;
      const own = this.#router.groupOf(operation.key);
      if (group !== -1 && own !== group) {
        return new NodeError(
          'CROSS_SHARD',
          'An atomic batch must keep to one shard; give its keys one hash tag, as in {user:42}:name and {user:42}:mail.',
        );
      }
      group = own;
    }
    if (group === -1) return new NodeError('INVALID_ARGUMENT', 'A write needs at least one operation.');
    if (bytes > LIMITS.requestBytesMax) {
      return new NodeError(
        'INVALID_ARGUMENT',
        `The batch has ${bytes} bytes; the limit of a request is ${LIMITS.requestBytesMax}.`,
      );
    }
    return group;
  }

  async scan(query: ScanQuery): Promise<ScanPage> {
    try {
      return await scanPage(query, this.#parts);
    } catch (error) {
      throw asNodeError(error);
    }
  }

  status(): NodeStatus {
    return this.#parts.status();
  }

  cluster(): ClusterSnapshot {
    return this.#parts.cluster();
  }

  onClusterChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells everyone who watches that the cluster view has changed. */
  clusterChanged(): void {
    for (const listener of this.#listeners) listener();
  }

  async flush(): Promise<void> {
    try {
      for (const store of this.#stores) await store.flush();
    } catch (error) {
      throw asNodeError(error);
    }
  }
}
