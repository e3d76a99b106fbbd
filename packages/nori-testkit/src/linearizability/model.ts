// What the checker asks of a sequential specification.
import type { Operation, UNKNOWN } from './history.js';

/** Tells two states apart: equal keys, equal states. Cheap to make. */
export type StateKey = string | number | boolean | null;

/** How an object behaves when it is used by one caller at a time. States are immutable. */
export interface SequentialModel<State, Input, Output> {
  init(): State;
  /**
   * The state after `input` was answered with `output`; undefined when it could not have been answered so. With
   * `UNKNOWN` the state that the operation leads to, whatever it answered.
   */
  step(state: State, input: Input, output: Output | typeof UNKNOWN): State | undefined;
  key(state: State): StateKey;
  /** Histories of different partitions have nothing to do with each other and are checked one by one, each from `init`. */
  partition?(input: Input): string | number;
  /**
   * True only if this operation, answered so, leaves every state as it is in which it is possible at all, as reads do.
   * Saves most of the search.
   */
  isRead?(input: Input, output: Output | typeof UNKNOWN): boolean;
  /**
   * The operations of a partition, one for one, with what makes no difference made equal: pending operations whose inputs
   * are equal as JSON are interchangeable, which saves much when many outcomes are unknown.
   */
  simplify?(operations: readonly Operation<Input, Output>[]): readonly Operation<Input, Output>[];
  /** For explanations. Default: both as JSON. */
  describe?(input: Input, output: Output | typeof UNKNOWN): string;
  /** For explanations. Default: the key as JSON. */
  describeState?(state: State): string;
}
