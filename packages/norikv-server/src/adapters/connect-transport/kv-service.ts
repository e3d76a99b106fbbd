// The `Kv` service as connect-node serves it: unary calls, `Batch`, and `Pipeline` for callers that do not speak gRPC on
// HTTP/2 (those that do are served by pipeline-stream.ts, with the same runner).
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import type { Kv, OperationFrame, ResultFrame } from 'norikv-protocol';
import { NodeError } from '../../domain/node-error.js';
import { OPERATION } from '../net/request-metrics.js';
import { SingleOperations } from '../net/single-operation.js';
import { OperationRunner, type RunnerContext, type RunnerOutput } from './operation-runner.js';
import { fromVersion, toConsistency, toIdentity, toIfVersion, toInteger } from './request-fields.js';
import type { ResultColumns } from './result-columns.js';

/** Result frames that wait for their caller; beyond these bytes no operation is started. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;

/** Gathers result frames for a caller that takes them one by one. */
class FrameQueue implements RunnerOutput {
  readonly #frames: { readonly frame: ResultFrame; readonly bytes: number }[] = [];
  #bytes = 0;
  #waiting: (() => void)[] = [];

  get congested(): boolean {
    return this.#bytes > OUTPUT_BYTES_MAX;
  }

  write(results: ResultColumns): void {
    this.#frames.push({ frame: results.toMessage(), bytes: results.bytes });
    this.#bytes += results.bytes;
    this.wake();
  }

  settled(): void {
    this.wake();
  }

  take(): ResultFrame | undefined {
    const next = this.#frames.shift();
    if (next === undefined) return undefined;
    this.#bytes -= next.bytes;
    return next.frame;
  }

  /** Resolves at the next {@link wake}. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** True if `signal` was aborted because the call's time is up. Operations know their deadline themselves. */
const isDeadline = (signal: AbortSignal): boolean =>
  signal.reason instanceof ConnectError && signal.reason.code === Code.DeadlineExceeded;

/** A scan that was given up because the call's time is up was not cancelled by its caller. */
const asLate = (error: unknown, signal: AbortSignal): unknown =>
  error instanceof NodeError && error.code === 'CANCELLED' && isDeadline(signal)
    ? new NodeError('DEADLINE_EXCEEDED', 'The deadline passed before the page was complete.', { cause: error })
    : error;

/** Builds the implementation of `norikv.v1.Kv`. */
export const kvService = (parts: RunnerContext): ServiceImpl<typeof Kv> => {
  const { node, clock, metrics } = parts;
  const operations = new SingleOperations(node, clock, metrics);
  const deadlineOf = (context: HandlerContext) => operations.deadline(context.timeoutMs());

  return {
    async get(request, context) {
      const found = await operations.get(request.key, toConsistency(request.consistency), deadlineOf(context));
      return found === undefined
        ? { found: false }
        : { found: true, value: found.value, version: fromVersion(found.version) };
    },

    async put(request, context) {
      const write = {
        kind: 'put',
        key: request.key,
        value: request.value,
        ttlMs: toInteger('ttl_ms', request.ttlMs),
        ifAbsent: request.ifAbsent,
        ifVersion: toIfVersion(request.ifVersion),
        identity: toIdentity(request.identity),
      } as const;
      const { version } = await operations.write(write, deadlineOf(context), context.signal);
      return { version: fromVersion(version) };
    },

    async delete(request, context) {
      const write = {
        kind: 'delete',
        key: request.key,
        ifVersion: toIfVersion(request.ifVersion),
        identity: toIdentity(request.identity),
      } as const;
      const { version, existed } = await operations.write(write, deadlineOf(context), context.signal);
      return { deleted: existed, version: fromVersion(version) };
    },

    async scan(request, context) {
      const query = {
        prefix: request.prefix,
        start: request.start,
        startExclusive: request.startExclusive,
        end: request.end,
        endInclusive: request.endInclusive,
        reverse: request.reverse,
        limit: request.limit,
        consistency: toConsistency(request.consistency),
        token: request.token,
        deadlineMs: deadlineOf(context),
        signal: context.signal,
      };
      const page = await operations.measure(
        OPERATION.scan,
        () => node.scan(query).catch((error: unknown) => Promise.reject(asLate(error, context.signal))),
        () => true,
      );
      return {
        entries: page.entries.map(({ key, value, version }) => ({ key, value, version: fromVersion(version) })),
        nextToken: page.nextToken,
      };
    },

    batch(request: OperationFrame, context) {
      return new Promise<ResultFrame | Record<string, never>>((resolve, reject) => {
        const output: RunnerOutput = {
          congested: false,
          write: (results) => resolve(results.toMessage()),
          settled: () => {},
        };
        const deadlineMs = deadlineOf(context);
        const runner = new OperationRunner({ ...parts, output, whole: true, deadlineMs });
        const { signal } = context;
        signal.addEventListener('abort', () => {
          if (isDeadline(signal)) return;
          runner.close();
          reject(signal.reason);
        });
        runner.submit(request);
        if (request.keys.length === 0) resolve({});
      });
    },

    async *pipeline(requests, context) {
      const { signal } = context;
      const queue = new FrameQueue();
      const runner = new OperationRunner({ ...parts, output: queue, deadlineMs: deadlineOf(context) });
      let ended = false;
      let failure: unknown;
      const read = async () => {
        for await (const frame of requests) {
          runner.submit(frame);
          while (runner.full && !signal.aborted) await queue.changed();
        }
      };
      read()
        .catch((error: unknown) => {
          failure = error;
        })
        .finally(() => {
          ended = true;
          queue.wake();
        });
      signal.addEventListener('abort', () => queue.wake());
      try {
        while (!signal.aborted) {
          const frame = queue.take();
          if (frame !== undefined) {
            yield frame;
            runner.advance();
          } else if (failure !== undefined) throw failure;
          else if (ended && runner.idle) return;
          else await queue.changed();
        }
        throw signal.reason;
      } finally {
        runner.close();
        queue.wake();
      }
    },
  };
};
