import { expect, test } from 'vitest';
import { LeaseClock, NodeClock, slowestRate } from './node-clock.js';

test('any two clocks are within the drift that leases allow for', () => {
  for (const drift of [0.1, 0.3, 0.5]) {
    const slowest = slowestRate(drift);
    const fastest = 1 / slowest;
    expect(slowest / fastest).toBeGreaterThanOrEqual(1 - drift);
    expect(slowest / fastest).toBeLessThan(1 - drift + 0.001);
  }
});

test('a clock runs at its rate, and changes it without a jump', () => {
  const clock = new NodeClock(0.95, 100, 0);
  expect(clock.monotonicMs(1000)).toBeCloseTo(1050);
  clock.setRate(1000, 1.05);
  expect(clock.monotonicMs(1000)).toBeCloseTo(1050);
  expect(clock.monotonicMs(2000)).toBeCloseTo(1050 + 1000 * 1.05);
  expect(clock.realMs(95)).toBeCloseTo(95 / 1.05);
});

test('in suspend monotonic time stands still, and the clock of leases does not', () => {
  const clock = new NodeClock(1, 0, 5000);
  const lease = new LeaseClock(clock, 0);
  clock.suspend(1000);
  expect(clock.monotonicMs(4000)).toBe(1000);
  clock.resume(4000);
  expect(clock.monotonicMs(4500)).toBe(1500);
  expect(lease.peek(4500)).toBe(4500);
  expect(lease.nowMs(4500)).toBe(4500);
  expect(lease.peek(4600)).toBe(4600);
});

test('wall time set forward ends leases early, never late', () => {
  const clock = new NodeClock(1, 0, 0);
  const lease = new LeaseClock(clock, 0);
  clock.setWallForward(700);
  expect(lease.nowMs(100)).toBe(800);
  expect(lease.nowMs(200)).toBe(900);
});
