// Metrics of the running process: memory, CPU time, event loop, garbage collection. Apart from the index, which runs
// anywhere, this file needs Node.
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import type { MetricRegistry } from './metric-registry.js';

/** Delays of the event loop since they were last read, in seconds. */
export interface EventLoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Where {@link collectProcessMetrics} reads. Every reader can be replaced, which tests and simulations do. */
export interface ProcessReaders {
  /** Bytes. */
  memory(): { rss: number; heapUsed: number; heapTotal: number; external: number };
  /** CPU time since the start of the process, in seconds. */
  cpuSeconds(): number;
  /** When the process started, in seconds since the epoch. */
  startTimeSeconds(): number;
  /** Starts measuring the event loop. */
  eventLoop(): { read(): EventLoopDelay; stop(): void };
  /** Calls `onPause` with the duration of each garbage collection in seconds. */
  garbageCollection(onPause: (seconds: number) => void): { stop(): void };
}

/** Readers of this process. */
export const nodeProcessReaders: ProcessReaders = {
  memory: () => process.memoryUsage(),
  cpuSeconds: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
  startTimeSeconds: () => Math.round(Date.now() / 1000 - process.uptime()),
  eventLoop: () => {
    // The resolution is the interval of the probe, which the histogram contains; at 10 ms an idle loop reads 10 ms.
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    return {
      read: () => {
        const seen = { p50: delay.percentile(50) / 1e9, p99: delay.percentile(99) / 1e9, max: delay.max / 1e9 };
        delay.reset();
        return seen;
      },
      stop: () => delay.disable(),
    };
  },
  garbageCollection: (onPause) => {
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) onPause(entry.duration / 1000);
    });
    observer.observe({ entryTypes: ['gc'] });
    return { stop: () => observer.disconnect() };
  },
};

/**
 * Adds `process_*` and `nodejs_*` metrics to a registry. They are read at each snapshot; event-loop delays cover the
 * time since the snapshot before.
 * @returns a function that ends it
 */
export function collectProcessMetrics(registry: MetricRegistry, readers: Partial<ProcessReaders> = {}): () => void {
  const read: ProcessReaders = { ...nodeProcessReaders, ...readers };
  const gauge = (name: string, help: string) => registry.gauge(name, undefined, { help });

  const resident = gauge('process_resident_memory_bytes', 'Resident memory.');
  const heapUsed = gauge('nodejs_heap_size_used_bytes', 'V8 heap in use.');
  const heapTotal = gauge('nodejs_heap_size_total_bytes', 'V8 heap reserved.');
  const external = gauge('nodejs_external_memory_bytes', 'Memory of buffers and other objects outside of the V8 heap.');
  const delayP50 = gauge('nodejs_eventloop_lag_p50_seconds', 'Median event-loop delay since the last scrape.');
  const delayP99 = gauge(
    'nodejs_eventloop_lag_p99_seconds',
    '99th percentile of event-loop delay since the last scrape.',
  );
  const delayMax = gauge('nodejs_eventloop_lag_max_seconds', 'Longest event-loop delay since the last scrape.');
  gauge('process_start_time_seconds', 'Start of the process since the epoch.').set(read.startTimeSeconds());
  const cpu = registry.counter('process_cpu_seconds_total', undefined, { help: 'CPU time, user and system.' });
  const pauses = registry.histogram('nodejs_gc_duration_seconds', undefined, {
    help: 'Garbage collections by duration.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1],
  });

  let cpuSeen = 0;
  const eventLoop = read.eventLoop();
  const collections = read.garbageCollection((seconds) => pauses.observe(seconds));
  const endCollect = registry.onCollect(() => {
    const memory = read.memory();
    resident.set(memory.rss);
    heapUsed.set(memory.heapUsed);
    heapTotal.set(memory.heapTotal);
    external.set(memory.external);
    const cpuNow = read.cpuSeconds();
    cpu.inc(Math.max(0, cpuNow - cpuSeen));
    cpuSeen = Math.max(cpuSeen, cpuNow);
    const delay = eventLoop.read();
    delayP50.set(delay.p50);
    delayP99.set(delay.p99);
    delayMax.set(delay.max);
  });
  return () => {
    endCollect();
    eventLoop.stop();
    collections.stop();
  };
}
