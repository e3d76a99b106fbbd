// The linearizability checker: is there an order of the operations in which each takes effect between its call and its
// return, and all answers are those of the sequential model?
import { explain } from './explanation.js';
import { assertTimes, FAILED, type Operation } from './history.js';
import type { SequentialModel } from './model.js';
import { type SearchResult, searchOrder } from './search.js';

/** Options of {@link checkLinearizability}. */
export interface CheckOptions {
  /** Operations tried in one partition before the checker gives up and says `undecided`. Default 5 million. */
  readonly stepsMax?: number;
}

/** Why a history is not linearizable. */
export interface Violation<Input, Output> {
  /** The model's partition; undefined when it has none. */
  readonly partition: string | number | undefined;
  /**
   * The first operation, by return, that cannot be placed: up to its return the history has no order, with its return left
   * out it has one.
   */
  readonly operation: Operation<Input, Output>;
  /** A longest order of what came before. */
  readonly prefix: readonly Operation<Input, Output>[];
  /** All of it for people, in the order of time. */
  readonly text: string;
}

/** What {@link checkLinearizability} found. `steps`: operations tried. */
export type Verdict<Input, Output> =
  | { readonly result: 'linearizable'; readonly steps: number }
  | { readonly result: 'undecided'; readonly steps: number; readonly partition: string | number | undefined }
  | { readonly result: 'not-linearizable'; readonly steps: number; readonly violation: Violation<Input, Output> };

const STEPS_MAX = 5_000_000;
const EXPLANATION_STEPS_MAX = 100_000;

const partitionsOf = <State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): Map<string | number | undefined, number[]> => {
  const partitions = new Map<string | number | undefined, number[]>();
  history.forEach(({ input, output }, at) => {
    if (output === FAILED) return;
    const key = model.partition?.(input);
    const positions = partitions.get(key);
    if (positions === undefined) partitions.set(key, [at]);
    else positions.push(at);
  });
  return partitions;
};

/** Looks at a violation again as it was, not simplified, so that it is told with the values that were written. */
const findOut = <State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  found: SearchResult<State>,
): SearchResult<State> => {
  const again = searchOrder(model, operations, EXPLANATION_STEPS_MAX);
  return again.result === 'not-linearizable' ? again : found;
};

/**
 * Checks a history against a model. A bad partition decides, also when another one could not be decided.
 * @throws RangeError when an operation's times make no sense
 */
export const checkLinearizability = <State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  options: CheckOptions = {},
): Verdict<Input, Output> => {
  assertTimes(history);
  let steps = 0;
  let undecided: { partition: string | number | undefined } | undefined;
  for (const [partition, positions] of partitionsOf(model, history)) {
    const operations = positions.map((at) => history[at]!);
    const found = searchOrder(model, model.simplify?.(operations) ?? operations, options.stepsMax ?? STEPS_MAX);
    steps += found.steps;
    if (found.result === 'undecided') undecided ??= { partition };
    if (found.result !== 'not-linearizable') continue;
    const { blockedAt, order, states } = findOut(model, operations, found);
    const violation = {
      partition,
      operation: operations[blockedAt!]!,
      prefix: order.map((at) => operations[at]!),
      text: explain(model, operations, { partition, blockedAt: blockedAt!, order, states }),
    };
    return { result: 'not-linearizable', steps, violation };
  }
  return undecided === undefined
    ? { result: 'linearizable', steps }
    : { result: 'undecided', steps, partition: undecided.partition };
};
