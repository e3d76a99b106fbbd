// The sequential model of a key-value store: each key is a register, and a partition of its own.
import { type Operation, UNKNOWN } from './history.js';
import type { SequentialModel } from './model.js';

/** What can be stored. Use each value for one write only where you can: the checker sees more then. */
export type RegisterValue = string | number;

/** One call of a key-value store. */
export type RegisterInput =
  | { readonly f: 'get'; readonly key: string }
  | { readonly f: 'put'; readonly key: string; readonly value: RegisterValue }
  | { readonly f: 'delete'; readonly key: string }
  /** Writes `value` if the key holds `expected`; undefined: if it is absent. */
  | {
      readonly f: 'cas';
      readonly key: string;
      readonly expected: RegisterValue | undefined;
      readonly value: RegisterValue;
    }
  /** Adds to a number; an absent key counts as 0. */
  | { readonly f: 'increment'; readonly key: string; readonly by: number };

/**
 * Its answer. `get`: the value, undefined when absent. `put`: anything. `delete`: whether the key was there, or undefined
 * when the store does not tell. `cas`: whether it wrote. `increment`: the sum.
 */
export type RegisterOutput = RegisterValue | boolean | undefined;

/** null: absent. */
export type RegisterState = RegisterValue | null;

type Answer = RegisterOutput | typeof UNKNOWN;

const increment = (state: RegisterState, by: number, output: Answer): RegisterState | undefined => {
  if (typeof state === 'string') return undefined;
  const sum = (state ?? 0) + by;
  return output === UNKNOWN || output === sum ? sum : undefined;
};

const step = (state: RegisterState, input: RegisterInput, output: Answer): RegisterState | undefined => {
  switch (input.f) {
    case 'get':
      return output === UNKNOWN || (output ?? null) === state ? state : undefined;
    case 'put':
      return input.value;
    case 'delete':
      return output === UNKNOWN || output === undefined || output === (state !== null) ? null : undefined;
    case 'cas': {
      const matches = (input.expected ?? null) === state;
      if (output !== UNKNOWN && output !== matches) return undefined;
      return matches ? input.value : state;
    }
    case 'increment':
      return increment(state, input.by, output);
  }
};

type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

/** Stands for all values of a key that nobody reads or expects. No store can answer with it. */
const UNSEEN = 'a value that nobody sees';

/** Writes the same value wherever the one written is neither read nor expected. */
const simplify = (operations: readonly RegisterOperation[]): readonly RegisterOperation[] => {
  const seen = new Set<unknown>();
  for (const { input, output } of operations) {
    // Sums depend on values that are not seen themselves.
    if (input.f === 'increment') return operations;
    if (input.f === 'get') seen.add(output);
    if (input.f === 'cas') seen.add(input.expected);
  }
  if (seen.has(UNSEEN)) return operations;
  return operations.map((operation) =>
    'value' in operation.input && !seen.has(operation.input.value)
      ? { ...operation, input: { ...operation.input, value: UNSEEN } }
      : operation,
  );
};

const callText = (input: RegisterInput): string => {
  switch (input.f) {
    case 'get':
    case 'delete':
      return `${input.f}(${JSON.stringify(input.key)})`;
    case 'put':
      return `put(${JSON.stringify(input.key)}, ${JSON.stringify(input.value)})`;
    case 'cas':
      return `cas(${JSON.stringify(input.key)}, ${JSON.stringify(input.expected) ?? 'absent'} to ${JSON.stringify(input.value)})`;
    case 'increment':
      return `increment(${JSON.stringify(input.key)}, ${input.by})`;
  }
};

const answerText = (input: RegisterInput, output: Answer): string => {
  if (output === UNKNOWN) return 'unknown';
  if (output === undefined) return input.f === 'get' ? 'absent' : 'ok';
  return JSON.stringify(output);
};

/** A map of registers, all absent at first. */
export const registerMap: SequentialModel<RegisterState, RegisterInput, RegisterOutput> = {
  init: () => null,
  step,
  key: (state) => state,
  partition: (input) => input.key,
  simplify,
  isRead: (input, output) => input.f === 'get' || (input.f === 'cas' && output === false),
  describe: (input, output) => `${callText(input)} -> ${answerText(input, output)}`,
  describeState: (state) => (state === null ? 'absent' : JSON.stringify(state)),
};
