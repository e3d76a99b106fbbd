import { expect, test } from 'vitest';
import { MetricRegistry } from '../src/index.js';
import { collectProcessMetrics } from '../src/process.js';
import { renderPrometheus } from '../src/prometheus.js';

test('process metrics come from the injected readers, at each snapshot', () => {
  const registry = new MetricRegistry();
  let cpuSeconds = 1.5;
  let onPause: (seconds: number) => void = () => {};
  const stopped: string[] = [];
  const end = collectProcessMetrics(registry, {
    memory: () => ({ rss: 4, heapUsed: 1, heapTotal: 2, external: 3 }),
    cpuSeconds: () => cpuSeconds,
    startTimeSeconds: () => 1_700_000_000,
    eventLoop: () => ({
      read: () => ({ p50: 0.001, p99: 0.002, max: 0.003 }),
      stop: () => stopped.push('event loop'),
    }),
    garbageCollection: (listener) => {
      onPause = listener;
      return { stop: () => stopped.push('gc') };
    },
  });
  renderPrometheus(registry);
  cpuSeconds = 2;
  onPause(0.004);
  const text = renderPrometheus(registry);
  expect(text).toContain('process_resident_memory_bytes 4\n');
  expect(text).toContain('process_cpu_seconds_total 2\n');
  expect(text).toContain('process_start_time_seconds 1700000000\n');
  expect(text).toContain('nodejs_eventloop_lag_p99_seconds 0.002\n');
  expect(text).toContain('nodejs_gc_duration_seconds_bucket{le="0.005"} 1\n');
  end();
  expect(stopped).toEqual(['event loop', 'gc']);
});

test('the readers of this process give numbers', () => {
  const registry = new MetricRegistry();
  const end = collectProcessMetrics(registry);
  try {
    const text = renderPrometheus(registry);
    expect(Number(/^process_resident_memory_bytes (.*)$/m.exec(text)?.[1])).toBeGreaterThan(1e6);
    expect(Number(/^process_cpu_seconds_total (.*)$/m.exec(text)?.[1])).toBeGreaterThan(0);
  } finally {
    end();
  }
});
