// A checker that is too simple to be wrong: it tries all orders of all choices of operations, for histories of a few.
import { FAILED, type RegisterState, registerMap, UNKNOWN } from '../../src/index.js';
import type { History } from './histories.js';

type Op = History[number];

const orders = function* (ops: readonly Op[]): Generator<readonly Op[]> {
  if (ops.length === 0) yield [];
  for (let i = 0; i < ops.length; i++) {
    for (const rest of orders([...ops.slice(0, i), ...ops.slice(i + 1)])) yield [ops[i]!, ...rest];
  }
};

const keepsTime = (order: readonly Op[]): boolean =>
  order.every((later, i) =>
    order.slice(0, i).every((earlier) => later.output === UNKNOWN || later.returnAt! >= earlier.callAt),
  );

const isLegal = (order: readonly Op[]): boolean => {
  const states = new Map<string, RegisterState>();
  return order.every(({ input, output }) => {
    const next = registerMap.step(
      states.get(input.key) ?? null,
      input,
      output as Exclude<typeof output, typeof FAILED>,
    );
    states.set(input.key, next ?? null);
    return next !== undefined;
  });
};

/** Whether a history has an order. */
export const isLinearizable = (history: History): boolean => {
  const known = history.filter(({ output }) => output !== UNKNOWN && output !== FAILED);
  const unknown = history.filter(({ output }) => output === UNKNOWN);
  for (let choice = 0; choice < 2 ** unknown.length; choice++) {
    const chosen = unknown.filter((_, i) => (choice >> i) & 1);
    for (const order of orders([...known, ...chosen])) {
      if (keepsTime(order) && isLegal(order)) return true;
    }
  }
  return false;
};
