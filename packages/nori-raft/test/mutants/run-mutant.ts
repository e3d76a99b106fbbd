// Runs the simulator with a mutant until a seed finds it, in a thread of its own that can be ended if it hangs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { buildSimulator, type Patch, type Simulator } from './build.js';
import type { SeedReport } from './seeds-worker.js';

/** How a hunt ended. */
export interface Hunt {
  /** `hung`: a seed took longer than `seedMsMax`. The simulator bounds its own steps, so that is a failure, never a catch. */
  readonly result: 'caught' | 'survived' | 'hung';
  /** Seeds run, the last one included. */
  readonly seeds: number;
  /** What the simulator found, when caught. */
  readonly violation: string | undefined;
}

/** Limits of a hunt. */
export interface HuntLimits {
  /** The first seed. Default 1. */
  readonly from?: number;
  readonly seedsMax: number;
  /** Wall-clock time of one seed. Default 60 s. */
  readonly seedMsMax?: number;
  /** Default: of the core. */
  readonly simulator?: Simulator;
}

const runSeeds = (bundle: string, { from = 1, seedsMax, seedMsMax = 60_000 }: HuntLimits): Promise<Hunt> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(bundle, { workerData: { from, to: from + seedsMax - 1 } });
    let seeds = 0;
    const end = (hunt: Hunt) => {
      clearTimeout(guard);
      resolve(hunt);
      void worker.terminate();
    };
    const guard = setTimeout(() => end({ result: 'hung', seeds: seeds + 1, violation: undefined }), seedMsMax);
    worker.on('message', ({ seed, violation }: SeedReport) => {
      seeds = seed - from + 1;
      guard.refresh();
      if (violation !== undefined) end({ result: 'caught', seeds, violation });
      else if (seeds === seedsMax) end({ result: 'survived', seeds, violation });
    });
    worker.once('error', (error) => {
      clearTimeout(guard);
      reject(error);
    });
  });

/** Builds the simulator with these patches and runs seed after seed. */
export const hunt = async (patches: readonly Patch[], limits: HuntLimits): Promise<Hunt> => {
  const dir = mkdtempSync(join(tmpdir(), 'nori-raft-mutant-'));
  try {
    const bundle = join(dir, 'simulator.mjs');
    await buildSimulator(bundle, patches, limits.simulator);
    return await runSeeds(bundle, limits);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};
