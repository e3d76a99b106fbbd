// The search for an order: depth first, with memory, after Wing & Gong, with Lowe's improvements ("Testing for
// linearizability", 2017): what has been tried is remembered as (operations placed, state), and operations are placed
// when the return of one of them asks for it, not before.
//
// A configuration is (rank of the first return whose operation is not placed, bits of the operations open then that are
// placed, state, bits of the pending operations used). Two things keep the search small beyond that:
//
// - A read that is possible now is placed now: nothing can become impossible by it.
// - A pending operation need not be placed at all, so a configuration is not worth a visit if one was visited that
//   differs only in having used fewer of them. They are tried last for the same reason. Of several that ask for the same
//   the first goes first.
import { ConfigurationSet } from './configurations.js';
import type { Operation, UNKNOWN } from './history.js';
import type { SequentialModel, StateKey } from './model.js';
import { layOut, type Timeline } from './timeline.js';

/** How a search ended. */
export interface SearchResult<State> {
  readonly result: 'linearizable' | 'not-linearizable' | 'undecided';
  /** Operations tried. */
  readonly steps: number;
  /** Positions in the history, in the order found; without a full one the longest. */
  readonly order: readonly number[];
  /** Position of the operation that returned when it could not be placed. */
  readonly blockedAt: number | undefined;
  /** States in which the longest orders end. */
  readonly states: readonly State[];
}

// Words of a frame on the stack. What identifies its configuration comes first, as the memory wants it.
const RANK = 0;
const STATE = 1;
const PLACED = 2;

/** One search; see {@link searchOrder}. */
class Search<State, Input, Output> {
  readonly #model: SequentialModel<State, Input, Output>;
  readonly #history: readonly Operation<Input, Output>[];
  readonly #timeline: Timeline;
  readonly #isRead: readonly boolean[];
  readonly #states: State[] = [];
  readonly #stateIds = new Map<StateKey, number>();
  readonly #seen: ConfigurationSet;
  /** Where in a frame the bits of pending operations begin, how many candidates were tried, how many operations are placed. */
  readonly #used: number;
  readonly #cursor: number;
  readonly #length: number;
  readonly #frameWords: number;
  readonly #stack: Int32Array;
  /** Ranks in the order in which they are placed. */
  readonly #order: Int32Array;
  #steps = 0;
  #bestRank = -1;
  #bestOrder = new Int32Array(0);
  readonly #bestStates = new Set<number>();

  constructor(
    model: SequentialModel<State, Input, Output>,
    history: readonly Operation<Input, Output>[],
    timeline: Timeline,
  ) {
    this.#model = model;
    this.#history = history;
    this.#timeline = timeline;
    this.#isRead = Array.from(timeline.operations, (at) => {
      const { input, output } = history[at]!;
      return model.isRead?.(input, output as Output | typeof UNKNOWN) ?? false;
    });
    const placedWords = (timeline.bitCount + 31) >>> 5;
    const usedWords = (timeline.pending + 31) >>> 5;
    this.#used = PLACED + placedWords;
    this.#cursor = this.#used + usedWords;
    this.#length = this.#cursor + 1;
    this.#frameWords = this.#length + 1;
    this.#seen = new ConfigurationSet(this.#used, usedWords);
    this.#order = new Int32Array(timeline.operations.length);
    this.#stack = new Int32Array((timeline.operations.length + 2) * this.#frameWords);
  }

  run(stepsMax: number): SearchResult<State> {
    const stack = this.#stack;
    stack[STATE] = this.#idOf(this.#model.init());
    if (this.#settle(0)) return this.#result('linearizable', stack[this.#length]!);
    this.#seen.add(stack, 0);
    for (let frame = 0; frame >= 0; ) {
      const next = this.#placeNext(frame, stepsMax);
      if (next === 'linearizable') return this.#result(next, stack[frame + this.#frameWords + this.#length]!);
      if (next === 'undecided') return this.#result(next, 0);
      if (next === 'pushed') {
        frame += this.#frameWords;
      } else {
        this.#noteDeadEnd(frame);
        frame -= this.#frameWords;
      }
    }
    return this.#result('not-linearizable', 0);
  }

  /** Tries the candidates of `frame` that are left until one gives a configuration that is new; it becomes the next frame. */
  #placeNext(frame: number, stepsMax: number): 'pushed' | 'exhausted' | 'linearizable' | 'undecided' {
    const { open, openFrom, pendingBefore, returned, bits } = this.#timeline;
    const stack = this.#stack;
    const rank = stack[frame + RANK]!;
    const state = stack[frame + STATE]!;
    const from = openFrom[rank]!;
    const openCount = openFrom[rank + 1]! - from;
    const count = openCount + pendingBefore[rank]!;
    const child = frame + this.#frameWords;
    for (let cursor = stack[frame + this.#cursor]!; cursor < count; cursor++) {
      const isPending = cursor >= openCount;
      const candidate = isPending ? returned + cursor - openCount : open[from + cursor]!;
      const bit = bits[candidate]!;
      const word = (isPending ? this.#used : PLACED) + (bit >>> 5);
      // A read that could be placed would have been.
      if (this.#isRead[candidate] || (stack[frame + word]! & (1 << (bit & 31))) !== 0) continue;
      if (isPending && this.#mustWait(frame, bit)) continue;
      if (++this.#steps > stepsMax) return 'undecided';
      const next = this.#step(state, candidate);
      if (next < 0 || (isPending && next === state)) continue;
      stack.copyWithin(child, frame, child);
      stack[child + STATE] = next;
      stack[child + word] = stack[child + word]! | (1 << (bit & 31));
      stack[child + this.#cursor] = 0;
      this.#order[stack[child + this.#length]!] = candidate;
      stack[child + this.#length]!++;
      if (this.#settle(child)) return 'linearizable';
      if (!this.#seen.add(stack, child)) continue;
      stack[frame + this.#cursor] = cursor + 1;
      return 'pushed';
    }
    return 'exhausted';
  }

  /** Whether another pending operation that asks for the same has to be used before. */
  #mustWait(frame: number, pending: number): boolean {
    const twin = this.#timeline.twins[pending]!;
    return twin >= 0 && (this.#stack[frame + this.#used + (twin >>> 5)]! & (1 << (twin & 31))) === 0;
  }

  /** Places the reads that are possible, and goes on past the returns of what is placed. True at the end of the history. */
  #settle(frame: number): boolean {
    const { open, openFrom, returned, bits } = this.#timeline;
    const stack = this.#stack;
    const state = stack[frame + STATE]!;
    for (let rank = stack[frame + RANK]!; ; rank++) {
      stack[frame + RANK] = rank;
      if (rank === returned) return true;
      for (let i = openFrom[rank]!; i < openFrom[rank + 1]!; i++) {
        const candidate = open[i]!;
        if (!this.#isRead[candidate]) continue;
        const word = frame + PLACED + (bits[candidate]! >>> 5);
        const mask = 1 << (bits[candidate]! & 31);
        if ((stack[word]! & mask) !== 0 || this.#step(state, candidate) !== state) continue;
        stack[word] = stack[word]! | mask;
        this.#order[stack[frame + this.#length]!] = candidate;
        stack[frame + this.#length]!++;
      }
      const word = frame + PLACED + (bits[rank]! >>> 5);
      const mask = 1 << (bits[rank]! & 31);
      if ((stack[word]! & mask) === 0) return false;
      // The bit is free for another operation from here on.
      stack[word] = stack[word]! & ~mask;
    }
  }

  /** Number of the state that placing the operation leads to, or -1. */
  #step(state: number, rank: number): number {
    const { input, output } = this.#history[this.#timeline.operations[rank]!]!;
    const next = this.#model.step(this.#states[state]!, input, output as Output | typeof UNKNOWN);
    return next === undefined ? -1 : this.#idOf(next);
  }

  #idOf(state: State): number {
    const key = this.#model.key(state);
    let id = this.#stateIds.get(key);
    if (id === undefined) {
      id = this.#states.length;
      this.#states.push(state);
      this.#stateIds.set(key, id);
    }
    return id;
  }

  /** Keeps the order that comes farthest; of several, one that uses the fewest operations for it. */
  #noteDeadEnd(frame: number): void {
    const rank = this.#stack[frame + RANK]!;
    const length = this.#stack[frame + this.#length]!;
    if (rank < this.#bestRank) return;
    if (rank > this.#bestRank) this.#bestStates.clear();
    if (rank > this.#bestRank || length < this.#bestOrder.length) this.#bestOrder = this.#order.slice(0, length);
    this.#bestRank = rank;
    this.#bestStates.add(this.#stack[frame + STATE]!);
  }

  #result(result: SearchResult<State>['result'], length: number): SearchResult<State> {
    const { operations } = this.#timeline;
    const isBad = result === 'not-linearizable';
    const order = result === 'linearizable' ? this.#order.subarray(0, length) : this.#bestOrder;
    return {
      result,
      steps: this.#steps,
      order: Array.from(order, (rank) => operations[rank]!),
      blockedAt: isBad ? operations[this.#bestRank] : undefined,
      states: isBad ? Array.from(this.#bestStates, (id) => this.#states[id]!) : [],
    };
  }
}

/** Looks for an order of `history`, in which no operation may have failed. */
export const searchOrder = <State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  stepsMax: number,
): SearchResult<State> => new Search(model, history, layOut(history)).run(stepsMax);
