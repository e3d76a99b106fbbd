// What a test saw: operations with the times of their calls and returns. Times are numbers of any unit; the order of a
// simulator's events serves as well as milliseconds. An operation called at the very time at which another returned
// counts as concurrent with it.

/** Output of an operation that may have taken effect at any time after its call, or never: a timeout, a lost connection. */
export const UNKNOWN: unique symbol = Symbol('unknown');

/** Output of an operation that is known not to have happened. The checker leaves it out. */
export const FAILED: unique symbol = Symbol('failed');

/** One operation of a history. */
export interface Operation<Input, Output> {
  /** Who called it. For people: the checker goes by times alone. */
  readonly process: number;
  readonly input: Input;
  readonly output: Output | typeof UNKNOWN | typeof FAILED;
  readonly callAt: number;
  /** When the output arrived. Needed unless the output is `UNKNOWN`. */
  readonly returnAt?: number | undefined;
}

/** @throws RangeError when a time is missing or an operation returns before it is called */
export const assertTimes = (operations: readonly Operation<unknown, unknown>[]): void => {
  operations.forEach(({ callAt, returnAt, output }, at) => {
    if (Number.isNaN(callAt)) throw new RangeError(`Operation ${at} has no time of call.`);
    if (output === UNKNOWN) return;
    if (returnAt === undefined || !(returnAt >= callAt)) {
      throw new RangeError(`Operation ${at} must return at or after ${callAt}, not at ${returnAt}.`);
    }
  });
};
