import fc from 'fast-check';
import { LIMITS } from 'norikv-protocol';
import { describe, expect, test } from 'vitest';
import { AbortRegistry } from '../src/abort-registry.js';
import { LatencyHistogram } from '../src/latency.js';
import { Operation, STATE } from '../src/operation.js';
import { OperationQueue } from '../src/operation-queue.js';
import { resolveOptions } from '../src/options.js';
import { backoffMs, RetryBudget, retryDelayMs } from '../src/retry.js';
import { Slab } from '../src/slab.js';

const operation = (): Operation => {
  const row = { kind: 1, key: new Uint8Array(1), value: new Uint8Array(0), ttlMs: 0, ifAbsent: false };
  const made = new Operation({ ...row, ifVersion: undefined }, false, 0);
  made.state = STATE.queued;
  return made;
};

describe('options', () => {
  const wrong = (options: object) => {
    try {
      resolveOptions(options as never);
    } catch (error) {
      return error as { code: string; message: string };
    }
    return expect.unreachable('should have failed');
  };

  test('are completed with defaults and frozen', () => {
    const options = resolveOptions({ endpoints: ['localhost', '[::1]', '[::1]:7000', 'a.b:1', 'localhost:7447'] });
    expect(options.endpoints).toEqual(['localhost:7447', '[::1]:7447', '[::1]:7000', 'a.b:1']);
    expect(options).toMatchObject({ timeoutMs: 10_000, pendingOperationsMax: 65_536, retryBudget: 1000 });
    expect(Object.isFrozen(options)).toBe(true);
  });

  test('that are wrong are named', () => {
    const endpoints = ['a:1'];
    for (const bad of [undefined, [], ['']]) expect(wrong({ endpoints: bad }).message).toMatch(/^endpoints/);
    for (const bad of ['http://a:1', 'a:0', 'a:70000', 'a:b', 'a:1:2', 'a b', 7]) {
      expect(wrong({ endpoints: [bad] }).message).toMatch(/is not host:port/);
    }
    expect(wrong({ endpoints, timeoutMs: 0 }).message).toMatch(/^timeoutMs is 0/);
    expect(wrong({ endpoints, timeoutMs: '5' }).message).toMatch(/^timeoutMs is 5/);
    expect(wrong({ endpoints, timeout: 5 }).message).toMatch(/^There is no option timeout; there are/);
    expect(wrong({ endpoints, clusterId: 'x' }).message).toMatch(/^clusterId/);
    expect(wrong({ endpoints, reconnectDelayMinMs: 9, reconnectDelayMaxMs: 8 }).code).toBe('INVALID_ARGUMENT');
  });
});

describe('retries', () => {
  const failure = { retryAfterMs: 0, leaderAddress: '' };

  test('back off exponentially with jitter, up to a limit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (failures, r) => {
        const delay = backoffMs(failures, 10, 1000, () => r);
        const full = Math.min(1000, 10 * 2 ** (failures - 1));
        expect(delay).toBeGreaterThanOrEqual(full / 2);
        expect(delay).toBeLessThanOrEqual(full);
      }),
    );
  });

  test('follow a hint three times at once, then wait', () => {
    const hinted = { ...failure, code: 'NOT_LEADER' as const, leaderAddress: 'a:1' };
    expect([1, 2, 3].map((n) => retryDelayMs(hinted, n, Math.random))).toEqual([0, 0, 0]);
    expect(retryDelayMs(hinted, 4, () => 0.5)).toBe(55);
  });

  test('have a budget that successes refill', () => {
    const budget = new RetryBudget(2);
    expect([budget.take(), budget.take(), budget.take()]).toEqual([true, true, false]);
    for (let i = 0; i < 11; i++) budget.earn();
    expect([budget.take(), budget.take()]).toEqual([true, false]);
  });
});

describe('the queue', () => {
  test('is first in first out and forgets the dead, however they die', () => {
    const step = fc.oneof(fc.constant('push'), fc.constant('shift'), fc.nat({ max: 200 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
        const queue = new OperationQueue();
        const model: Operation[] = [];
        for (const each of steps) {
          if (each === 'push') {
            const made = operation();
            model.push(made);
            queue.push(made);
          } else if (each === 'shift') {
            expect(queue.peek()).toBe(model[0]);
            if (model.length === 0) continue;
            queue.shift();
            model.shift()!.state = STATE.sent;
          } else if (model.length > 0) {
            const [dead] = model.splice(Number(each) % model.length, 1);
            dead!.state = STATE.done;
            queue.noteDead();
          }
          expect(queue.size).toBe(model.length);
        }
        expect(queue.takeAll()).toEqual(model);
        expect(queue.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('slabs', () => {
  test('hold what was put in, text and bytes, without overlap', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string({ unit: 'binary', maxLength: 40 }),
            fc.constant('ö'.repeat(300)),
            fc.uint8Array({ maxLength: 60 }),
            fc.constant(new Uint8Array(3000).fill(7)),
          ),
        ),
        (items) => {
          const slab = new Slab();
          const cut = items.map((item) => (typeof item === 'string' ? slab.encode(item) : slab.copy(item)));
          items.forEach((item, at) => {
            expect(cut[at]).toEqual(typeof item === 'string' ? new TextEncoder().encode(item) : item);
          });
        },
      ),
      { numRuns: 100 },
    );
  });

  test('take text of any size', () => {
    const slab = new Slab();
    for (const length of [0, 1, 682, 683, 700, LIMITS.valueBytesMax]) {
      expect(slab.encode('é'.repeat(length))).toHaveLength(length * 2);
    }
    expect(slab.encode('\ud800')).toEqual(Uint8Array.of(0xef, 0xbf, 0xbd));
  });
});

describe('latencies', () => {
  test('are summed up within a few percent', () => {
    const histogram = new LatencyHistogram();
    expect(histogram.summary()).toEqual({ count: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0, maxMs: 0 });
    for (let i = 1; i <= 1000; i++) histogram.observe(i / 10);
    const { count, p50Ms, p99Ms, maxMs } = histogram.summary();
    expect([count, maxMs]).toEqual([1000, 100]);
    expect(Math.abs(p50Ms - 50) / 50).toBeLessThan(0.045);
    expect(Math.abs(p99Ms - 99) / 99).toBeLessThan(0.045);
  });
});

describe('the abort registry', () => {
  test('puts one listener on a signal, and none when no one is left', () => {
    const told: number[] = [];
    const registry = new AbortRegistry<number>((entry) => told.push(entry));
    const { signal, abort } = (() => {
      const controller = new AbortController();
      return { signal: controller.signal, abort: () => controller.abort() };
    })();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners++;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners--;
      removeEventListener.apply(signal, args);
    };
    for (let i = 0; i < 100; i++) registry.add(signal, i);
    expect(listeners).toBe(1);
    for (let i = 0; i < 100; i++) registry.remove(signal, i);
    expect(listeners).toBe(0);
    for (let i = 0; i < 5; i++) registry.add(signal, i);
    registry.remove(signal, 3);
    abort();
    expect(told).toEqual([0, 1, 2, 4]);
  });
});
