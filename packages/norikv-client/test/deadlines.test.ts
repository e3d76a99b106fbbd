import { Rng, seedFromEnv } from 'nori-testkit';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type DeadlineEntry, Deadlines } from '../src/deadlines.js';

interface Entry extends DeadlineEntry {
  readonly name: number;
}

const entry = (name: number, dueMs: number): Entry => ({
  name,
  dueMs,
  wheelPrevious: undefined,
  wheelNext: undefined,
  wheelSlot: -1,
});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('entries fire at their time, at most a slot late, near and far', () => {
  const origin = Date.now();
  const now = () => Date.now() - origin;
  const fired: [number, number][] = [];
  const wheel = new Deadlines<Entry>(now, (each) => fired.push([each.dueMs, now()]));
  const times = [5, 10, 11, 250, 999, 20_470, 20_480, 20_490, 60_000, 100_000];
  for (const dueMs of times) wheel.add(entry(0, dueMs));
  vi.advanceTimersByTime(110_000);
  expect(fired.map(([due]) => due)).toEqual(times);
  for (const [due, at] of fired) expect(at - due).toBeLessThanOrEqual(20);
  expect(wheel.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test('any mix of adding, removing and moving fires what is left, once', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const origin = Date.now();
  const now = () => Date.now() - origin;
  const expected = new Map<number, number>();
  const wheel = new Deadlines<Entry>(now, (each) => {
    expect(expected.get(each.name), `seed ${seed}`).toBe(each.dueMs);
    expect(each.dueMs).toBeLessThanOrEqual(now());
    expect(now() - each.dueMs).toBeLessThanOrEqual(20);
    expected.delete(each.name);
  });
  const entries: Entry[] = [];
  for (let step = 0; step < 5000; step++) {
    const dueMs = Math.floor(now()) + 1 + rng.int(rng.chance(0.1) ? 50_000 : 300);
    if (rng.chance(0.5)) {
      const each = entry(entries.length, dueMs);
      entries.push(each);
      expected.set(each.name, dueMs);
      wheel.add(each);
    } else if (entries.length > 0) {
      const each = rng.pick(entries);
      wheel.remove(each);
      expected.delete(each.name);
      if (rng.chance(0.3)) {
        each.dueMs = dueMs;
        expected.set(each.name, dueMs);
        wheel.add(each);
      }
    }
    if (rng.chance(0.2)) vi.advanceTimersByTime(rng.int(40));
    expect(wheel.size, `seed ${seed}`).toBe(expected.size);
  }
  expect(new Set(wheel.entries().map((each) => each.name))).toEqual(new Set(expected.keys()));
  vi.advanceTimersByTime(60_000);
  expect(expected.size, `seed ${seed}`).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test('after a standstill of the process, answers are read before deadlines fire', () => {
  let now = 0;
  const fired: number[] = [];
  const wheel = new Deadlines<Entry>(
    () => now,
    (each) => fired.push(each.name),
  );
  wheel.add(entry(1, 50));
  now = 5000;
  vi.advanceTimersToNextTimer();
  expect(fired).toEqual([]);
  vi.advanceTimersToNextTimer();
  expect(fired).toEqual([1]);
});
