import type { Clock } from 'nori-io';
import { VirtualClock } from 'nori-testkit';
import type { NoriClient } from 'norikv-client';
import { describe, expect, test } from 'vitest';
import type { BenchPlan } from '../../src/cli/bench/plan.js';
import { FastRandom, ZipfRanks } from '../../src/cli/bench/random.js';
import { formatReport } from '../../src/cli/bench/report.js';
import { runBench } from '../../src/cli/bench/run.js';
import { Workload } from '../../src/cli/bench/workload.js';

const PLAN: BenchPlan = {
  mix: { put: 0.5, get: 0.5 },
  keys: 100,
  valueBytes: 10,
  callers: 4,
  durationS: 10,
  warmupS: 1,
  ratePerS: undefined,
  distribution: 'uniform',
  keyPrefix: 'k:',
  seed: 7,
  preload: true,
};

/** A clock on which a turn of the event loop takes a quarter of a millisecond, and time moves by itself. */
const movingClock = (): { clock: Clock; run<T>(work: Promise<T>): Promise<T> } => {
  const virtual = new VirtualClock();
  const clock: Clock = {
    now: () => virtual.now(),
    monotonic: () => virtual.monotonic(),
    setTimer: (delayMs, fn, options) => virtual.setTimer(delayMs, fn, options),
    nextTurn: (fn) => void virtual.setTimer(0.25, fn),
  };
  const run = async <T>(work: Promise<T>): Promise<T> => {
    let running = true;
    const settled = work.finally(() => {
      running = false;
    });
    // A failure is the caller's, who sees it once time has moved on.
    settled.catch(() => undefined);
    while (running) await virtual.advanceAsync(50);
    return settled;
  };
  return { clock, run };
};

/** A client over a map that takes `latencyMs(now)` for each operation. */
const fakeClient = (
  clock: Clock,
  latencyMs: (nowMs: number) => number,
  fail?: (nowMs: number) => string | undefined,
) => {
  const stored = new Map<string, Uint8Array>();
  const answer = <T>(result: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const code = fail?.(clock.monotonic());
      if (code !== undefined) return reject(Object.assign(new Error(code), { code }));
      clock.setTimer(latencyMs(clock.monotonic()), () => resolve(result()));
    });
  const name = (key: Uint8Array) => new TextDecoder().decode(key);
  const client = {
    put: (key: Uint8Array, value: Uint8Array) => answer(() => void stored.set(name(key), value)),
    get: (key: Uint8Array) => answer(() => stored.get(name(key))),
  };
  return { client: client as unknown as NoriClient, stored };
};

const quiet = () => undefined;

describe('a run', () => {
  test('in a closed loop has as many operations in flight as callers', async () => {
    const { clock, run } = movingClock();
    const { client, stored } = fakeClient(clock, () => 5);
    const report = await run(runBench(client, PLAN, quiet, clock));
    expect(stored.size).toBe(100);
    expect(report.throughputPerS).toBeCloseTo(800, -1);
    const { put, get } = report.operations;
    expect((put?.count ?? 0) + (get?.count ?? 0)).toBeCloseTo(8000, -2);
    expect(put?.latencyMs.p50).toBeCloseTo(5, 1);
    expect([get?.misses, get?.errors]).toEqual([0, {}]);
  });

  test('at a fixed rate counts the time an operation waited for its turn', async () => {
    const { clock, run } = movingClock();
    // Every operation started in the sixth second is answered at its end: the node stood still.
    const { client } = fakeClient(clock, (now) => (now >= 6000 && now < 7000 ? 7000 - now : 1));
    const plan: BenchPlan = { ...PLAN, ratePerS: 100, callers: 1, preload: false, mix: { put: 1, get: 0 } };
    const { operations, unstarted } = await run(runBench(client, plan, quiet, clock));
    // One operation hit the standstill, 100 waited behind it: a closed loop would have seen a single slow one.
    expect(operations.put?.count).toBeCloseTo(1000, -1);
    expect(operations.put?.latencyMs.p50).toBeLessThan(2);
    expect(operations.put?.latencyMs.p95).toBeGreaterThan(300);
    expect(operations.put?.latencyMs.max).toBeGreaterThan(900);
    expect(unstarted).toBe(0);
  });

  test('at a rate that the node cannot keep says how many operations never started', async () => {
    const { clock, run } = movingClock();
    const { client } = fakeClient(clock, () => 100);
    const plan: BenchPlan = { ...PLAN, ratePerS: 100, callers: 1, preload: false };
    const { unstarted, throughputPerS } = await run(runBench(client, plan, quiet, clock));
    expect(throughputPerS).toBeCloseTo(10, 0);
    expect(unstarted).toBeGreaterThan(900);
  });

  test('counts errors by code and does not hammer a node that refuses', async () => {
    const { clock, run } = movingClock();
    const { client } = fakeClient(
      clock,
      () => 1,
      () => 'UNAVAILABLE',
    );
    const { operations } = await run(runBench(client, { ...PLAN, preload: false }, quiet, clock));
    const failures = (operations.put?.errors.UNAVAILABLE ?? 0) + (operations.get?.errors.UNAVAILABLE ?? 0);
    expect(failures).toBeGreaterThan(1000);
    expect(failures).toBeLessThan(4100);
    expect(operations.put?.count).toBe(0);
  });

  test('of no length only writes the keys', async () => {
    const { clock, run } = movingClock();
    const { client, stored } = fakeClient(clock, () => 1);
    const report = await run(runBench(client, { ...PLAN, durationS: 0, keys: 2000 }, quiet, clock));
    expect(stored.size).toBe(2000);
    expect(report.preload?.keys).toBe(2000);
    expect(report.operations).toEqual({});
  });

  test('waits with writing keys while the node is out of resources, and gives up on other errors', async () => {
    const { clock, run } = movingClock();
    const busy = fakeClient(
      clock,
      () => 1,
      (now) => (now < 500 ? 'RESOURCE_EXHAUSTED' : undefined),
    );
    await run(runBench(busy.client, { ...PLAN, durationS: 0 }, quiet, clock));
    expect(busy.stored.size).toBe(100);
    const broken = fakeClient(
      clock,
      () => 1,
      () => 'CORRUPTION',
    );
    await expect(run(runBench(broken.client, { ...PLAN, durationS: 0 }, quiet, clock))).rejects.toThrow('CORRUPTION');
  });

  test('shows progress each second', async () => {
    const { clock, run } = movingClock();
    const { client } = fakeClient(clock, () => 1);
    const lines: string[] = [];
    await run(runBench(client, { ...PLAN, preload: false }, (line) => lines.push(line), clock));
    expect(lines.length).toBeGreaterThanOrEqual(10);
    expect(lines[4]).toMatch(/^5 s measuring: [\d,]+ operations\/s$/);
  });
});

describe('the operations', () => {
  test('are the same for the same seed', () => {
    const first = new Workload(PLAN);
    const second = new Workload(PLAN);
    for (let at = 0; at < 1000; at++) {
      expect(first.nextOperation()).toBe(second.nextOperation());
      expect(first.nextKey()).toEqual(second.nextKey());
    }
  });

  test('have keys of one length, the same whether encoded ahead or not', () => {
    const small = new Workload(PLAN);
    const large = new Workload({ ...PLAN, keys: 10_000_000 });
    expect(new TextDecoder().decode(small.keyAt(42))).toBe('k:000000000042');
    expect(large.keyAt(42)).toEqual(small.keyAt(42));
    expect(new TextDecoder().decode(large.keyAt(9_999_999))).toBe('k:000009999999');
  });

  test('follow their shares', () => {
    const workload = new Workload({ ...PLAN, mix: { put: 0.2, get: 0.8 } });
    let puts = 0;
    for (let at = 0; at < 10_000; at++) if (workload.nextOperation() === 'put') puts++;
    expect(puts).toBeGreaterThan(1800);
    expect(puts).toBeLessThan(2200);
  });

  test('reach every key in uniform and in sequential order', () => {
    for (const distribution of ['uniform', 'sequential'] as const) {
      const workload = new Workload({ ...PLAN, distribution });
      const seen = new Set<string>();
      const draws = distribution === 'sequential' ? 100 : 5000;
      for (let at = 0; at < draws; at++) seen.add(new TextDecoder().decode(workload.nextKey()));
      expect(seen.size).toBe(100);
    }
  });

  test("by Zipf's law hit few keys most of the time and stay in range", () => {
    for (const n of [1, 2, 3, 10_000]) {
      const ranks = new ZipfRanks(n, new FastRandom(3));
      let first = 0;
      for (let at = 0; at < 20_000; at++) {
        const rank = ranks.next();
        if (rank < 0 || rank >= n) expect.unreachable(`rank ${rank} of ${n}`);
        if (rank === 0) first++;
      }
      if (n === 10_000) expect(first / 20_000).toBeCloseTo(0.1, 1);
    }
  });
});

test('the report names what a reader should not miss', () => {
  const text = formatReport({
    plan: PLAN,
    preload: { keys: 100_000, seconds: 2, throughputPerS: 50_000 },
    throughputPerS: 1000,
    unstarted: 5,
    generatorCpuPercent: 97,
    operations: {
      get: {
        count: 10_000,
        throughputPerS: 1000,
        misses: 3,
        latencyMs: { mean: 1, p50: 1, p95: 2, p99: 3, 'p99.9': 4, max: 5 },
        errors: { UNAVAILABLE: 2 },
      },
    },
  });
  expect(text).toContain('wrote 100,000 keys in 2.0 s, 50,000/s');
  expect(text).toMatch(/get {8}10,000 {2}1,000 {7}1\.000 ms.*4\.000 ms {2}5\.000 ms {2}UNAVAILABLE 2, absent 3/);
  expect(text).toContain('5 operations were not started');
  expect(text).toContain('97 % of a core');
});
