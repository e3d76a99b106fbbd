// The parts of a page that other nodes have. Every node that can be asked is asked at once for what it leads of the shards that are
// still open: nobody has to know who leads what, and who has just been elected is found as fast as who has led for long. What stays
// open (a leader has died, or does not answer) is asked for again, of all who do not have a question already, this node included.
import { asNodeError, NodeError } from '../domain/node-error.js';
import { groupOfShard } from '../domain/placement.js';
import {
  decodePartAnswer,
  encodePartRequest,
  type PartAnswer,
  type PartRequest,
  ShardSet,
} from '../domain/scan-part.js';
import type { ScanQuery } from '../ports/kv.js';
import type { StoredValue } from '../ports/storage.js';
import type { ScanContext } from './scan.js';
import type { ScanCoverage } from './scan-coverage.js';
import type { RunItem, ScanRun } from './scan-heap.js';
import { readPart } from './scan-part.js';

/** Two elections: who can be elected has been by then, and the caller may have more luck with another node. */
const PATIENCE_MS = 4_000;
/** How long a node may take for its part. */
const PART_TIMEOUT_MS = 1_000;
const ROUND_MIN_MS = 25;
const ROUND_MAX_MS = 200;
const RETRY_AFTER_MS = 50;

/** What is asked of each node, but for the shards. */
export type PartQuestion = Omit<PartRequest, 'shards' | 'timeoutMs'>;

export class ScanGathering {
  readonly #runs: ScanRun[] = [];
  readonly #context: ScanContext;
  readonly #query: ScanQuery;
  readonly #question: PartQuestion;
  readonly #coverage: ScanCoverage;
  /** Nodes that have a question, this one included. */
  readonly #asked = new Set<string>();
  readonly #giveUpMs: number;
  #lastError: NodeError | undefined;
  #round = 0;
  #done = false;
  #wake: () => void = () => {};

  constructor(context: ScanContext, query: ScanQuery, question: PartQuestion, coverage: ScanCoverage) {
    this.#context = context;
    this.#query = query;
    this.#question = question;
    this.#coverage = coverage;
    this.#giveUpMs = Math.min(query.deadlineMs, context.clock.monotonic() + PATIENCE_MS);
  }

  /** Asks all that can be asked for what is open. @param but shards that are not to be asked for */
  ask(but: readonly number[] = []): void {
    const { peers, router } = this.#context;
    if (this.#coverage.openCount <= but.length) return;
    const open = ShardSet.ofSize(router.shardCount);
    open.bits.set(this.#coverage.open.bits);
    for (const shard of but) open.delete(shard);
    const isStale = this.#question.consistency === 'stale_ok';
    const nodes = peers.reachable().filter((nodeId) => !this.#asked.has(nodeId));
    const chosen = isStale ? this.#hosts(nodes, open) : new Map(nodes.map((nodeId) => [nodeId, open]));
    for (const [nodeId, shards] of chosen) this.#askNode(nodeId, shards);
    this.#round++;
  }

  /** One node with a replica for each open shard: another one each time. */
  #hosts(nodes: readonly string[], open: ShardSet): ReadonlyMap<string, ShardSet> {
    const { peers, router } = this.#context;
    const chosen = new Map<string, ShardSet>();
    for (const shard of open) {
      const hosts = peers.hostsOf(shard).filter((nodeId) => nodes.includes(nodeId));
      const nodeId = hosts[this.#round % Math.max(1, hosts.length)];
      if (nodeId === undefined) continue;
      let shards = chosen.get(nodeId);
      if (shards === undefined) {
        shards = ShardSet.ofSize(router.shardCount);
        chosen.set(nodeId, shards);
      }
      shards.add(shard);
    }
    return chosen;
  }

  #askNode(nodeId: string, shards: ShardSet): void {
    const { peers, clock } = this.#context;
    const timeoutMs = Math.ceil(Math.min(PART_TIMEOUT_MS, this.#giveUpMs - clock.monotonic()));
    if (timeoutMs <= 0) return;
    const request = encodePartRequest({ ...this.#question, shards, timeoutMs });
    this.#track(nodeId, peers.scanPart(nodeId, request, timeoutMs).then(decodePartAnswer));
  }

  /** This node may lead by now what it did not lead at first. */
  #askItself(): void {
    const { peers, router } = this.#context;
    if (this.#asked.has(peers.nodeId)) return;
    const shards = ShardSet.ofSize(router.shardCount);
    for (const shard of this.#coverage.open) shards.add(shard);
    this.#track(peers.nodeId, readPart({ ...this.#question, shards, timeoutMs: PART_TIMEOUT_MS }, this.#context));
  }

  #track(nodeId: string, answer: Promise<PartAnswer>): void {
    this.#asked.add(nodeId);
    answer.then(
      (part) => {
        this.#asked.delete(nodeId);
        if (!this.#done) this.#take(nodeId, part);
        if (this.#coverage.openCount === 0) this.#wake();
      },
      (error: unknown) => {
        this.#asked.delete(nodeId);
        this.#lastError = asNodeError(error);
      },
    );
  }

  #take(nodeId: string, { served, blank, resume, entries }: PartAnswer): void {
    for (const shard of blank) this.#coverage.blank(shard, nodeId);
    const taken = ShardSet.ofSize(this.#context.router.shardCount);
    let count = 0;
    let isWhole = true;
    for (const shard of served) {
      if (this.#coverage.serve(shard)) {
        taken.add(shard);
        count++;
      } else isWhole = false;
    }
    if (count === 0) return;
    const { router } = this.#context;
    const items: RunItem[] = [];
    for (const { key, value, version } of entries) {
      // Of a shard that changed its leader meanwhile, what came first counts: two states of it must not be mixed.
      if (!isWhole && !taken.has(router.groupOf(key) - groupOfShard(0))) continue;
      items.push({ key, stored: { value, term: version.term, index: version.index, expiresAtMs: 0 } });
    }
    if (resume !== undefined) items.push({ key: resume, stored: undefined });
    this.#runs.push(new PartRun(items, resume === undefined));
  }

  noteFailure(error: NodeError): void {
    this.#lastError = error;
  }

  /** What comes from now on is of no use any more. */
  close(): void {
    this.#done = true;
  }

  /** Resolves with what other nodes have read when all shards are settled. @throws NodeError `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `CANCELLED` */
  async finish(): Promise<readonly ScanRun[]> {
    for (let waitMs = ROUND_MIN_MS; this.#coverage.openCount > 0; waitMs = Math.min(2 * waitMs, ROUND_MAX_MS)) {
      await this.#wait(waitMs);
      if (this.#coverage.openCount === 0) break;
      if (this.#query.signal?.aborted === true) throw new NodeError('CANCELLED', 'The scan was cancelled.');
      if (this.#context.clock.monotonic() >= this.#giveUpMs) throw this.#failure();
      this.ask();
      this.#askItself();
    }
    return this.#runs;
  }

  #wait(ms: number): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#query;
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        signal?.removeEventListener('abort', done);
        this.#wake = () => {};
        resolve();
      };
      const timer = clock.setTimer(Math.max(1, Math.min(ms, this.#giveUpMs - clock.monotonic())), done);
      signal?.addEventListener('abort', done);
      this.#wake = done;
    });
  }

  #failure(): NodeError {
    const count = this.#coverage.openCount;
    const [first] = this.#coverage.open;
    const silent = [...this.#asked].filter((nodeId) => nodeId !== this.#context.peers.nodeId);
    const why =
      silent.length > 0 ? `no answer from ${silent.join(', ')}` : (this.#lastError?.message ?? 'nobody leads them');
    const which = `${count} of the shards, shard ${first} among them, could not be read in time: ${why}`;
    const options = this.#lastError === undefined ? {} : { cause: this.#lastError };
    return this.#context.clock.monotonic() >= this.#query.deadlineMs
      ? new NodeError('DEADLINE_EXCEEDED', `The deadline passed before the page was complete: ${which}.`, options)
      : new NodeError('UNAVAILABLE', `${which}. Try again when more nodes are up.`, {
          ...options,
          retryAfterMs: RETRY_AFTER_MS,
        });
  }
}

/** What another node has read. Nothing more of it can be had than that: the page ends where it does. */
class PartRun implements ScanRun {
  readonly items: readonly RunItem[];
  readonly exhausted: boolean;
  at = 0;

  constructor(items: readonly RunItem[], exhausted: boolean) {
    this.items = items;
    this.exhausted = exhausted;
  }

  current(): StoredValue | undefined {
    return undefined;
  }

  refill(): boolean {
    return false;
  }
}
