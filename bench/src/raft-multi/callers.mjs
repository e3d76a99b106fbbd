// Who proposes and reads: in the process of the node that leads, since MultiRaft is a library and has no clients of its own.
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const NS_PER_MS = 1e6;
const RETRY_MS = 20;

const summary = (histogram) => ({
  count: histogram.count,
  p50Ms: histogram.percentile(50) / NS_PER_MS,
  p99Ms: histogram.percentile(99) / NS_PER_MS,
  p999Ms: histogram.percentile(99.9) / NS_PER_MS,
  maxMs: histogram.max / NS_PER_MS,
});

const record = (histogram, ms) => histogram.record(Math.max(1, Math.round(ms * NS_PER_MS)));

/** `callers` that each wait for the answer before they propose again, each time to the next group. */
export const proposeInTurns = async ({ groups, callers, warmupMs, durationMs, data }) => {
  const histogram = createHistogram();
  const startMs = performance.now() + warmupMs;
  const endMs = startMs + durationMs;
  let next = 0;
  let failed = 0;
  const call = async () => {
    for (;;) {
      const group = groups[next++ % groups.length];
      const fromMs = performance.now();
      if (fromMs >= endMs) return;
      try {
        await group.propose(data);
      } catch {
        failed++;
        await sleep(RETRY_MS);
        continue;
      }
      const nowMs = performance.now();
      if (nowMs >= startMs && nowMs < endMs) record(histogram, nowMs - fromMs);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  return { ...summary(histogram), perSecond: (histogram.count * 1000) / durationMs, failed };
};

/**
 * So many proposals a second, whether or not earlier ones are answered. Latency counts from when a proposal was planned, so that a
 * stall is seen by all that had to wait for it.
 * @returns `{ mark(), stop() }`: `mark` tells what came since the last one
 */
export const proposeAtRate = ({ group, perSecond, data }) => {
  const startMs = performance.now();
  let histogram = createHistogram();
  let sent = 0;
  let failed = 0;
  let pending = 0;
  const send = (plannedMs) => {
    pending++;
    group
      .propose(data)
      .then(
        () => record(histogram, performance.now() - plannedMs),
        () => failed++,
      )
      .finally(() => pending--);
  };
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) * perSecond) / 1000);
    for (; sent < due; sent++) send(startMs + (sent * 1000) / perSecond);
  }, 1);
  return {
    mark: () => {
      const measured = { ...summary(histogram), failed };
      histogram = createHistogram();
      failed = 0;
      return measured;
    },
    stop: async () => {
      clearInterval(timer);
      while (pending > 0) await sleep(10);
    },
  };
};

/** Lease reads of `distinct` groups in each turn of the event loop. A read that the lease does not allow counts as missed. */
export const readByLease = async ({ groups, distinct, warmupMs, durationMs }) => {
  let reads = 0;
  let missed = 0;
  let at = 0;
  const turn = () => {
    for (let i = 0; i < distinct; i++) {
      at = at + 1 === groups.length ? 0 : at + 1;
      if (groups[at].leaseRead(() => at) === undefined) missed++;
      else reads++;
    }
  };
  const run = async (forMs) => {
    for (const endMs = performance.now() + forMs; performance.now() < endMs; ) {
      turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await run(warmupMs);
  reads = 0;
  missed = 0;
  const startMs = performance.now();
  await run(durationMs);
  const seconds = (performance.now() - startMs) / 1000;
  return { perSecond: reads / seconds, missedPerSecond: missed / seconds };
};
