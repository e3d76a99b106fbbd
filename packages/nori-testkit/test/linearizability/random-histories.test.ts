import { expect, test } from 'vitest';
import { checkLinearizability, type Operation, Rng, registerMap, seedFromEnv, UNKNOWN } from '../../src/index.js';
import { isLinearizable } from './brute-force.js';
import { type History, type HistoryShape, randomHistory } from './histories.js';

const seed = seedFromEnv();
const at = `NORI_SEED=${seed}`;

/** Puts something else for the output of one operation. */
const withOutput = (
  history: History,
  position: number,
  output: Operation<unknown, never>['output'] | number | boolean,
) => history.map((operation, i) => (i === position ? { ...operation, output } : operation)) as History;

const shapes: readonly HistoryShape[] = [
  { operations: 300, processes: 1, keys: 1, unknown: 0 },
  { operations: 300, processes: 3, keys: 1, unknown: 0 },
  { operations: 300, processes: 8, keys: 3, unknown: 0.01 },
  { operations: 300, processes: 8, keys: 1, unknown: 0.2, kinds: ['get', 'put', 'cas'] },
  { operations: 300, processes: 5, keys: 2, values: 3, unknown: 0.05 },
  { operations: 200, processes: 12, keys: 2, unknown: 0.02 },
];

test('histories of a sequential execution, however their operations overlap, are linearizable', () => {
  const rng = new Rng(seed);
  for (let round = 0; round < 25; round++) {
    for (const shape of shapes) {
      const verdict = checkLinearizability(registerMap, randomHistory(rng, shape));
      expect(verdict.result, at).toBe('linearizable');
    }
  }
});

test('the same with one answer changed to an impossible one are not, and that answer is named', () => {
  const rng = new Rng(seed);
  for (let round = 0; round < 25; round++) {
    for (const shape of shapes) {
      const history = randomHistory(rng, shape);
      const gets = history.flatMap(({ input, output }, i) => (input.f === 'get' && output !== UNKNOWN ? [i] : []));
      if (gets.length === 0) continue;
      const position = rng.pick(gets);
      const mutated = withOutput(history, position, 1_000_000);
      const verdict = checkLinearizability(registerMap, mutated);
      if (verdict.result !== 'not-linearizable') throw new Error(`${verdict.result}, ${at}`);
      expect(verdict.violation.operation, at).toBe(mutated[position]);
      expect(verdict.violation.text, at).toContain('-> 1000000  (cannot be placed)');
    }
  }
});

/** Small enough for all orders, with few values, so that both verdicts are common. */
const tinyHistory = (rng: Rng): History => {
  const shape = { operations: rng.range(2, 5), processes: rng.range(2, 4), keys: rng.range(1, 2), values: 2 };
  const history = randomHistory(rng, { ...shape, unknown: rng.pick([0, 0.2, 0.5]) });
  const position = rng.int(history.length);
  const { input, output } = history[position]!;
  if (output === UNKNOWN || rng.chance(0.3)) return history;
  if (input.f === 'get' || input.f === 'increment') return withOutput(history, position, rng.int(3));
  return input.f === 'put' ? history : withOutput(history, position, rng.chance(0.5));
};

test('the verdict is that of trying all orders', () => {
  const rng = new Rng(seed);
  const counts = { linearizable: 0, 'not-linearizable': 0, undecided: 0 };
  for (let round = 0; round < 4000; round++) {
    const history = tinyHistory(rng);
    const { result } = checkLinearizability(registerMap, history);
    counts[result]++;
    const text = `${at}, round ${round}, ${JSON.stringify(history)}`;
    expect(result, text).toBe(isLinearizable(history) ? 'linearizable' : 'not-linearizable');
  }
  expect(counts.linearizable, at).toBeGreaterThan(800);
  expect(counts['not-linearizable'], at).toBeGreaterThan(800);
});

test('an order that is found is one: prefixes keep to times and answers', () => {
  const rng = new Rng(seed);
  for (let round = 0; round < 500; round++) {
    const history = tinyHistory(rng);
    const verdict = checkLinearizability(registerMap, history);
    if (verdict.result !== 'not-linearizable') continue;
    // Forced into its order by disjoint times, the prefix is linearizable.
    const prefix = verdict.violation.prefix.map((operation, i) => ({
      ...operation,
      callAt: 2 * i,
      returnAt: 2 * i + 1,
    }));
    expect(isLinearizable(prefix), at).toBe(true);
  }
});

test('two thousand operations of eight processes on three keys are decided in few steps', () => {
  const rng = new Rng(seed);
  const shape = { operations: 2000, processes: 8, keys: 3, unknown: 0.01 };
  for (let round = 0; round < 10; round++) {
    const history = randomHistory(rng, shape);
    const good = checkLinearizability(registerMap, history);
    expect(good.result, at).toBe('linearizable');
    expect(good.steps, at).toBeLessThan(100_000);
    const last = history.findLastIndex(({ input, output }) => input.f === 'get' && output !== UNKNOWN);
    const bad = checkLinearizability(registerMap, withOutput(history, last, 1_000_000));
    expect(bad.result, at).toBe('not-linearizable');
    expect(bad.steps, at).toBeLessThan(2_000_000);
  }
});
