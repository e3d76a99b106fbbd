// As seeds-worker.ts, for the simulation of many groups.
import { parentPort, workerData } from 'node:worker_threads';
import { runMultiSeed } from '../multi-sim/run-seeds.js';
import type { SeedReport } from './seeds-worker.js';

const { from, to } = workerData as { from: number; to: number };
let reported = from - 1;

async function runSeeds(): Promise<void> {
  for (let seed = from; seed <= to; seed++) {
    const { violation } = await runMultiSeed(seed);
    const text = violation === undefined ? undefined : `${violation.kind}: ${violation.message}`;
    parentPort!.postMessage({ seed, violation: text } satisfies SeedReport);
    reported = seed;
    if (text !== undefined) break;
  }
}

// A promise that nobody waits for has failed: that ends a process, and is a catch as any other.
process.on('unhandledRejection', (reason) => {
  parentPort!.postMessage({
    seed: reported + 1,
    violation: `unhandled rejection: ${String(reason)}`,
  } satisfies SeedReport);
});
void runSeeds();
