// The client's options: checked once, completed with defaults, frozen.
import { type Meter, noopMeter } from 'nori-observe';
import { PORTS } from 'norikv-protocol';
import { invalidArgument } from './errors.js';

/** Options of `NoriClient.connect`. */
export interface NoriClientOptions {
  /** Nodes to start from, as `host:port` or `host` (port 7447). The others are learnt from them. At least one. */
  readonly endpoints: readonly string[];
  /** Milliseconds an operation may take unless it says otherwise, waiting and retries included. Default: 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds after which a connection attempt counts as failed. Default: 3,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Connect to this cluster only: its id, 32 hex digits. Default: whichever the endpoints belong to. */
  readonly clusterId?: string | undefined;
  /** Operations not settled at a time; one more fails with `RESOURCE_EXHAUSTED`. Default: 65,536. */
  readonly pendingOperationsMax?: number | undefined;
  /** Bytes of the keys and values of operations not settled; more fails with `RESOURCE_EXHAUSTED`. Default: 64 MiB. */
  readonly pendingBytesMax?: number | undefined;
  /** Bytes sent to one node and not answered; more waits in the queue. Default: 16 MiB. */
  readonly inFlightBytesMax?: number | undefined;
  /** A connection that was silent for so many milliseconds is pinged. Default: 5,000. */
  readonly pingIntervalMs?: number | undefined;
  /** Milliseconds within which a ping must be answered, or the connection counts as dead. Default: 3,000. */
  readonly pingTimeoutMs?: number | undefined;
  /** Wait before the second attempt to reconnect; doubles with each failure, varies by half. Default: 50. */
  readonly reconnectDelayMinMs?: number | undefined;
  /** Longest wait between attempts to reconnect. Default: 1,000. */
  readonly reconnectDelayMaxMs?: number | undefined;
  /** Retries that may be made in a burst; ten successes earn one back. Beyond it each waits 1 s. Default: 1,000. */
  readonly retryBudget?: number | undefined;
  /** Where the client measures. Default: nowhere. */
  readonly meter?: Meter | undefined;
}

/** Options with nothing left open. */
export type ResolvedOptions = Readonly<
  { [K in keyof Omit<NoriClientOptions, 'clusterId'>]-?: NonNullable<NoriClientOptions[K]> } & {
    clusterId: string | undefined;
  }
>;

const TIMEOUT_MAX_MS = 2 ** 31 - 1;
const COUNT_MAX = 2 ** 40;

/** Default, lowest and highest value of each number. */
const NUMBERS = {
  timeoutMs: [10_000, 1, TIMEOUT_MAX_MS],
  connectTimeoutMs: [3_000, 1, TIMEOUT_MAX_MS],
  pendingOperationsMax: [65_536, 1, COUNT_MAX],
  pendingBytesMax: [64 * 1024 * 1024, 1, COUNT_MAX],
  inFlightBytesMax: [16 * 1024 * 1024, 1, COUNT_MAX],
  pingIntervalMs: [5_000, 1, TIMEOUT_MAX_MS],
  pingTimeoutMs: [3_000, 1, TIMEOUT_MAX_MS],
  reconnectDelayMinMs: [50, 1, TIMEOUT_MAX_MS],
  reconnectDelayMaxMs: [1_000, 1, TIMEOUT_MAX_MS],
  retryBudget: [1_000, 0, COUNT_MAX],
} as const;

/** Throws `INVALID_ARGUMENT` unless `value` is an integer from `min` to `max`. */
export const checkInteger = (name: string, value: unknown, min: number, max: number): number => {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalidArgument(`${name} is ${String(value)}: it must be an integer from ${min} to ${max}`);
};

/** Checks the time an operation may take. */
export const checkTimeout = (timeoutMs: number): number => checkInteger('timeoutMs', timeoutMs, 1, TIMEOUT_MAX_MS);

/** Checks what is given as a signal. */
export const checkSignal = (signal: AbortSignal | undefined): AbortSignal | undefined => {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalidArgument('signal must be an AbortSignal');
};

const parseEndpoint = (endpoint: unknown): string => {
  const wrong = () => invalidArgument(`endpoints: ${JSON.stringify(endpoint)} is not host:port`);
  if (typeof endpoint !== 'string' || endpoint.trim() === '' || /[/@?#\s]/.test(endpoint.trim())) throw wrong();
  const text = endpoint.trim();
  const colons = text.split(':').length - 1;
  const address = /\]$/.test(text) || colons === 0 ? `${text}:${PORTS.client}` : text;
  const match = /^(\[[0-9a-fA-F:.%]+\]|[^:[\]]+):(\d{1,5})$/.exec(address);
  if (match === null || Number(match[2]) < 1 || Number(match[2]) > 65_535) throw wrong();
  return address;
};

/** @throws NoriError `INVALID_ARGUMENT` naming the option */
export const resolveOptions = (options: NoriClientOptions): ResolvedOptions => {
  if (typeof options !== 'object' || options === null) throw invalidArgument('Options are missing: give endpoints');
  const { endpoints, clusterId, meter } = options;
  if (!Array.isArray(endpoints) || endpoints.length === 0) {
    throw invalidArgument('endpoints must name at least one node as host:port');
  }
  for (const name of Object.keys(options)) {
    if (name !== 'endpoints' && name !== 'clusterId' && name !== 'meter' && !Object.hasOwn(NUMBERS, name)) {
      const known = ['endpoints', 'clusterId', 'meter', ...Object.keys(NUMBERS)].join(', ');
      throw invalidArgument(`There is no option ${name}; there are ${known}`);
    }
  }
  if (clusterId !== undefined && !/^[0-9a-f]{32}$/i.test(clusterId)) {
    throw invalidArgument('clusterId must be 32 hex digits');
  }
  const numbers = Object.fromEntries(
    Object.entries(NUMBERS).map(([name, [fallback, min, max]]) => [
      name,
      checkInteger(name, options[name as keyof typeof NUMBERS] ?? fallback, min, max),
    ]),
  ) as Record<keyof typeof NUMBERS, number>;
  if (numbers.reconnectDelayMaxMs < numbers.reconnectDelayMinMs) {
    throw invalidArgument('reconnectDelayMaxMs must not be below reconnectDelayMinMs');
  }
  return Object.freeze({
    ...numbers,
    endpoints: Object.freeze([...new Set(endpoints.map(parseEndpoint))]),
    clusterId: clusterId?.toLowerCase(),
    meter: meter ?? noopMeter,
  });
};
