import { expect, test } from 'vitest';
import { MetricRegistry } from '../src/index.js';
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from '../src/prometheus.js';

test('counters, gauges and histograms are written as the text format wants them', () => {
  const registry = new MetricRegistry();
  const options = { help: 'Latency.', buckets: [0.5, 1] };
  const histogram = registry.histogram('latency_seconds', { operation: 'put' }, options);
  for (const value of [0.25, 0.75, 2, 4]) histogram.observe(value);
  registry.gauge('level_bytes').set(-1.5);
  registry.counter('done_total', { status: 'ok', operation: 'put' }, { help: 'Done.' }).inc(2);
  registry.counter('done_total', { status: 'ok', operation: 'get' }).inc(1e21);
  expect(renderPrometheus(registry)).toBe(
    `# HELP done_total Done.
# TYPE done_total counter
done_total{operation="get",status="ok"} 1e+21
done_total{operation="put",status="ok"} 2
# HELP latency_seconds Latency.
# TYPE latency_seconds histogram
latency_seconds_bucket{operation="put",le="0.5"} 1
latency_seconds_bucket{operation="put",le="1"} 2
latency_seconds_bucket{operation="put",le="+Inf"} 4
latency_seconds_sum{operation="put"} 7
latency_seconds_count{operation="put"} 4
# TYPE level_bytes gauge
level_bytes -1.5
`,
  );
});

test('backslashes, quotes and newlines are escaped in values, backslashes and newlines in help', () => {
  const registry = new MetricRegistry();
  registry.gauge('a', { result: 'C:\\x "y"\nz' }, { help: 'One \\ two "three"\nfour' }).set(1);
  expect(renderPrometheus(registry)).toBe(
    '# HELP a One \\\\ two "three"\\nfour\n# TYPE a gauge\na{result="C:\\\\x \\"y\\"\\nz"} 1\n',
  );
});

test('numbers that are not finite have their own spelling', () => {
  const registry = new MetricRegistry();
  registry.gauge('a', { level: '0' }).set(Infinity);
  registry.gauge('a', { level: '1' }).set(-Infinity);
  registry.gauge('a', { level: '2' }).set(Number.NaN);
  expect(renderPrometheus(registry)).toBe('# TYPE a gauge\na{level="0"} +Inf\na{level="1"} -Inf\na{level="2"} NaN\n');
});

test('the text does not depend on the order of registration', () => {
  const build = (names: readonly string[]) => {
    const registry = new MetricRegistry();
    for (const name of names) {
      for (const role of names) registry.counter(`${name}_total`, { role }).inc();
    }
    return renderPrometheus(registry);
  };
  expect(build(['c', 'a', 'b'])).toBe(build(['b', 'c', 'a']));
});

test('an empty registry gives an empty text', () => {
  expect(renderPrometheus(new MetricRegistry())).toBe('');
  expect(PROMETHEUS_CONTENT_TYPE).toContain('version=0.0.4');
});
