// A violation for people: what cannot be placed, what the state could be, and the operations around it in the order of time.
import { type Operation, UNKNOWN } from './history.js';
import type { SequentialModel } from './model.js';

/** What is to be explained. Operations are positions in the partition's history. */
interface Findings<State> {
  readonly partition: string | number | undefined;
  readonly blockedAt: number;
  readonly order: readonly number[];
  readonly states: readonly State[];
}

/** Operations shown that had returned before the blocked one was called. */
const EARLIER_MAX = 12;
const STATES_MAX = 8;

const textOf = (value: unknown): string => JSON.stringify(value) ?? 'nothing';

const describe = <State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  { input, output }: Operation<Input, Output>,
): string => {
  const answer = output as Output | typeof UNKNOWN;
  return model.describe?.(input, answer) ?? `${textOf(input)} -> ${answer === UNKNOWN ? 'unknown' : textOf(answer)}`;
};

const endOf = (operation: Operation<unknown, unknown>): number =>
  operation.output === UNKNOWN ? Number.POSITIVE_INFINITY : operation.returnAt!;

/** Positions of what was called before the blocked operation returned, without the earliest. */
const surroundings = (
  history: readonly Operation<unknown, unknown>[],
  { blockedAt }: Findings<unknown>,
): { shown: readonly number[]; earlier: number } => {
  const blocked = history[blockedAt]!;
  const all = history
    .map((_, at) => at)
    .filter((at) => history[at]!.callAt <= blocked.returnAt!)
    .sort((a, b) => history[a]!.callAt - history[b]!.callAt || endOf(history[a]!) - endOf(history[b]!));
  const before = all.filter((at) => endOf(history[at]!) < blocked.callAt);
  const hidden = new Set(before.slice(0, Math.max(0, before.length - EARLIER_MAX)));
  return { shown: all.filter((at) => !hidden.has(at)), earlier: hidden.size };
};

const placeOf = (at: number, { blockedAt, order }: Findings<unknown>): string => {
  if (at === blockedAt) return 'cannot be placed';
  const place = order.indexOf(at);
  return place < 0 ? 'not placed' : `placed ${place + 1}.`;
};

const stateTexts = <State>(
  model: Pick<SequentialModel<State, never, never>, 'key' | 'describeState'>,
  states: readonly State[],
): string => {
  const texts = states.slice(0, STATES_MAX).map((state) => model.describeState?.(state) ?? textOf(model.key(state)));
  return texts.join(' or ') + (states.length > STATES_MAX ? ' or …' : '');
};

/** Explains why a partition is not linearizable. */
export const explain = <State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  findings: Findings<State>,
): string => {
  const blocked = history[findings.blockedAt]!;
  const { shown, earlier } = surroundings(history, findings);
  const where = findings.partition === undefined ? '' : ` in partition ${textOf(findings.partition)}`;
  const spans = shown.map((at) => {
    const { callAt, output, returnAt } = history[at]!;
    return `${callAt}..${output === UNKNOWN ? '' : returnAt}`;
  });
  const width = Math.max(...spans.map((span) => span.length));
  return [
    `Not linearizable${where}: process ${blocked.process}, ${describe(model, blocked)}, from ${blocked.callAt} to ${blocked.returnAt}.`,
    `Whatever the order of what had returned before, the state could then only be ${stateTexts(model, findings.states)}.`,
    earlier === 0 ? 'By time of call:' : `By time of call, without the first ${earlier}:`,
    ...shown.map((at, i) => {
      const operation = history[at]!;
      const span = spans[i]!.padStart(width);
      return `  ${span}  process ${operation.process}  ${describe(model, operation)}  (${placeOf(at, findings)})`;
    }),
  ].join('\n');
};
