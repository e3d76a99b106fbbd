// How long the event loop of this process is held.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** Begins to watch. The function it gives ends that, and tells in milliseconds what a timer of 1 ms took: idle is 1.1. */
export const watchEventLoop = () => {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  return () => {
    histogram.disable();
    const ms = (percentile) => histogram.percentile(percentile) / 1e6;
    return { p50: ms(50), p99: ms(99), p999: ms(99.9), max: histogram.max / 1e6 };
  };
};

const SETTLE_MS = 20;

/** The seconds that `work` takes, and how long it held the event loop at most, milliseconds; what it began late is waited for. */
export const timedAndWatched = async (work) => {
  await sleep(SETTLE_MS);
  const endWatch = watchEventLoop();
  await sleep(SETTLE_MS);
  const startMs = performance.now();
  await work();
  const seconds = (performance.now() - startMs) / 1000;
  await sleep(SETTLE_MS);
  return { seconds, loopMax: endWatch().max };
};
