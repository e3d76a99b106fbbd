// The search that look-ups spend their time in. It has no branch that depends on what is compared: a processor guesses such a
// branch wrongly every other time, and each wrong guess costs more than a comparison.

/**
 * The first of `words[first..first + count)`, which are sorted, that is at or above `word`; `first + count` if there is none.
 */
export function lowerBound(words: Uint32Array, first: number, count: number, word: number): number {
  // Without their lowest bits, so that the sign of a difference of 32 bits tells which is smaller.
  const half = word >>> 1;
  let low = first;
  let length = count;
  while (length > 1) {
    const step = length >>> 1;
    low += step & (((words[low + step - 1]! >>> 1) - half) >> 31);
    length -= step;
  }
  const end = first + count;
  while (low < end && words[low]! < word) low++;
  return low;
}
