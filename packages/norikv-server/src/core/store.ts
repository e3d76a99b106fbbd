// A store: one log, one storage, and the shards they carry. Writes are gathered, packed into a turn when the log takes
// one, and answered when they are durable and applied; reads are answered from applied state. Everything here runs
// on one event loop and never awaits between looking and acting.
import type { Clock, TimerHandle } from 'nori-io';
import type { Gauge, Meter } from 'nori-observe';
import { ByteReader } from '../domain/byte-reader.js';
import { decodeCommands } from '../domain/command.js';
import type { GroupConfig } from '../domain/group-config.js';
import { asNodeError, NodeError } from '../domain/node-error.js';
import { GROUP_COUNT_MAX } from '../domain/placement.js';
import type { ReadConsistency, ResultSink, WriteRequest } from '../ports/kv.js';
import type {
  EntryPosition,
  GroupPosition,
  GroupSnapshot,
  ReplayReport,
  ReplicatedLog,
  StagedGroup,
  StateMachine,
} from '../ports/replicated-log.js';
import type { Storage, StorageHooks, StoredValue } from '../ports/storage.js';
import { answer } from './answer.js';
import { Durability } from './durability.js';
import { Shard, type Verdict } from './shard.js';
import { receiveSnapshot, takeSnapshot } from './shard-snapshot.js';
import { failRequest, type PendingWrites, requestBytes, type TimeRequest, TurnPacker } from './turn.js';

/** Bytes of keys and values that may wait for the log; beyond it writes are refused. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;
/** Requests that may wait for the log. */
const PENDING_REQUESTS_MAX = 100_000;
/** A log longer than this is made shorter by flushing, however little is in memory. */
const LOG_BYTES_MAX = 512 * 1024 * 1024;
const MAINTENANCE_INTERVAL_MS = 1_000;
const RETRY_AFTER_MS = 50;

/** What a store is made of. */
export interface StoreParts {
  readonly log: ReplicatedLog;
  /** Opens the storage with the store's hooks. */
  readonly openStorage: (hooks: StorageHooks) => Promise<Storage>;
  readonly clock: Clock;
  readonly meter: Meter;
  /** Applies what an older version has left, before the log starts. Flushes, if there was any. */
  readonly adopt?: (machine: StateMachine, flush: () => Promise<void>) => Promise<void>;
}

const NO_SINK: ResultSink = { value() {}, absent() {}, written() {}, failed() {} };

/** One log, one storage, and their shards. */
export class Store implements StateMachine {
  readonly #log: ReplicatedLog;
  readonly #clock: Clock;
  readonly #meter: Meter;
  readonly #pendingGauge: Gauge;
  readonly #shards: (Shard | undefined)[] = new Array(GROUP_COUNT_MAX).fill(undefined);
  readonly #packer = new TurnPacker();
  readonly #pending: PendingWrites = new Map();
  /** Least time the next entry of a group may have. */
  readonly #proposedTimesMs = new Float64Array(GROUP_COUNT_MAX);
  readonly #durability: Durability;
  #storage!: Storage;
  #pendingRequests = 0;
  #pendingBytes = 0;
  #turnScheduled = false;
  #waitingForStorage = false;
  /** Why no write can be taken any more. */
  #ended: NodeError | undefined;
  /** Why no write can be done any more, accepted or not. */
  #failure: NodeError | undefined;
  /** Accepted writes that wait to know who leads their group. */
  #unsettled = 0;
  #drain: Promise<void> | undefined;
  #drained: (() => void) | undefined;
  #activeShards = 0;
  #maintenance: TimerHandle | undefined;
  /** Writes of time on their way. */
  readonly #timeRequests = new Set<TimeRequest>();

  private constructor(parts: StoreParts) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#meter = parts.meter;
    this.#durability = new Durability(this.#shards);
    this.#pendingGauge = parts.meter.gauge('kv_pending_writes', undefined, { help: 'Writes that wait for the log.' });
  }

  /**
   * Opens storage, restores the shards from their marks and replays the log.
   * @throws NodeError `CORRUPTION`, and what log and storage throw; the storage is closed again
   */
  static async open(parts: StoreParts): Promise<{ store: Store; report: ReplayReport }> {
    const store = new Store(parts);
    store.#storage = await parts.openStorage(store.#durability);
    try {
      store.#restore();
      await parts.adopt?.(store, () => store.flush());
      const report = await parts.log.start(store);
      store.#scheduleMaintenance();
      return { store, report };
    } catch (error) {
      await store.#storage.close().catch(() => {});
      throw error;
    }
  }

  #restore(): void {
    for (const [group, mark] of this.#storage.marks()) {
      let shard: Shard;
      try {
        shard = Shard.fromMark(group, mark);
      } catch (cause) {
        const message = `The mark of group ${group} cannot be understood: ${(cause as Error).message}. It was written by another version, or by a defect.`;
        throw new NodeError('CORRUPTION', message, { cause });
      }
      this.#shards[group] = shard;
      this.#activeShards++;
      this.#proposedTimesMs[group] = shard.timeMs;
      this.#durability.restored(shard);
    }
  }

  get storage(): Storage {
    return this.#storage;
  }

  /** Shards that have been written to. */
  get activeShards(): number {
    return this.#activeShards;
  }

  /** Why writes are refused now; undefined when they are not. */
  get refusal(): string | undefined {
    return this.#log.refusal?.message ?? this.#storage.refusal;
  }

  /** Whether anything of a group is here. */
  isActive(group: number): boolean {
    return this.#shards[group] !== undefined;
  }

  /** Whether nothing of a group ever was here: no replica that could have voted for a leader, and nothing stored. */
  isBlank(group: number): boolean {
    return this.#shards[group] === undefined && this.#log.isBlank(group);
  }

  /** Why this node cannot serve a group. */
  notLeader(group: number): NodeError {
    return this.#log.notLeader(group);
  }

  /** Whether this node led a group when it last looked; quicker than {@link Store.leads}. */
  mayLead(group: number): boolean {
    return this.#log.mayLead(group);
  }

  /** Whether this node leads a group, as far as it knows. */
  leads(group: number): boolean {
    return this.#log.leaderTerm(group) !== undefined;
  }

  /** Groups that have been written to, ascending. */
  *activeGroups(): IterableIterator<number> {
    for (const shard of this.#shards) if (shard !== undefined) yield shard.group;
  }

  // --- reading

  /** Answers `sink` from applied state, at once unless a barrier or an expiry must be waited for. */
  get(
    group: number,
    key: Uint8Array,
    consistency: ReadConsistency,
    deadlineMs: number,
    sink: ResultSink,
    tag: number,
  ): void {
    if (consistency === 'stale_ok') {
      this.#answerGet(group, key, consistency, deadlineMs, sink, tag);
      return;
    }
    if (consistency === 'lease') {
      let stored: StoredValue | undefined;
      try {
        const found = this.#log.leaseRead(group, () => {
          stored = this.#storage.get(group, key);
        });
        if (found !== undefined) {
          this.#answerFound(stored, group, key, consistency, deadlineMs, sink, tag);
          return;
        }
      } catch (error) {
        sink.failed(tag, asNodeError(error));
        return;
      }
    }
    this.readBarrier(group).then(
      () => this.#answerGet(group, key, consistency, deadlineMs, sink, tag),
      (error) => sink.failed(tag, asNodeError(error)),
    );
  }

  #answerGet(
    group: number,
    key: Uint8Array,
    consistency: ReadConsistency,
    deadlineMs: number,
    sink: ResultSink,
    tag: number,
  ): void {
    let stored: StoredValue | undefined;
    try {
      stored = this.#storage.get(group, key);
    } catch (error) {
      sink.failed(tag, asNodeError(error));
      return;
    }
    this.#answerFound(stored, group, key, consistency, deadlineMs, sink, tag);
  }

  #answerFound(
    stored: StoredValue | undefined,
    group: number,
    key: Uint8Array,
    consistency: ReadConsistency,
    deadlineMs: number,
    sink: ResultSink,
    tag: number,
  ): void {
    if (stored === undefined) sink.absent(tag);
    else if (!this.#isExpired(stored)) sink.value(tag, stored.value, stored.term, stored.index);
    else if (consistency === 'stale_ok') sink.absent(tag);
    else {
      this.#settleExpiry(
        group,
        stored,
        deadlineMs,
        () => this.#answerGet(group, key, consistency, deadlineMs, sink, tag),
        () => sink.absent(tag),
        (error) => sink.failed(tag, asNodeError(error)),
      );
    }
  }

  /** What a replica that need not be fresh finds now. */
  readStale(group: number, key: Uint8Array): StoredValue | undefined {
    const stored = this.#storage.get(group, key);
    return stored === undefined || this.#isExpired(stored) ? undefined : stored;
  }

  /** What a linearizable read finds now; the barrier is the caller's. */
  readLive(group: number, key: Uint8Array, deadlineMs: number): Promise<StoredValue | undefined> {
    return new Promise((resolve, reject) => {
      const look = () => {
        try {
          const stored = this.#storage.get(group, key);
          if (stored === undefined || !this.#isExpired(stored)) resolve(stored);
          else this.#settleExpiry(group, stored, deadlineMs, look, () => resolve(undefined), reject);
        } catch (error) {
          reject(error);
        }
      };
      look();
    });
  }

  #isExpired(stored: StoredValue): boolean {
    return stored.expiresAtMs !== 0 && stored.expiresAtMs <= this.#clock.now();
  }

  /**
   * A value has expired by the clock, but not yet by its shard: moves the shard's time on (rule 8), then looks `again`,
   * since a write that was under way may have replaced it while it lived. If the log has no space for that, a node that leads
   * the shard alone calls the value `absent` all the same: no later entry of the shard gets a time before the expiry. Where others
   * could lead it the read fails, since their clocks may be behind, and the value would come back.
   */
  #settleExpiry(
    group: number,
    stored: StoredValue,
    deadlineMs: number,
    again: () => void,
    absent: () => void,
    failed: (error: unknown) => void,
  ): void {
    this.commitTime(group, stored.expiresAtMs, deadlineMs, (error) => {
      if (error === undefined) again();
      else if (error.code === 'RESOURCE_EXHAUSTED' && this.#log.isAlone(group)) absent();
      else failed(error);
    });
  }

  /** Moves a shard's time to at least `timeMs` through its log, then calls `settled`. */
  commitTime(group: number, timeMs: number, deadlineMs: number, settled: TimeRequest['settled']): void {
    this.#proposedTimesMs[group] = Math.max(this.#proposedTimesMs[group]!, timeMs);
    const request: TimeRequest = {
      operations: [],
      identity: undefined,
      deadlineMs,
      sink: NO_SINK,
      cancelled: false,
      settled: (error) => {
        if (this.#timeRequests.delete(request)) settled(error);
      },
    };
    this.#timeRequests.add(request);
    this.write(group, request);
  }

  /** The applied time of a group's shard. */
  shardTimeMs(group: number): number {
    return this.#shards[group]?.timeMs ?? 0;
  }

  /** Whether what is applied now may be read without asking anyone. */
  hasLease(group: number): boolean {
    return this.#log.leaseRead(group, () => true) !== undefined;
  }

  /** Resolves when applied state holds all that was acknowledged before the call. @throws NodeError */
  async readBarrier(group: number): Promise<void> {
    const settled = this.#log.settled(group);
    if (settled !== undefined) await settled;
    if (this.#log.leaderTerm(group) === undefined) throw this.#log.notLeader(group);
    await this.#log.readBarrier(group);
  }

  // --- writing

  /** Queues a write for the next turn, or refuses it. */
  write(group: number, request: WriteRequest): void {
    if (this.#ended !== undefined) {
      failRequest(request, this.#ended);
      return;
    }
    const settled = this.#log.settled(group);
    if (settled === undefined) this.#write(group, request);
    else void this.#writeSettled(settled, group, request);
  }

  async #writeSettled(settled: Promise<void>, group: number, request: WriteRequest): Promise<void> {
    this.#unsettled++;
    try {
      await settled;
      this.#write(group, request);
    } catch (error) {
      failRequest(request, asNodeError(error));
    } finally {
      this.#unsettled--;
      this.#settleDrain();
    }
  }

  #write(group: number, request: WriteRequest): void {
    const refusal = this.#refusalOf(group);
    if (refusal !== undefined) {
      failRequest(request, refusal);
      return;
    }
    const waiting = this.#pending.get(group);
    if (waiting === undefined) this.#pending.set(group, [request]);
    else waiting.push(request);
    this.#pendingRequests++;
    this.#pendingBytes += requestBytes(request);
    this.#scheduleTurn();
  }

  #refusalOf(group: number): NodeError | undefined {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#log.leaderTerm(group) === undefined) return this.#log.notLeader(group);
    if (this.#pendingBytes > PENDING_BYTES_MAX || this.#pendingRequests > PENDING_REQUESTS_MAX) {
      const message = `Too many writes wait for the log (${this.#pendingRequests} with ${this.#pendingBytes} bytes); nothing was written. Try again later.`;
      return new NodeError('RESOURCE_EXHAUSTED', message, { retryAfterMs: RETRY_AFTER_MS });
    }
    if (this.#log.refusal !== undefined) return this.#log.refusal;
    const refusal = this.#storage.refusal;
    if (refusal !== undefined) return new NodeError('RESOURCE_EXHAUSTED', refusal);
    return undefined;
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled || !this.#log.accepting || this.#waitingForStorage) return;
    this.#turnScheduled = true;
    queueMicrotask(() => {
      this.#turnScheduled = false;
      this.#proposeTurn();
    });
  }

  #proposeTurn(): void {
    if (!this.#log.accepting || this.#pending.size === 0) return;
    if (this.#storage.stalled) {
      this.#waitForStorage();
      return;
    }
    const now = this.#clock.now();
    const turn = this.#packer.pack(this.#pending, {
      monotonicMs: this.#clock.monotonic(),
      entryTimeMs: (group) => (this.#proposedTimesMs[group] = Math.max(now, this.#proposedTimesMs[group]!)),
    });
    if (this.#pending.size === 0) {
      this.#pendingRequests = 0;
      this.#pendingBytes = 0;
    } else this.#countPending();
    this.#pendingGauge.set(this.#pendingRequests);
    if (turn.length > 0) this.#log.propose(turn);
    else this.#settleDrain();
    if (this.#pending.size > 0) this.#scheduleTurn();
  }

  #countPending(): void {
    this.#pendingRequests = 0;
    this.#pendingBytes = 0;
    for (const requests of this.#pending.values()) {
      this.#pendingRequests += requests.length;
      for (const request of requests) this.#pendingBytes += requestBytes(request);
    }
  }

  #waitForStorage(): void {
    if (this.#waitingForStorage) return;
    this.#waitingForStorage = true;
    this.#storage.whenWritable().then(
      () => {
        this.#waitingForStorage = false;
        this.#scheduleTurn();
      },
      (error) => {
        this.#waitingForStorage = false;
        const message = this.#storage.refusal ?? asNodeError(error).message;
        this.#failPending(new NodeError('RESOURCE_EXHAUSTED', message, { cause: error }));
      },
    );
  }

  /** Answers everything that waits for a turn. */
  #failPending(error: NodeError): void {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    this.#pendingRequests = 0;
    this.#pendingBytes = 0;
    for (const requests of waiting) for (const request of requests) failRequest(request, error);
    this.#settleDrain();
  }

  // --- the state machine

  position(group: number): GroupPosition | undefined {
    return this.#shards[group];
  }

  snapshot(group: number, position: GroupPosition & { readonly config: GroupConfig }): GroupSnapshot {
    const { term, index, config } = position;
    const shard = this.#shard(group);
    // A group of which nothing was applied has been nowhere yet.
    if (shard.index < index) shard.moveTo(term, index, config);
    return takeSnapshot(shard, config, this.#storage);
  }

  async stage(group: number, chunks: AsyncIterable<Uint8Array>): Promise<StagedGroup> {
    const { mark, received } = await receiveSnapshot(group, chunks, this.#storage);
    return {
      install: async () => {
        const shard = Shard.fromMark(group, mark);
        await received.install(mark);
        this.#replaceShard(shard);
      },
      discard: () => received.discard(),
    };
  }

  #replaceShard(shard: Shard): void {
    if (this.#shards[shard.group] === undefined) this.#activeShards++;
    this.#shards[shard.group] = shard;
    this.#proposedTimesMs[shard.group] = Math.max(this.#proposedTimesMs[shard.group]!, shard.timeMs);
    this.#durability.restored(shard);
  }

  durableIndex(group: number): number {
    return this.#durability.durableIndex(group);
  }

  writable(): Promise<void> | undefined {
    return this.#storage.stalled ? this.#storage.whenWritable() : undefined;
  }

  apply(entry: EntryPosition, data: Uint8Array): readonly Verdict[] {
    const reader = new ByteReader(data);
    const timeMs = reader.varint();
    const shard = this.#shard(entry.group);
    const verdicts = shard.apply(entry, timeMs, decodeCommands(reader), this.#storage);
    if (shard.timeMs > this.#proposedTimesMs[entry.group]!) this.#proposedTimesMs[entry.group] = shard.timeMs;
    return verdicts;
  }

  moved(group: number, { term, index, config }: GroupPosition & { readonly config: GroupConfig }): void {
    this.#shard(group).moveTo(term, index, config);
  }

  applied(context: unknown, result: unknown): void {
    const requests = context as readonly WriteRequest[];
    const verdicts = result as readonly Verdict[];
    for (let i = 0; i < requests.length; i++) answer(requests[i]!, verdicts[i]!);
  }

  refused(context: unknown, error: NodeError): void {
    for (const request of context as readonly WriteRequest[]) failRequest(request, error);
  }

  idle(): void {
    if (this.#pending.size > 0) this.#scheduleTurn();
    else this.#settleDrain();
  }

  refusalChanged(): void {
    const { refusal } = this.#log;
    const atMs = this.#clock.now();
    if (refusal === undefined) {
      this.#meter.event({ type: 'node.writes_resumed', atMs });
      return;
    }
    this.#meter.event({ type: 'node.writes_refused', atMs, reason: refusal.message });
    // Reads that wait for them need not wait for space.
    for (const request of this.#timeRequests) request.settled(refusal);
  }

  stopped(error: NodeError): void {
    this.#ended = error;
    this.#failure = error;
    this.#failPending(error);
  }

  #shard(group: number): Shard {
    let shard = this.#shards[group];
    if (shard === undefined) {
      shard = new Shard(group);
      this.#shards[group] = shard;
      this.#activeShards++;
    }
    return shard;
  }

  // --- upkeep

  #scheduleMaintenance(): void {
    this.#maintenance = this.#clock.setTimer(MAINTENANCE_INTERVAL_MS, () => this.#maintain(), { unref: true });
  }

  #maintain(): void {
    if (this.#ended !== undefined) return;
    if (this.#storage.isFull) this.#log.giveUpReserve();
    const done = () => this.#scheduleMaintenance();
    if (this.#log.stats().bytes > LOG_BYTES_MAX) this.#storage.flush().then(done, done);
    else done();
  }

  // --- the end

  /** Refuses new writes and resolves when those accepted are answered. */
  drain(): Promise<void> {
    this.#ended ??= new NodeError(
      'UNAVAILABLE',
      'The node is shutting down; nothing was written. Try another node, or later.',
    );
    this.#maintenance?.cancel();
    this.#drain ??= new Promise((resolve) => {
      this.#drained = resolve;
      this.#settleDrain();
      this.#scheduleTurn();
    });
    return this.#drain;
  }

  /** No write waits or is on its way. */
  get #quiet(): boolean {
    return this.#pending.size === 0 && this.#unsettled === 0 && !this.#log.busy;
  }

  #settleDrain(): void {
    if (this.#drained !== undefined && this.#quiet) this.#drained();
  }

  /** Writes what is in memory to tables. */
  flush(): Promise<void> {
    return this.#storage.flush();
  }

  /**
   * Drains, flushes if asked to, and closes log and storage, in this order. A flush that fails is no loss, since the log
   * has everything: its error is returned, for the operator to know.
   */
  async close(options: { readonly flush: boolean }): Promise<unknown> {
    await this.drain();
    const unflushed = options.flush ? await this.#storage.flush().catch((error: unknown) => error) : undefined;
    try {
      await this.#log.close();
    } finally {
      await this.#storage.close();
    }
    return unflushed;
  }
}
