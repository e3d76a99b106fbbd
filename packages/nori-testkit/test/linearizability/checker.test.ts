import { describe, expect, test } from 'vitest';
import { checkLinearizability, FAILED, registerMap, type SequentialModel, UNKNOWN } from '../../src/index.js';
import { cas, get, type History, increment, put, remove } from './histories.js';

const verdictOf = (history: History) => checkLinearizability(registerMap, history).result;

const good: Record<string, History> = {
  'an empty history': [],
  'one after the other': [put(1)(0, 0, 1), get(1)(0, 2, 3), remove(true)(0, 4, 5), get(undefined)(0, 6, 7)],
  'a read that overlaps a write may see the old value or the new one': [
    put(1)(0, 0, 1),
    put(2)(0, 2, 9),
    get(1)(1, 3, 4),
    get(2)(2, 5, 6),
  ],
  'concurrent writes in the order that a later read asks for': [put(1)(0, 0, 5), put(2)(1, 0, 5), get(1)(2, 6, 7)],
  'an unknown write that is seen late': [put(1)(0, 0, 1), put(2, UNKNOWN)(1, 2), get(1)(0, 3, 4), get(2)(0, 50, 51)],
  'an unknown write that is never seen': [put(1)(0, 0, 1), put(2, UNKNOWN)(1, 2), get(1)(0, 3, 4), get(1)(0, 50, 51)],
  'an unknown cas that explains why another one fails': [
    put(1)(0, 0, 1),
    cas(1, 2, UNKNOWN)(1, 2),
    cas(1, 3, false)(0, 3, 4),
    get(2)(0, 5, 6),
  ],
  'an unknown increment': [increment(1, 1)(0, 0, 1), increment(5, UNKNOWN)(1, 2), increment(1, 7)(0, 3, 4)],
  'a failed write leaves no trace': [put(1)(0, 0, 1), put(2, FAILED)(1, 2, 3), get(1)(0, 4, 5)],
  'what happens at the same time is concurrent': [put(1)(0, 0, 5), get(undefined)(1, 5, 6)],
  'keys have nothing to do with each other': [
    put(1, true, 'x')(0, 0, 1),
    get(undefined, 'y')(1, 2, 3),
    put(2, true, 'y')(0, 2, 9),
    get(1, 'x')(1, 4, 5),
  ],
  'a long operation under many short ones': [
    put(1)(0, 0, 100),
    ...Array.from({ length: 40 }, (_, i) => get(undefined)(1, 2 * i + 1, 2 * i + 2)),
    get(1)(1, 90, 91),
    get(1)(1, 101, 102),
  ],
  'forty writes at once': [...Array.from({ length: 40 }, (_, i) => put(i)(i, 0, 100 + i)), get(39)(50, 200, 201)],
};

const bad: Record<string, History> = {
  'a stale read': [put(1)(0, 0, 1), put(2)(0, 2, 3), get(1)(1, 4, 5)],
  'a read that goes back': [put(1)(0, 0, 1), put(2)(0, 2, 9), get(2)(1, 3, 4), get(1)(2, 5, 6)],
  'a lost update': [increment(1, 1)(0, 0, 5), increment(1, 1)(1, 0, 5)],
  'a lost write': [put(1)(0, 0, 1), get(undefined)(0, 2, 3)],
  'a value that nobody wrote': [put(1)(0, 0, 9), get(7)(1, 0, 9)],
  'two writes that two readers see in different orders': [
    put(1)(0, 0, 9),
    put(2)(1, 0, 9),
    get(1)(2, 10, 11),
    get(2)(3, 12, 13),
  ],
  'two readers that overlap the writes and disagree': [
    put(1)(0, 0, 20),
    put(2)(1, 0, 20),
    get(1)(2, 1, 2),
    get(2)(2, 3, 4),
    get(2)(3, 1, 2),
    get(1)(3, 5, 6),
  ],
  'a cas that took effect twice': [put(1)(0, 0, 1), cas(1, 2, true)(0, 2, 3), put(1)(0, 4, 5), get(2)(0, 6, 7)],
  'two successes of one cas': [put(1)(0, 0, 1), cas(1, 2, true)(1, 2, 9), cas(1, 3, true)(2, 2, 9)],
  'a cas that fails although nobody interfered': [put(1)(0, 0, 1), cas(1, 2, false)(0, 2, 3)],
  'an unknown write that is seen and then not seen any more': [
    put(1)(0, 0, 1),
    put(2, UNKNOWN)(1, 2),
    get(2)(0, 3, 4),
    get(1)(0, 5, 6),
  ],
  'an unknown write that takes effect twice': [
    put(2, UNKNOWN)(1, 0),
    get(2)(0, 3, 4),
    put(1)(0, 5, 6),
    get(1)(0, 7, 8),
    get(2)(0, 9, 10),
  ],
  'writes of two processes against the order of real time': [put(1)(0, 0, 1), put(2)(1, 2, 3), get(1)(2, 4, 5)],
  'a read of a value before its write is called': [get(1)(0, 0, 1), put(1)(1, 2, 3)],
  'a read of an unknown value before its write is called': [get(1)(0, 0, 1), put(1, UNKNOWN)(1, 2)],
  'a failed write that is seen': [put(1)(0, 0, 1), put(2, FAILED)(1, 2, 3), get(2)(0, 4, 5)],
  'a delete that says it found nothing': [put(1)(0, 0, 1), remove(false)(0, 2, 3)],
  'one bad key among good ones': [put(1, true, 'x')(0, 0, 1), get(1, 'x')(0, 2, 3), get(3, 'y')(0, 4, 5)],
};

describe('linearizable', () => {
  for (const [name, history] of Object.entries(good)) {
    test(name, () => expect(verdictOf(history)).toBe('linearizable'));
  }
});

describe('not linearizable', () => {
  for (const [name, history] of Object.entries(bad)) {
    test(name, () => expect(verdictOf(history)).toBe('not-linearizable'));
  }
});

test('a violation names the operation, what came before, and tells both in words', () => {
  const history = [
    put(1, true, 'a')(0, 0, 1),
    put(1)(0, 2, 3),
    put(2)(1, 4, 5),
    put(3, UNKNOWN)(2, 4),
    get(1)(3, 6, 7),
  ];
  const verdict = checkLinearizability(registerMap, [...history, get(9)(3, 8, 9)]);
  if (verdict.result !== 'not-linearizable') throw new Error(verdict.result);
  expect(verdict.violation.partition).toBe('x');
  expect(verdict.violation.operation).toBe(history[4]);
  expect(verdict.violation.prefix).toEqual([history[1], history[2]]);
  expect(verdict.violation.text.split('\n')).toEqual([
    'Not linearizable in partition "x": process 3, get("x") -> 1, from 6 to 7.',
    'Whatever the order of what had returned before, the state could then only be 3 or 2.',
    'By time of call:',
    '  2..3  process 0  put("x", 1) -> true  (placed 1.)',
    '  4..5  process 1  put("x", 2) -> true  (placed 2.)',
    '   4..  process 2  put("x", 3) -> unknown  (not placed)',
    '  6..7  process 3  get("x") -> 1  (cannot be placed)',
  ]);
});

test('an explanation leaves out what happened long before', () => {
  const history = Array.from({ length: 100 }, (_, i) => put(i)(0, 2 * i, 2 * i + 1));
  const verdict = checkLinearizability(registerMap, [...history, get(5)(1, 300, 301)]);
  if (verdict.result !== 'not-linearizable') throw new Error(verdict.result);
  expect(verdict.violation.text).toContain('without the first 88');
  expect(verdict.violation.text.split('\n')).toHaveLength(3 + 13);
  expect(verdict.violation.prefix).toHaveLength(100);
});

test('a limit of steps makes it undecided, never a pass, and a bad partition decides all the same', () => {
  const hard = [...Array.from({ length: 12 }, (_, i) => put(i)(i, 0, 100)), get(99)(50, 200, 201)];
  const verdict = checkLinearizability(registerMap, hard, { stepsMax: 1000 });
  expect(verdict).toEqual({ result: 'undecided', steps: 1001, partition: 'x' });
  const withBad = [...hard, get(1, 'y')(0, 300, 301)];
  expect(checkLinearizability(registerMap, withBad, { stepsMax: 1000 }).result).toBe('not-linearizable');
  expect(checkLinearizability(registerMap, hard).result).toBe('not-linearizable');
});

test('times that make no sense are refused', () => {
  expect(() => verdictOf([put(1)(0, 5, 4)])).toThrow(RangeError);
  expect(() => verdictOf([put(1)(0, 5)])).toThrow(RangeError);
  expect(() => verdictOf([put(1)(0, Number.NaN, 4)])).toThrow(RangeError);
});

/** A queue: no partitions, no reads, no descriptions. */
const queue: SequentialModel<readonly number[], { readonly push?: number }, number | undefined> = {
  init: () => [],
  step: (state, input, output) => {
    if (input.push !== undefined) return [...state, input.push];
    return output === UNKNOWN || output === state[0] ? state.slice(1) : undefined;
  },
  key: (state) => state.join(),
};

test('any model will do: a queue', () => {
  const push = (value: number, process: number, callAt: number, returnAt: number) => ({
    process,
    input: { push: value },
    output: undefined,
    callAt,
    returnAt,
  });
  const pop = (output: number | typeof UNKNOWN, process: number, callAt: number, returnAt: number) => ({
    process,
    input: {},
    output,
    callAt,
    returnAt,
  });
  const pushes = [push(1, 0, 0, 5), push(2, 1, 0, 5), push(3, 0, 6, 7)];
  expect(checkLinearizability(queue, [...pushes, pop(2, 0, 8, 9), pop(1, 0, 10, 11)]).result).toBe('linearizable');
  expect(
    checkLinearizability(queue, [...pushes, pop(UNKNOWN, 0, 8, 9), pop(3, 1, 8, 20), pop(2, 2, 8, 9)]).result,
  ).toBe('linearizable');
  const verdict = checkLinearizability(queue, [...pushes, pop(3, 0, 8, 9)]);
  if (verdict.result !== 'not-linearizable') throw new Error(verdict.result);
  expect(verdict.violation.partition).toBeUndefined();
  expect(verdict.violation.text).toContain('Not linearizable: process 0, {} -> 3, from 8 to 9.');
});
