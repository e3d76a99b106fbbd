import { describe, expect, test } from 'vitest';
import {
  confirmationsWanted,
  pushPullIntervalMs,
  retransmitLimit,
  suspicionMinMs,
  suspicionTimeoutMs,
} from '../../src/core/formulas.js';

test.each([
  [3, 4],
  [10, 8],
  [100, 12],
  [1_000, 16],
  [6, 8],
])('of %i members, each passes a rumour on up to %i times', (members, limit) => {
  expect(retransmitLimit(members, 4)).toBe(limit);
});

test.each([
  [2, 2_000],
  [3, 2_000],
  [10, 2_000],
  [100, 4_000],
  [1_000, 6_000],
])('of %i members, one is suspected for at least %i ms', (members, ms) => {
  expect(suspicionMinMs(members, 4, 500)).toBeCloseTo(ms, 6);
});

describe('how many confirmations are wanted', () => {
  test.each([
    [2, 0],
    [3, 1],
    [4, 2],
    [5, 2],
    [100, 2],
  ])('of %i members: %i', (members, wanted) => {
    expect(confirmationsWanted(members, 4)).toBe(wanted);
  });
});

test('a suspicion gets shorter with each confirmation, from the longest to the shortest', () => {
  expect(suspicionTimeoutMs(0, 2, 2_000, 12_000)).toBe(12_000);
  expect(suspicionTimeoutMs(1, 2, 2_000, 12_000)).toBeCloseTo(12_000 - 10_000 * (Math.log(2) / Math.log(3)), 6);
  expect(suspicionTimeoutMs(2, 2, 2_000, 12_000)).toBe(2_000);
  expect(suspicionTimeoutMs(5, 2, 2_000, 12_000)).toBe(2_000);
  expect(suspicionTimeoutMs(0, 0, 2_000, 12_000)).toBe(2_000);
});

test('views are exchanged less often in larger clusters', () => {
  expect([3, 32, 33, 64, 128, 1_024].map((members) => pushPullIntervalMs(members, 30))).toEqual([
    30, 30, 60, 60, 90, 180,
  ]);
});
