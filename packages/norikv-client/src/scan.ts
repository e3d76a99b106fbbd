// Scans: pages fetched by unary `Kv.Scan` calls, the next one while the caller works through the last. A page that fails
// for a reason that may pass is fetched again, from another node if there is one: reading twice does no harm.
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import {
  type ErrorCodeName,
  ErrorDetailSchema,
  errorCodeName,
  hashTagOf,
  Kv,
  LIMITS,
  type ScanRequest,
  ScanRequestSchema,
  type ScanResponse,
} from 'norikv-protocol';
import type { Dispatcher } from './dispatcher.js';
import { type Attempt, errorText, invalidArgument, NoriError } from './errors.js';
import { checkInteger, checkSignal, checkTimeout } from './options.js';
import { toBytes, toConsistency } from './requests.js';
import { type Failure, retryDelayMs } from './retry.js';
import type { ScanEntry, ScanOptions } from './types.js';

const scanRequest = (options: ScanOptions): ScanRequest => {
  const { prefix, gte, gt, lte, lt, reverse } = options;
  if (gte !== undefined && gt !== undefined) throw invalidArgument('gte and gt exclude each other');
  if (lte !== undefined && lt !== undefined) throw invalidArgument('lte and lt exclude each other');
  if (reverse !== undefined && typeof reverse !== 'boolean') throw invalidArgument('reverse must be true or false');
  const start = gte ?? gt;
  const end = lte ?? lt;
  return create(ScanRequestSchema, {
    ...(prefix === undefined ? {} : { prefix: toBytes('prefix', prefix) }),
    ...(start === undefined ? {} : { start: toBytes(gt === undefined ? 'gte' : 'gt', start) }),
    ...(end === undefined ? {} : { end: toBytes(lt === undefined ? 'lte' : 'lt', end) }),
    startExclusive: gt !== undefined,
    endInclusive: lte !== undefined,
    reverse: reverse ?? false,
    consistency: toConsistency(options.consistency),
  });
};

/** What a status without detail says; any other stands for a connection that was lost. */
const CODES: Readonly<Partial<Record<Code, ErrorCodeName>>> = {
  [Code.InvalidArgument]: 'INVALID_ARGUMENT',
  [Code.DeadlineExceeded]: 'DEADLINE_EXCEEDED',
  [Code.ResourceExhausted]: 'RESOURCE_EXHAUSTED',
  [Code.Unimplemented]: 'UNIMPLEMENTED',
  [Code.DataLoss]: 'CORRUPTION',
};

const readFailure = (error: unknown): Failure & { readonly message: string; readonly leaderTerm: number } => {
  const failure = ConnectError.from(error, Code.Unavailable);
  const detail = failure.findDetails(ErrorDetailSchema)[0];
  if (detail !== undefined) {
    const { message, retryAfterMs, leaderAddress, leaderTerm } = detail;
    return {
      code: errorCodeName(detail.code),
      message,
      retryAfterMs,
      leaderAddress,
      leaderTerm: Number(leaderTerm),
    };
  }
  const code = CODES[failure.code] ?? 'UNAVAILABLE';
  return { code, message: failure.rawMessage, retryAfterMs: 0, leaderAddress: '', leaderTerm: 0 };
};

/** One scan from its first page to its last. */
class Scanner {
  readonly #dispatcher: Dispatcher;
  readonly #request: ScanRequest;
  readonly #timeoutMs: number;
  /** The shard that all keys are of; -1: of any. */
  readonly #shard: number;
  readonly #aborted = new AbortController();

  constructor(dispatcher: Dispatcher, request: ScanRequest, timeoutMs: number, shard: number) {
    this.#dispatcher = dispatcher;
    this.#request = request;
    this.#timeoutMs = timeoutMs;
    this.#shard = shard;
  }

  /** Gives up the page under way. */
  stop(reason: unknown): void {
    this.#aborted.abort(reason);
  }

  /** Fetches the page that follows `token`. */
  async page(token: Uint8Array, limit: number): Promise<ScanResponse> {
    const { signal } = this.#aborted;
    const dispatcher = this.#dispatcher;
    const deadlineMs = dispatcher.now() + this.#timeoutMs;
    const attempts: Attempt[] = [];
    for (;;) {
      const startedMs = dispatcher.now();
      const channel = await this.#channel(deadlineMs, attempts);
      const transport = channel.transport;
      if (transport === undefined) continue;
      try {
        const timeoutMs = Math.max(1, Math.ceil(deadlineMs - dispatcher.now()));
        return await createClient(Kv, transport).scan({ ...this.#request, token, limit }, { signal, timeoutMs });
      } catch (error) {
        const answer = readFailure(error);
        const leaderAddress = dispatcher.noteNotLeader(this.#shard, channel.address, answer);
        const failure = { ...answer, leaderAddress };
        if (signal.aborted) throw this.#cancelled(attempts);
        attempts.push({
          node: dispatcher.map.nodeAt(channel.address),
          address: channel.address,
          shard: this.#shard,
          epoch: dispatcher.map.epoch,
          startedMs: Math.round(Date.now() - (dispatcher.now() - startedMs)),
          durationMs: Math.round(dispatcher.now() - startedMs),
          code: failure.code,
          message: failure.message,
        });
        await this.#waitToRetry(failure, attempts, deadlineMs, error);
      }
    }
  }

  async #channel(deadlineMs: number, attempts: readonly Attempt[]) {
    try {
      return await this.#dispatcher.readyChannel(deadlineMs, this.#aborted.signal, this.#shard);
    } catch (error) {
      if (this.#aborted.signal.aborted) throw this.#cancelled(attempts);
      if (!(error instanceof NoriError)) throw error;
      throw new NoriError(error.code, error.message, { attempts });
    }
  }

  async #waitToRetry(
    failure: ReturnType<typeof readFailure>,
    attempts: readonly Attempt[],
    deadlineMs: number,
    cause: unknown,
  ): Promise<void> {
    const delayMs = retryDelayMs(failure, attempts.length, Math.random);
    if (delayMs === undefined || this.#dispatcher.now() + delayMs >= deadlineMs) {
      throw new NoriError(failure.code, failure.message, { attempts }, { cause });
    }
    const { signal } = this.#aborted;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, delayMs);
      signal.addEventListener('abort', done);
    });
    if (signal.aborted) throw this.#cancelled(attempts);
  }

  #cancelled(attempts: readonly Attempt[]): NoriError {
    const { reason } = this.#aborted.signal;
    if (reason instanceof NoriError) return reason;
    return new NoriError('CANCELLED', 'The scan was cancelled', { attempts }, { cause: reason });
  }
}

/** Runs a scan. Bad options throw at once; the first page is asked for with the first `next()`. */
export const scan = (
  dispatcher: Dispatcher,
  options: ScanOptions,
  shardOf: (key: Uint8Array) => number,
): AsyncGenerator<ScanEntry, void, undefined> => {
  const request = scanRequest(options);
  // Keys that share a whole hash tag are of one shard.
  const shard = hashTagOf(request.prefix) === request.prefix ? -1 : shardOf(request.prefix);
  const { limit } = options;
  const signal = checkSignal(options.signal);
  const total = limit === undefined ? Number.POSITIVE_INFINITY : checkInteger('limit', limit, 0, LIMITS.integerMax);
  const timeoutMs = options.timeoutMs === undefined ? dispatcher.options.timeoutMs : checkTimeout(options.timeoutMs);
  return run(dispatcher, new Scanner(dispatcher, request, timeoutMs, shard), total, signal);
};

async function* run(
  dispatcher: Dispatcher,
  scanner: Scanner,
  total: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<ScanEntry, void, undefined> {
  const onAbort = () => scanner.stop(signal?.reason);
  const onClose = () => scanner.stop(new NoriError('CLIENT_CLOSED', 'The client was closed'));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort);
  const forget = dispatcher.onClose(onClose);
  try {
    let left = total;
    let next: Promise<ScanResponse> | undefined;
    if (left > 0) next = scanner.page(new Uint8Array(0), Math.min(left, LIMITS.scanLimitDefault));
    while (next !== undefined) {
      const page: ScanResponse = await next;
      left -= page.entries.length;
      next = undefined;
      if (page.nextToken.length > 0 && left > 0) {
        next = scanner.page(page.nextToken, Math.min(left, LIMITS.scanLimitDefault));
        // Whoever stops before it is needed must not be told of its failure.
        next.catch(() => {});
      }
      for (const { key, value, version } of page.entries) {
        yield {
          // Copies: views would keep the page in memory for as long as the caller keeps one entry.
          key: new Uint8Array(key),
          value: new Uint8Array(value),
          version: { term: Number(version?.term ?? 0), index: Number(version?.index ?? 0) },
        };
      }
    }
  } catch (error) {
    if (error instanceof NoriError) throw error;
    throw new NoriError('INTERNAL', `The scan failed: ${errorText(error)}`, {}, { cause: error });
  } finally {
    forget();
    signal?.removeEventListener('abort', onAbort);
    scanner.stop(undefined);
  }
}
