import { expect, test } from 'vitest';
import { HeartbeatRounds } from '../src/heartbeat-rounds.js';

test('with more rounds under way than are remembered one by one, the lease still goes on', () => {
  const rounds = new HeartbeatRounds();
  // A round each millisecond, as reads make them, and answers after half a second.
  for (let ms = 1; ms <= 5000; ms++) {
    expect(rounds.begin(ms)).toBe(ms);
    if (ms <= 500) continue;
    rounds.confirm(ms - 500);
    expect(rounds.confirmed).toBe(ms - 500);
    if (ms < 1000) continue;
    // Never later than it began; and not much earlier.
    expect(rounds.confirmedStartMs).toBeLessThanOrEqual(ms - 500);
    expect(rounds.confirmedStartMs).toBeGreaterThan(ms - 600);
  }
});

test('once few are under way again, every one is remembered', () => {
  const rounds = new HeartbeatRounds();
  for (let ms = 1; ms <= 1000; ms++) rounds.begin(ms);
  for (let ms = 1001; ms <= 1100; ms++) {
    rounds.begin(ms);
    rounds.confirm(rounds.last);
  }
  rounds.begin(2000);
  rounds.begin(2001);
  rounds.confirm(rounds.last - 1);
  expect(rounds.confirmedStartMs).toBe(2000);
});

test('the beginning of a round is exact while few are under way', () => {
  const rounds = new HeartbeatRounds();
  for (let ms = 10; ms <= 60; ms += 10) rounds.begin(ms);
  for (const round of [1, 2, 5, 6]) {
    rounds.confirm(round);
    expect(rounds.confirmedStartMs).toBe(10 * round);
  }
});
