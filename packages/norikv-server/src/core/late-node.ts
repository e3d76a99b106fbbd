// The node as transports see it before it belongs to a cluster: it lives, it says why it is not ready, and refuses the rest.
// Then it is the real one.
import { NodeError } from '../domain/node-error.js';
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
import { failRequest } from './turn.js';

const RETRY_AFTER_MS = 500;

export class LateNode implements KvNode {
  readonly #status: () => NodeStatus;
  readonly #cluster: () => ClusterSnapshot;
  readonly #listeners = new Set<() => void>();
  #node: KvNode | undefined;

  /** @param status of the node until it is there; @param cluster likewise */
  constructor(status: () => NodeStatus, cluster: () => ClusterSnapshot) {
    this.#status = status;
    this.#cluster = cluster;
  }

  /** From now on everything goes to `node`. */
  become(node: KvNode): void {
    this.#node = node;
    this.clusterChanged();
  }

  /** Tells everyone who watches that the cluster view has changed. */
  clusterChanged(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  get(key: Uint8Array, consistency: ReadConsistency, deadlineMs: number, sink: ResultSink, tag: number): void {
    if (this.#node === undefined) sink.failed(tag, starting());
    else this.#node.get(key, consistency, deadlineMs, sink, tag);
  }

  write(request: WriteRequest): void {
    if (this.#node === undefined) failRequest(request, starting());
    else this.#node.write(request);
  }

  scan(query: ScanQuery): Promise<ScanPage> {
    return this.#node === undefined ? Promise.reject(starting()) : this.#node.scan(query);
  }

  status(): NodeStatus {
    return this.#node === undefined ? this.#status() : this.#node.status();
  }

  cluster(): ClusterSnapshot {
    return this.#node === undefined ? this.#cluster() : this.#node.cluster();
  }

  onClusterChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  flush(): Promise<void> {
    return this.#node === undefined ? Promise.reject(starting()) : this.#node.flush();
  }
}

const starting = (): NodeError =>
  new NodeError(
    'UNAVAILABLE',
    'The node is starting and does not belong to a cluster yet. Try another node, or later.',
    {
      retryAfterMs: RETRY_AFTER_MS,
    },
  );
