import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { LeaseClock } from '../../src/multi/lease-clock.js';

/** Clocks that are moved by hand. */
class HandClock {
  wallMs = 1_700_000_000_000;
  monotonicMs = 12_345.678;
  readonly lease: LeaseClock;

  constructor() {
    this.lease = new LeaseClock({
      now: () => Math.floor(this.wallMs),
      monotonic: () => this.monotonicMs,
      setTimer: () => ({ cancel: () => {} }),
      nextTurn: () => {},
    });
  }

  advance(monotonicMs: number, wallMs = monotonicMs): void {
    this.monotonicMs += monotonicMs;
    this.wallMs += wallMs;
  }
}

test('the clock of leases keeps the pace of the clocks, however often it is looked at', () => {
  const clock = new HandClock();
  const startMs = clock.lease.leaseNowMs();
  for (let i = 0; i < 10_000; i++) {
    clock.advance(0.37);
    clock.lease.leaseNowMs();
  }
  const elapsedMs = clock.lease.leaseNowMs() - startMs;
  expect(elapsedMs).toBeGreaterThanOrEqual(3699.9);
  expect(elapsedMs).toBeLessThan(3705);
});

test('it goes on after the wall clock was set forward and back', () => {
  const clock = new HandClock();
  clock.advance(10, 3_600_010);
  clock.lease.leaseNowMs();
  clock.advance(10, -3_599_990);
  const startMs = clock.lease.leaseNowMs();
  clock.advance(1000);
  expect(clock.lease.leaseNowMs() - startMs).toBeCloseTo(1000);
  // The machine sleeps.
  clock.advance(0, 500);
  expect(clock.lease.leaseLatestMs() - startMs).toBeGreaterThanOrEqual(1500);
});

test('between any two looks it advances by what either clock does, and never goes back', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const clock = new HandClock();
  const looks: { leaseMs: number; latestMs: number; wallMs: number; monotonicMs: number }[] = [];
  for (let i = 0; i < 400; i++) {
    const ms = rng.int(50) / 10;
    const wallMs = rng.chance(0.1) ? rng.range(-2000, 2000) : rng.chance(0.2) ? rng.range(-3, 3) : ms;
    clock.advance(rng.chance(0.1) ? 0 : ms, wallMs);
    const { monotonicMs } = clock;
    looks.push({
      leaseMs: clock.lease.leaseNowMs(),
      latestMs: clock.lease.leaseLatestMs(),
      wallMs: Math.floor(clock.wallMs),
      monotonicMs,
    });
  }
  looks.forEach((late, i) => {
    for (const early of looks.slice(0, i)) {
      const least = Math.max(late.monotonicMs - early.monotonicMs, late.wallMs - early.wallMs);
      expect(late.latestMs - early.leaseMs, `NORI_SEED=${seed}`).toBeGreaterThanOrEqual(least - 1e-6);
    }
    if (i > 0) expect(late.leaseMs, `NORI_SEED=${seed}`).toBeGreaterThanOrEqual(looks[i - 1]!.leaseMs);
  });
});
