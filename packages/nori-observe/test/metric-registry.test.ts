import { describe, expect, test } from 'vitest';
import { MetricRegistry, ObserveError, type ObserveErrorCode } from '../src/index.js';

function codeOf(fn: () => unknown): ObserveErrorCode | undefined {
  try {
    fn();
  } catch (error) {
    if (error instanceof ObserveError) return error.code;
    throw error;
  }
  return undefined;
}

/** The value of the only series of a counter or gauge. */
function currentValue(registry: MetricRegistry, name: string): number | undefined {
  const series = registry.snapshot().find((metric) => metric.name === name)?.series[0];
  return series !== undefined && 'value' in series ? series.value : undefined;
}

describe('handles', () => {
  test('the same name and labels give the same handle, whatever the order of the labels', () => {
    const registry = new MetricRegistry();
    expect(registry.counter('a_total', { role: 'x', level: '1' })).toBe(
      registry.counter('a_total', { level: '1', role: 'x' }),
    );
    expect(registry.counter('a_total', { role: 'x' })).not.toBe(registry.counter('a_total', { role: 'y' }));
    expect(registry.counter('a_total')).toBe(registry.counter('a_total', {}));
  });

  test('series whose label values contain separators are kept apart', () => {
    const registry = new MetricRegistry();
    const one = registry.counter('a_total', { role: 'x","level":"1' });
    const two = registry.counter('a_total', { role: 'x', level: '1' });
    expect(one).not.toBe(two);
  });

  test('counters count, gauges move both ways', () => {
    const registry = new MetricRegistry();
    const counter = registry.counter('a_total');
    counter.inc();
    counter.inc(2.5);
    counter.inc(0);
    const gauge = registry.gauge('b');
    gauge.set(10);
    gauge.add(-12);
    expect(currentValue(registry, 'a_total')).toBe(3.5);
    expect(currentValue(registry, 'b')).toBe(-2);
  });

  test('a counter refuses to go down and refuses NaN', () => {
    const counter = new MetricRegistry().counter('a_total');
    expect(codeOf(() => counter.inc(-1))).toBe('OBSERVE_NEGATIVE_INCREMENT');
    expect(codeOf(() => counter.inc(Number.NaN))).toBe('OBSERVE_NEGATIVE_INCREMENT');
  });

  test('a histogram puts a value that equals a bound below it, and what is above all bounds in the last bucket', () => {
    const registry = new MetricRegistry();
    const histogram = registry.histogram('h', undefined, { buckets: [1, 2, 4] });
    for (const value of [-1, 1, 1.5, 2, 3, 4, 4.001, Infinity, Number.NaN]) histogram.observe(value);
    const [metric] = registry.snapshot();
    expect(metric).toMatchObject({ type: 'histogram', bounds: [1, 2, 4] });
    expect(metric?.series[0]).toMatchObject({ bucketCounts: [2, 2, 2, 2], count: 8, sum: Infinity });
  });

  test('handles stay valid while the array grows many times', () => {
    const registry = new MetricRegistry();
    const first = registry.counter('first_total');
    const histogram = registry.histogram('h', { level: '0' }, { buckets: [1, 2] });
    const counters = Array.from({ length: 5000 }, (_, i) => {
      first.inc();
      histogram.observe(1.5);
      return registry.counter('shard_total', { shard_id: String(i) });
    });
    for (const [i, counter] of counters.entries()) counter.inc(i);
    expect(currentValue(registry, 'first_total')).toBe(5000);
    const metrics = registry.snapshot();
    const shards = metrics.find(({ name }) => name === 'shard_total');
    for (const series of shards?.series ?? []) {
      expect('value' in series && String(series.value)).toBe(series.labels[0]?.[1]);
    }
    expect(metrics.find(({ name }) => name === 'h')?.series[0]).toMatchObject({ count: 5000, sum: 7500 });
  });
});

describe('refusals', () => {
  test.each(['', '1a', 'a-b', 'a b', 'é', 'a\n'])('the metric name %j', (name) => {
    expect(codeOf(() => new MetricRegistry().counter(name))).toBe('OBSERVE_INVALID_NAME');
  });

  test.each(['', '1a', 'a-b', 'a:b', '__name__', 'a\n'])('the label name %j', (name) => {
    expect(codeOf(() => new MetricRegistry().gauge('a', { [name]: 'x' }))).toBe('OBSERVE_INVALID_LABEL');
  });

  test('a label value that is no string, and le on a histogram alone', () => {
    const registry = new MetricRegistry();
    expect(codeOf(() => registry.gauge('a', { level: 1 as unknown as string }))).toBe('OBSERVE_INVALID_LABEL');
    expect(codeOf(() => registry.histogram('h', { le: '1' }))).toBe('OBSERVE_INVALID_LABEL');
    expect(codeOf(() => registry.gauge('b', { le: '1' }))).toBeUndefined();
  });

  test.each([[[]], [[2, 1]], [[1, 1]], [[1, Infinity]], [[Number.NaN]]])('the bounds %j', (buckets) => {
    expect(codeOf(() => new MetricRegistry().histogram('h', {}, { buckets }))).toBe('OBSERVE_INVALID_BUCKETS');
  });

  test('a second type under the same name', () => {
    const registry = new MetricRegistry();
    registry.counter('a');
    expect(codeOf(() => registry.gauge('a'))).toBe('OBSERVE_TYPE_CONFLICT');
    expect(codeOf(() => registry.histogram('a'))).toBe('OBSERVE_TYPE_CONFLICT');
  });

  test('a name that a histogram is exported under, in either order', () => {
    const registry = new MetricRegistry();
    registry.histogram('h');
    expect(codeOf(() => registry.counter('h_count'))).toBe('OBSERVE_TYPE_CONFLICT');
    registry.gauge('g_sum');
    expect(codeOf(() => registry.histogram('g'))).toBe('OBSERVE_TYPE_CONFLICT');
  });

  test('a refused metric leaves no trace', () => {
    const registry = new MetricRegistry();
    codeOf(() => registry.histogram('h', {}, { buckets: [] }));
    expect(registry.snapshot()).toEqual([]);
    expect(codeOf(() => registry.counter('h'))).toBeUndefined();
  });

  test('a refused label leaves no metric behind', () => {
    const registry = new MetricRegistry();
    codeOf(() => registry.gauge('a', { 'no-name': 'x' }));
    expect(registry.snapshot()).toEqual([]);
  });
});

test('the first registration decides on bounds, the first help that is given stays', () => {
  const registry = new MetricRegistry();
  registry.histogram('h', { level: '0' }, { buckets: [1] });
  registry.histogram('h', { level: '1' }, { buckets: [1, 2], help: 'First.' });
  registry.histogram('h', { level: '2' }, { help: 'Second.' });
  expect(registry.snapshot()).toMatchObject([{ bounds: [1], help: 'First.', series: [{}, {}, {}] }]);
});

test('collectors run before each snapshot until they are ended', () => {
  const registry = new MetricRegistry();
  const gauge = registry.gauge('queue_length');
  let length = 3;
  const end = registry.onCollect(() => gauge.set(length));
  expect(currentValue(registry, 'queue_length')).toBe(3);
  length = 4;
  expect(currentValue(registry, 'queue_length')).toBe(4);
  end();
  length = 5;
  expect(currentValue(registry, 'queue_length')).toBe(4);
});

test('events go to the application when it asked for them', () => {
  const seen: string[] = [];
  const registry = new MetricRegistry({ onEvent: (event) => seen.push(event.type) });
  expect(registry.wantsEvents).toBe(true);
  registry.event({ type: 'node.ready', atMs: 0, nodeId: 'a' });
  expect(seen).toEqual(['node.ready']);
  expect(new MetricRegistry().wantsEvents).toBe(false);
});
