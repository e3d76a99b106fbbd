import { expect, test } from 'vitest';
import { KeyRanges } from '../src/key-ranges.js';
import { VERDICT, VersionFilter } from '../src/version-filter.js';
import { utf8 } from './support.js';

const { keep, drop, makeTombstone } = VERDICT;

test('keeps the newest version, and one for each snapshot that sees another', () => {
  const filter = new VersionFilter([10, 20]);
  filter.nextKey();
  const seqs = [30, 25, 20, 15, 10, 5];
  expect(seqs.map((seq) => filter.judge(seq, false, false, false))).toEqual([keep, drop, keep, drop, keep, drop]);
});

test('a tombstone goes at the bottom only, with everything older', () => {
  const filter = new VersionFilter([]);
  filter.nextKey();
  expect(filter.judge(9, true, false, false)).toBe(keep);
  expect(filter.judge(8, false, false, false)).toBe(drop);
  filter.nextKey();
  expect(filter.judge(9, true, false, true)).toBe(drop);
  expect(filter.judge(8, false, false, true)).toBe(drop);
});

test('a tombstone above a version that a snapshot sees stays, even at the bottom', () => {
  const filter = new VersionFilter([5]);
  filter.nextKey();
  expect(filter.judge(9, true, false, true)).toBe(keep);
  expect(filter.judge(4, false, false, true)).toBe(keep);
});

test('an expired put that may hide something becomes a tombstone', () => {
  const filter = new VersionFilter([]);
  filter.nextKey();
  expect(filter.judge(9, false, true, false)).toBe(makeTombstone);
  filter.nextKey();
  expect(filter.judge(9, false, true, true)).toBe(drop);
});

test('ranges answer for keys in ascending order', () => {
  const range = (from: string, to: string): readonly [Uint8Array, Uint8Array] => [utf8(from), utf8(to)];
  const ranges = new KeyRanges([range('m', 'p'), range('b', 'd'), range('c', 'f'), range('x', 'x')]);
  const asked = ['a', 'b', 'e', 'f', 'fa', 'm', 'q', 'x', 'y'];
  expect(asked.filter((key) => ranges.mayHold(utf8(key)))).toEqual(['b', 'e', 'f', 'm', 'x']);
});
