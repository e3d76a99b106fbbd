// Histories of a map of registers, made by hand or by chance.
import {
  type Operation,
  type RegisterInput,
  type RegisterOutput,
  type RegisterState,
  type Rng,
  registerMap,
  UNKNOWN,
} from '../../src/index.js';

export type History = readonly Operation<RegisterInput, RegisterOutput>[];
type Output = Operation<RegisterInput, RegisterOutput>['output'];

/** An operation of process `process`, from `callAt` to `returnAt`. */
const operation =
  (input: RegisterInput, output: Output) =>
  (process: number, callAt: number, returnAt?: number): Operation<RegisterInput, RegisterOutput> => ({
    process,
    input,
    output,
    callAt,
    returnAt,
  });

export const get = (value: RegisterOutput | typeof UNKNOWN, key = 'x') => operation({ f: 'get', key }, value);
export const put = (value: number, output: Output = true, key = 'x') => operation({ f: 'put', key, value }, output);
export const remove = (output: Output, key = 'x') => operation({ f: 'delete', key }, output);
export const cas = (expected: number | undefined, value: number, output: Output, key = 'x') =>
  operation({ f: 'cas', key, expected, value }, output);
export const increment = (by: number, output: Output, key = 'x') => operation({ f: 'increment', key, by }, output);

/** What a random history is to be like. */
export interface HistoryShape {
  readonly operations: number;
  readonly processes: number;
  readonly keys: number;
  /** Values written are below this; undefined: each is written once. */
  readonly values?: number;
  /** Probability of an unknown outcome; half of these take effect. */
  readonly unknown: number;
  readonly kinds?: readonly RegisterInput['f'][];
}

const KINDS = ['get', 'get', 'get', 'put', 'put', 'delete', 'cas', 'cas', 'increment'] as const;

const randomInput = (rng: Rng, shape: HistoryShape, at: number, known: number): RegisterInput => {
  const key = `k${rng.int(shape.keys)}`;
  const value = shape.values === undefined ? at + 1 : rng.int(shape.values);
  const f = rng.pick(shape.kinds ?? KINDS);
  if (f === 'put') return { f, key, value };
  if (f === 'cas') return { f, key, expected: rng.chance(0.6) && known >= 0 ? known : undefined, value };
  return f === 'increment' ? { f, key, by: 1 } : { f, key };
};

/** The answer of a real store in state `state`. */
const answer = (state: RegisterState, input: RegisterInput): RegisterOutput => {
  switch (input.f) {
    case 'get':
      return state ?? undefined;
    case 'put':
      return true;
    case 'delete':
      return state !== null;
    case 'cas':
      return (input.expected ?? null) === state;
    case 'increment':
      return ((state ?? 0) as number) + input.by;
  }
};

/**
 * A history that is linearizable: operations take effect one after the other, at times 10, 20, 30, …; each is called
 * some time before and returns some time after, but none before the last one of its process has returned.
 */
export const randomHistory = (rng: Rng, shape: HistoryShape): Operation<RegisterInput, RegisterOutput>[] => {
  const states = new Map<string, RegisterState>();
  const freeAt = new Array<number>(shape.processes).fill(0);
  const history: Operation<RegisterInput, RegisterOutput>[] = [];
  for (let at = 0; history.length < shape.operations; at++) {
    const effectAt = (at + 1) * 10;
    const free = freeAt.map((time, process) => (time < effectAt - 1 ? process : -1)).filter((process) => process >= 0);
    if (free.length === 0) continue;
    const process = rng.pick(free);
    const known = [...states.values()].find((state) => state !== null) ?? -1;
    const input = randomInput(rng, shape, at, known as number);
    const state = states.get(input.key) ?? null;
    const callAt = rng.range(Math.max(freeAt[process]! + 1, effectAt - 10 * shape.processes), effectAt);
    const returnAt = effectAt + rng.int(10 * shape.processes);
    const isUnknown = rng.chance(shape.unknown);
    const output = isUnknown ? UNKNOWN : answer(state, input);
    if (!isUnknown || rng.chance(0.5)) states.set(input.key, registerMap.step(state, input, output) as RegisterState);
    history.push({ process, input, output, callAt, returnAt: isUnknown ? undefined : returnAt });
    freeAt[process] = returnAt;
  }
  return history;
};
