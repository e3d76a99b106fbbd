// What a bundle of the simulator does in its worker thread: it runs seeds until one is violated, and reports each.
import { parentPort, workerData } from 'node:worker_threads';
import { runSeed } from '../sim/run-seeds.js';

/** A seed has been run. */
export interface SeedReport {
  readonly seed: number;
  /** Undefined when all was well. */
  readonly violation: string | undefined;
}

const violationOf = (seed: number): string | undefined => {
  const { violation } = runSeed(seed);
  return violation === undefined ? undefined : `${violation.kind}: ${violation.message}`;
};

const { from, to } = workerData as { from: number; to: number };
for (let seed = from; seed <= to; seed++) {
  const report: SeedReport = { seed, violation: violationOf(seed) };
  parentPort!.postMessage(report);
  if (report.violation !== undefined) break;
}
