// What a bench run does.
import { usageFailure } from '../failure.js';

/** How keys are chosen: all alike, few of them most of the time (Zipf, 0.99), or one after the other. */
export const DISTRIBUTIONS = ['uniform', 'zipf', 'sequential'] as const;

/** One of {@link DISTRIBUTIONS}. */
export type Distribution = (typeof DISTRIBUTIONS)[number];

/** Kinds of operations, in the order of reports. */
export const OPERATIONS = ['put', 'get'] as const;

/** One of {@link OPERATIONS}. */
export type OperationName = (typeof OPERATIONS)[number];

/** Shares of the operations; they add up to 1. */
export type Mix = Readonly<Record<OperationName, number>>;

/** A checked bench run. */
export interface BenchPlan {
  readonly mix: Mix;
  readonly keys: number;
  readonly valueBytes: number;
  /** Closed loop: operations in flight. Open loop: at most so many. */
  readonly callers: number;
  readonly durationS: number;
  readonly warmupS: number;
  /** Operations a second in an open loop; undefined: a closed loop. */
  readonly ratePerS: number | undefined;
  readonly distribution: Distribution;
  readonly keyPrefix: string;
  readonly seed: number;
  /** Write every key once before anything is measured. */
  readonly preload: boolean;
}

/** Reads `put=50,get=50`: weights of any size, a name left out has none. */
export const parseMix = (text: string): Mix => {
  const weights: Record<OperationName, number> = { put: 0, get: 0 };
  for (const part of text.split(',')) {
    const match = /^\s*(\w+)=(\d+(?:\.\d+)?)\s*$/.exec(part);
    const name = OPERATIONS.find((candidate) => candidate === match?.[1]);
    if (match === null || name === undefined) throw mixFailure(text);
    weights[name] = Number(match[2]);
  }
  const total = weights.put + weights.get;
  if (!(total > 0)) throw mixFailure(text);
  return { put: weights.put / total, get: weights.get / total };
};

const mixFailure = (text: string) =>
  usageFailure(
    `--mix: ${JSON.stringify(text)} is not allowed; allowed: shares of ${OPERATIONS.join(' and ')} such as put=50,get=50`,
  );
