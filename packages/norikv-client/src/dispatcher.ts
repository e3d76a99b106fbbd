// Takes operations in, brings each to the node that leads its shard, tries again what may be tried again, and tells the
// caller: exactly once, and never later than the deadline, wherever the operation is by then.
import type { Meter } from 'nori-observe';
import type { ClusterView as ViewMessage } from 'norikv-protocol';
import { AbortRegistry } from './abort-registry.js';
import { Channel, type ChannelHost, isMismatch } from './channel.js';
import { ClusterMap } from './cluster-map.js';
import { Deadlines } from './deadlines.js';
import { errorText, NoriError, type NoriErrorCode, type NoriErrorDetails } from './errors.js';
import { LatencyHistogram } from './latency.js';
import { type AttemptFailure, type Operation, STATE } from './operation.js';
import type { ResolvedOptions } from './options.js';
import { isDefinitive, RetryBudget, retryDelayMs } from './retry.js';
import type { ClientStats } from './types.js';
import { WriteIdentity } from './write-identity.js';

/** Failed attempts after which `connect` believes that an endpoint is not there. */
const CONNECT_FAILURES_MAX = 3;
/** How long a retry waits at least while the budget is used up. */
const EXHAUSTED_DELAY_MS = 1_000;

/** How long a node that does not lead any more has to say so itself. */
const MOVE_AFTER_MS = 100;

/** The heart of a client. */
export class Dispatcher implements ChannelHost {
  readonly options: ResolvedOptions;
  readonly identity = new WriteIdentity();
  readonly map: ClusterMap;
  readonly #channels = new Map<string, Channel>();
  readonly #deadlines = new Deadlines<Operation>(
    () => this.now(),
    (operation) => this.#due(operation),
  );
  readonly #aborts = new AbortRegistry<Operation>((operation, reason) => this.#abort(operation, reason));
  readonly #budget: RetryBudget;
  readonly #latency = new LatencyHistogram();
  readonly #metrics: ReturnType<typeof bindMetrics>;
  readonly #originMs = performance.now();
  /** Told when a channel becomes ready, goes down, or the client closes. */
  readonly #watchers = new Set<() => void>();
  readonly #closeListeners = new Set<() => void>();
  #closed = false;
  /** Until {@link Dispatcher.#moveSent}. */
  #moving: NodeJS.Timeout | undefined;
  #pending = 0;
  #pendingBytes = 0;
  #succeeded = 0;
  #failures = new Map<string, number>();
  #retries = 0;
  #frames = 0;
  #rows = 0;

  constructor(options: ResolvedOptions) {
    this.options = options;
    this.map = new ClusterMap(options.clusterId);
    this.#budget = new RetryBudget(options.retryBudget);
    this.#metrics = bindMetrics(options.meter);
  }

  get closed(): boolean {
    return this.#closed;
  }

  now(): number {
    return performance.now() - this.#originMs;
  }

  /** Connects to the endpoints; resolves when one has given a view. */
  start(): Promise<void> {
    for (const address of this.options.endpoints) this.#channel(address);
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => check(true), this.options.timeoutMs);
      const check = (late: boolean): void => {
        const channels = [...this.#channels.values()];
        const ready = channels.some((channel) => channel.state === 'ready');
        const mismatch = channels.map((channel) => channel.lastError).find(isMismatch);
        if (!ready && mismatch === undefined && !late) {
          if (channels.some((channel) => channel.failures < CONNECT_FAILURES_MAX)) return;
        }
        clearTimeout(deadline);
        this.#watchers.delete(watcher);
        if (mismatch !== undefined) reject(mismatch);
        else if (ready) resolve();
        else reject(this.#unreachable(channels));
      };
      const watcher = () => check(false);
      this.#watchers.add(watcher);
    });
  }

  #unreachable(channels: readonly Channel[]): NoriError {
    const attempts = channels.map(({ address, lastError }) => ({
      node: '',
      address,
      shard: -1,
      epoch: 0,
      startedMs: Math.round(performance.timeOrigin + this.#originMs),
      durationMs: Math.round(this.now()),
      code: 'UNAVAILABLE' as const,
      message: lastError === undefined ? 'No answer yet' : errorText(lastError),
    }));
    return new NoriError('UNAVAILABLE', `No endpoint can be reached (${this.#reasons()})`, { attempts });
  }

  #reasons(): string {
    return [...this.#channels.values()]
      .map(
        ({ address, lastError }) => `${address}: ${lastError === undefined ? 'no answer yet' : errorText(lastError)}`,
      )
      .join('; ');
  }

  /** Accepts an operation. Its promise settles by its deadline at the latest. */
  submit(operation: Operation, timeoutMs: number, signal: AbortSignal | undefined): Promise<unknown> {
    if (this.#closed) {
      operation.reject('CLIENT_CLOSED', 'The client is closed', {}, undefined);
      return operation.promise;
    }
    if (signal?.aborted) {
      operation.reject('CANCELLED', 'The operation was cancelled before it was sent', {}, signal.reason);
      return operation.promise;
    }
    const { pendingOperationsMax, pendingBytesMax } = this.options;
    if (this.#pending >= pendingOperationsMax || this.#pendingBytes + operation.bytes > pendingBytesMax) {
      const message =
        `Client queue full: ${this.#pending} operations of ${this.#pendingBytes} bytes are pending; ` +
        `the limits are ${pendingOperationsMax} (pendingOperationsMax) and ${pendingBytesMax} (pendingBytesMax)`;
      this.#countFailure('RESOURCE_EXHAUSTED');
      operation.reject('RESOURCE_EXHAUSTED', message, {}, undefined);
      return operation.promise;
    }
    this.#pending++;
    this.#pendingBytes += operation.bytes;
    operation.startedMs = this.now();
    operation.deadlineMs = operation.dueMs = Math.floor(operation.startedMs) + timeoutMs;
    if (operation.write) operation.sequence = this.identity.next();
    if (signal !== undefined) {
      operation.signal = signal;
      this.#aborts.add(signal, operation);
    }
    this.#deadlines.add(operation);
    this.#dispatch(operation);
    return operation.promise;
  }

  /**
   * A channel that is ready: that of the leader of `shard`, if there is one, else any. Waits for one if there is none.
   *
   * @param shard -1: any node can answer
   */
  async readyChannel(deadlineMs: number, signal: AbortSignal, shard: number): Promise<Channel> {
    for (;;) {
      if (this.#closed) throw new NoriError('CLIENT_CLOSED', 'The client is closed');
      const ready = [...this.#channels.values()].filter((channel) => channel.state === 'ready');
      const leader = shard < 0 ? undefined : this.#route(shard);
      const channel = leader?.state === 'ready' ? leader : ready[Math.floor(Math.random() * ready.length)];
      if (channel !== undefined) return channel;
      const leftMs = deadlineMs - this.now();
      if (leftMs <= 0 || signal.aborted) {
        const code = signal.aborted ? 'CANCELLED' : 'DEADLINE_EXCEEDED';
        throw new NoriError(code, `There is no connection (${this.#reasons()})`);
      }
      await this.#change(leftMs, signal);
    }
  }

  #change(timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done);
      this.#watchers.add(done);
    });
  }

  stats(): ClientStats {
    let failed = 0;
    for (const count of this.#failures.values()) failed += count;
    return {
      succeeded: this.#succeeded,
      failed,
      failures: Object.fromEntries(this.#failures),
      retries: this.#retries,
      framesSent: this.#frames,
      rowsSent: this.#rows,
      pending: this.#pending,
      pendingBytes: this.#pendingBytes,
      latency: this.#latency.summary(),
      channels: [...this.#channels.values()].map((channel) => channel.stats()),
    };
  }

  /** Calls `listener` when the client closes; returns the way to forget it. */
  onClose(listener: () => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /** Rejects all that is pending, then ends all connections. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const operation of this.#deadlines.entries()) {
      this.#giveUp(operation, 'CLIENT_CLOSED', 'The client was closed', {}, undefined);
    }
    this.#deadlines.clear();
    clearTimeout(this.#moving);
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
    for (const listener of [...this.#closeListeners]) listener();
    this.#tellWatchers();
  }

  // What channels call.

  onView(channel: Channel, view: ViewMessage): void {
    if (!this.map.adopt(view, channel.address)) return;
    this.#prune();
    this.#reroute();
    this.#moveLater();
  }

  onReady(): void {
    this.#prune();
    this.#reroute();
    this.#moveLater();
    this.#tellWatchers();
  }

  onDown(channel: Channel): void {
    if (isMismatch(channel.lastError)) {
      for (const operation of channel.takeQueued()) {
        operation.channel = undefined;
        operation.state = STATE.fresh;
        this.#giveUp(operation, 'CLUSTER_MISMATCH', channel.lastError.message, {}, channel.lastError);
      }
    }
    if (!this.#someReady()) for (const address of this.options.endpoints) this.#channel(address);
    this.#reroute();
    this.#tellWatchers();
  }

  succeeded(operation: Operation, result: unknown, nowMs: number): void {
    operation.channel = undefined;
    this.#finish(operation);
    this.#succeeded++;
    this.#budget.earn();
    const durationMs = nowMs - operation.startedMs;
    this.#latency.observe(durationMs);
    this.#metrics.duration.observe(durationMs / 1000);
    this.#metrics.succeeded.inc();
    operation.resolve(result);
  }

  failed(operation: Operation, failure: AttemptFailure): void {
    const address = operation.channel?.address ?? '';
    operation.channel = undefined;
    operation.state = STATE.fresh;
    this.#recordAttempt(operation, address, failure.code, failure.message);
    // Logged, but perhaps not committed: only a retry with the same sequence can tell.
    if (failure.code === 'COMMIT_TIMEOUT') operation.ambiguous = operation.write;
    if (failure.code === 'QUORUM_UNAVAILABLE') {
      this.map.doubt(operation.shard, address);
      this.#askAnother();
    }
    this.#retry(operation, { ...failure, leaderAddress: this.noteNotLeader(operation.shard, address, failure) }, true);
  }

  /** Takes a hint. Returns the address of another node to ask at once; empty if there is none. */
  noteNotLeader(shard: number, from: string, failure: Omit<AttemptFailure, 'current'>): string {
    if (failure.code !== 'NOT_LEADER') return '';
    const { leaderAddress, leaderTerm } = failure;
    if (leaderAddress !== '' && leaderAddress !== from) this.map.hint(shard, from, leaderAddress, leaderTerm);
    const leader = this.map.leaderOf(shard);
    return leader !== undefined && leader !== from && this.#channel(leader).failures === 0 ? leader : '';
  }

  lost(operation: Operation, message: string, refused: boolean): void {
    const address = operation.channel?.address ?? '';
    operation.channel = undefined;
    operation.state = STATE.fresh;
    if (operation.write) operation.ambiguous = true;
    const text = refused ? message : `The connection was lost: ${message}`;
    this.#recordAttempt(operation, address, 'UNAVAILABLE', text);
    const failure = {
      code: 'UNAVAILABLE',
      message: text,
      current: undefined,
      leaderAddress: '',
      leaderTerm: 0,
      retryAfterMs: 0,
    } as const;
    // Not counted if the connection was merely lost: what follows waits for a connection, which is made with a backoff of
    // its own. What a node refuses would be sent again and again over connections that work.
    this.#retry(operation, failure, refused);
  }

  framesSent(rows: number): void {
    this.#frames++;
    this.#rows += rows;
  }

  // Routes.

  #channel(address: string): Channel {
    let channel = this.#channels.get(address);
    if (channel === undefined) {
      channel = new Channel(address, this);
      this.#channels.set(address, channel);
    }
    return channel;
  }

  #someReady(): boolean {
    for (const channel of this.#channels.values()) if (channel.state === 'ready') return true;
    return false;
  }

  /**
   * A node cannot reach a majority. It may be the one that is cut off, and all that is known may come from it: connects to one more
   * node, whose view then counts as well.
   */
  #askAnother(): void {
    const unasked = [...this.map.addresses()].filter((address) => !this.#channels.has(address));
    const address = unasked[Math.floor(Math.random() * unasked.length)];
    if (address !== undefined) this.#channel(address);
  }

  #route(shard: number): Channel {
    const leader = this.map.leaderOf(shard);
    const preferred = leader === undefined ? undefined : this.#channel(leader);
    // A channel that has not failed yet is waited for; one that has is passed by if another node can be asked who leads.
    if (preferred !== undefined && (preferred.state === 'ready' || preferred.failures === 0)) return preferred;
    let any = preferred;
    for (const channel of this.#channels.values()) {
      if (channel.state === 'ready') return channel;
      any ??= channel;
    }
    return any ?? this.#channel(this.options.endpoints[0]!);
  }

  #dispatch(operation: Operation): void {
    const channel = this.#route(operation.shard);
    if (channel.state !== 'ready' && isMismatch(channel.lastError)) {
      this.#giveUp(operation, 'CLUSTER_MISMATCH', channel.lastError.message, {}, channel.lastError);
      return;
    }
    channel.enqueue(operation);
  }

  /** Sends what waits for a node that cannot be reached by another way, if there is one. */
  #reroute(): void {
    if (this.#closed || !this.#someReady()) return;
    for (const channel of [...this.#channels.values()]) {
      if (channel.state === 'ready' || channel.failures === 0) continue;
      for (const operation of channel.takeQueued()) this.#dispatch(operation);
    }
  }

  #moveLater(): void {
    if (this.#moving !== undefined || this.#closed) return;
    this.#moving = setTimeout(() => {
      this.#moving = undefined;
      this.#moveSent();
    }, MOVE_AFTER_MS);
    this.#moving.unref();
  }

  /**
   * Sends again, to whoever leads now, what was sent to a node that does not lead any more and has not answered: it may be paused or cut
   * off, which a ping finds much later. Reads may be read twice, and writes keep their sequence, so that they happen once.
   */
  #moveSent(): void {
    if (this.#closed) return;
    const sentBeforeMs = this.now() - MOVE_AFTER_MS / 2;
    for (const channel of [...this.#channels.values()]) {
      const moved = channel.takeMoved((operation) => {
        if (operation.state === STATE.sent && operation.attemptMs > sentBeforeMs) return false;
        const leader = this.map.leaderOf(operation.shard);
        return leader !== undefined && leader !== channel.address && this.#channel(leader).state === 'ready';
      });
      for (const operation of moved) this.#move(operation, channel.address);
    }
  }

  #move(operation: Operation, address: string): void {
    const wasSent = operation.state === STATE.sent;
    operation.channel = undefined;
    operation.state = STATE.fresh;
    if (wasSent) {
      if (operation.write) operation.ambiguous = true;
      this.#recordAttempt(operation, address, 'UNAVAILABLE', 'No answer, and another node leads the shard now');
      this.#retries++;
      this.#metrics.retries.inc();
    }
    this.#dispatch(operation);
  }

  /** Ends channels to addresses that the cluster does not name (any more). */
  #prune(): void {
    const named = [...this.#channels.values()].filter(({ address }) => this.map.has(address));
    if (!named.some((channel) => channel.state === 'ready')) return;
    for (const channel of [...this.#channels.values()]) {
      if (this.map.has(channel.address) || !channel.idle) continue;
      channel.close();
      this.#channels.delete(channel.address);
    }
  }

  #tellWatchers(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  // Attempts and ends.

  #recordAttempt(operation: Operation, address: string, code: NoriErrorCode, message: string): void {
    operation.failures++;
    const epochMs = performance.timeOrigin + this.#originMs;
    operation.record({
      node: this.map.nodeAt(address),
      address,
      shard: operation.shard,
      epoch: this.map.epoch,
      startedMs: Math.round(epochMs + operation.attemptMs),
      durationMs: Math.max(0, Math.round(this.now() - operation.attemptMs)),
      code,
      message,
    });
  }

  #retry(operation: Operation, failure: AttemptFailure, counted: boolean): void {
    let delayMs = retryDelayMs(failure, operation.failures, Math.random);
    const details = {
      ...(failure.current === undefined ? {} : { current: failure.current }),
      ...(failure.retryAfterMs === 0 ? {} : { retryAfterMs: failure.retryAfterMs }),
    };
    if (delayMs === undefined || this.#closed) {
      this.#giveUp(operation, failure.code, failure.message, details, undefined);
      return;
    }
    if (counted && delayMs > 0 && !this.#budget.take()) delayMs = Math.max(delayMs, EXHAUSTED_DELAY_MS);
    const wakeMs = Math.ceil(this.now() + delayMs);
    if (wakeMs >= operation.deadlineMs) {
      const message = `${failure.message} (no time left to try again)`;
      this.#giveUp(operation, failure.code, message, details, undefined);
      return;
    }
    this.#retries++;
    this.#metrics.retries.inc();
    if (delayMs === 0) {
      this.#dispatch(operation);
      return;
    }
    operation.state = STATE.parked;
    this.#deadlines.remove(operation);
    operation.dueMs = wakeMs;
    this.#deadlines.add(operation);
  }

  #due(operation: Operation): void {
    if (this.now() < operation.deadlineMs) {
      operation.dueMs = operation.deadlineMs;
      this.#deadlines.add(operation);
      this.#dispatch(operation);
      return;
    }
    const timeoutMs = operation.deadlineMs - Math.floor(operation.startedMs);
    const where = this.#whereabouts(operation);
    this.#giveUp(operation, 'DEADLINE_EXCEEDED', `Timed out after ${timeoutMs} ms: ${where}`, {}, undefined, false);
  }

  #abort(operation: Operation, reason: unknown): void {
    operation.signal = undefined;
    const where = this.#whereabouts(operation);
    this.#giveUp(operation, 'CANCELLED', `The operation was cancelled: ${where}`, {}, reason);
  }

  #whereabouts(operation: Operation): string {
    const channel = operation.channel === undefined ? undefined : this.#channels.get(operation.channel.address);
    const last = operation.attempts?.at(-1);
    const before =
      last === undefined ? '' : `; before that ${last.code} from ${last.address || 'no node'}: ${last.message}`;
    if (operation.state === STATE.sent) return `sent to ${channel?.address}, no answer${before}`;
    if (operation.state === STATE.parked) return `waiting to try again${before}`;
    if (channel === undefined || channel.state === 'ready') return `waiting to be sent${before}`;
    const error = channel.lastError === undefined ? '' : ` (${errorText(channel.lastError)})`;
    return `not connected to ${channel.address}${error}${before}`;
  }

  /** Ends an operation that is not done, wherever it is. A write that may have been applied gets `OUTCOME_UNKNOWN`. */
  #giveUp(
    operation: Operation,
    code: NoriErrorCode,
    message: string,
    details: Partial<NoriErrorDetails>,
    cause: unknown,
    cancel = true,
  ): void {
    const { channel } = operation;
    const sent = operation.state === STATE.sent;
    if (channel !== undefined) {
      if (sent || operation.attempts === undefined) {
        const lastError = this.#channels.get(channel.address)?.lastError;
        const text = sent ? 'No answer' : lastError === undefined ? 'Not sent' : `Not sent: ${errorText(lastError)}`;
        if (!sent) operation.attemptMs = operation.startedMs;
        this.#recordAttempt(operation, channel.address, code, text);
      }
      channel.release(operation, cancel);
    }
    this.#finish(operation);
    const unknown = operation.write && (sent || operation.ambiguous) && !isDefinitive(code);
    const finalCode = unknown ? 'OUTCOME_UNKNOWN' : code;
    this.#countFailure(finalCode);
    const text = unknown ? `The write may or may not have been applied. ${code}: ${message}` : message;
    operation.reject(finalCode, text, details, cause);
  }

  #finish(operation: Operation): void {
    operation.state = STATE.done;
    this.#deadlines.remove(operation);
    if (operation.signal !== undefined) this.#aborts.remove(operation.signal, operation);
    if (operation.sequence > 0) this.identity.resolve(operation.sequence);
    this.#pending--;
    this.#pendingBytes -= operation.bytes;
  }

  #countFailure(code: NoriErrorCode): void {
    this.#failures.set(code, (this.#failures.get(code) ?? 0) + 1);
    this.#metrics.failed(code).inc();
  }
}

const bindMetrics = (meter: Meter) => {
  const operations = (status: string) =>
    meter.counter(
      'norikv_client_operations_total',
      { status },
      { help: 'Operations by outcome: ok or an error code.' },
    );
  return {
    succeeded: operations('ok'),
    failed: operations,
    retries: meter.counter('norikv_client_retries_total', {}, { help: 'Attempts after the first of an operation.' }),
    duration: meter.histogram(
      'norikv_client_operation_duration_seconds',
      {},
      { help: 'Time from the call to its result, retries included, of operations that succeeded.' },
    ),
  };
};
