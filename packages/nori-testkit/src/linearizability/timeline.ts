// A history laid out for the search: operations by the order of their returns, and who is open when.
import { type Operation, UNKNOWN } from './history.js';

/** Names operations by rank: 0 is the first to return. Pending ones come after, in the order of their calls. */
export interface Timeline {
  /** Position in the history of each rank. */
  readonly operations: Int32Array;
  /** Ranks below this one have returned. */
  readonly returned: number;
  readonly pending: number;
  /**
   * Bit of each rank. Those that return share bits if they are never open together; pending ones have bits of their own,
   * counted from 0 again.
   */
  readonly bits: Int32Array;
  readonly bitCount: number;
  /** `open[openFrom[r]]` to before `open[openFrom[r + 1]]`: ranks open when rank r returns, itself included, ascending. */
  readonly open: readonly number[];
  readonly openFrom: Int32Array;
  /** Pending operations that were called before rank r returned. */
  readonly pendingBefore: Int32Array;
  /** For each pending operation the number of the one before it that asks for the same, or -1: they are interchangeable. */
  readonly twins: Int32Array;
}

const byReturn = (history: readonly Operation<unknown, unknown>[]) => (a: number, b: number) =>
  history[a]!.returnAt! - history[b]!.returnAt! || a - b;
const byCall = (history: readonly Operation<unknown, unknown>[]) => (a: number, b: number) =>
  history[a]!.callAt - history[b]!.callAt || a - b;

/** Keeps the ranks that are open, ascending, and gives each the lowest free bit. */
class OpenRanks {
  readonly ranks: number[] = [];
  readonly #free: number[] = [];
  bitCount = 0;

  add(rank: number): number {
    let at = this.ranks.length;
    while (at > 0 && this.ranks[at - 1]! > rank) at--;
    this.ranks.splice(at, 0, rank);
    return this.#free.pop() ?? this.bitCount++;
  }

  /** The lowest rank returns. */
  removeFirst(bit: number): void {
    this.ranks.shift();
    this.#free.push(bit);
  }
}

const twinsOf = (history: readonly Operation<unknown, unknown>[], pending: readonly number[]): Int32Array => {
  const last = new Map<string, number>();
  return Int32Array.from(pending, (at, i) => {
    const text = JSON.stringify(history[at]!.input) ?? `${i}`;
    const twin = last.get(text) ?? -1;
    last.set(text, i);
    return twin;
  });
};

/** Lays out a history, in which no operation may have failed. */
export const layOut = (history: readonly Operation<unknown, unknown>[]): Timeline => {
  const positions = history.map((_, at) => at);
  const done = positions.filter((at) => history[at]!.output !== UNKNOWN).sort(byReturn(history));
  const pending = positions.filter((at) => history[at]!.output === UNKNOWN).sort(byCall(history));
  const operations = Int32Array.from([...done, ...pending]);
  const calls = done.map((_, rank) => rank).sort((a, b) => byCall(history)(done[a]!, done[b]!));
  const bits = new Int32Array(operations.length);
  const openFrom = new Int32Array(done.length + 1);
  const pendingBefore = new Int32Array(done.length);
  const open: number[] = [];
  const now = new OpenRanks();
  let called = 0;
  let calledPending = 0;
  for (let rank = 0; rank < done.length; rank++) {
    const returnAt = history[done[rank]!]!.returnAt!;
    for (; called < calls.length && history[done[calls[called]!]!]!.callAt <= returnAt; called++) {
      bits[calls[called]!] = now.add(calls[called]!);
    }
    while (calledPending < pending.length && history[pending[calledPending]!]!.callAt <= returnAt) calledPending++;
    pendingBefore[rank] = calledPending;
    openFrom[rank] = open.length;
    for (const other of now.ranks) open.push(other);
    now.removeFirst(bits[rank]!);
  }
  openFrom[done.length] = open.length;
  for (let i = 0; i < pending.length; i++) bits[done.length + i] = i;
  const counts = { returned: done.length, pending: pending.length, bitCount: now.bitCount };
  return { operations, ...counts, bits, open, openFrom, pendingBefore, twins: twinsOf(history, pending) };
};
