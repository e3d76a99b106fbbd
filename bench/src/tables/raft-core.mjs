// The Raft core alone, without disk and network, and the simulator that tests it. What each row does is told in bench/README.md.
import { fileURLToPath } from 'node:url';
import { factor, kibibytes, microseconds, perSecond } from '../figures.mjs';
import { runChild, stopChildren } from '../storage/children.mjs';
import { inEmptyDirectory } from '../storage/directories.mjs';
import { profileOfNori } from '../storage/profile-of-nori.mjs';
import { versionsOf } from '../storage/versions.mjs';

const CHILD = fileURLToPath(new URL('../raft/child.mjs', import.meta.url));

const sizesOf = (plan) =>
  plan.quick
    ? { durationMs: 1000, warmupMs: 500, replicas: 1000, seeds: 20, warmupSeeds: 5 }
    : { durationMs: 5000, warmupMs: 2000, replicas: 10_000, seeds: 300, warmupSeeds: 30 };

/** Runs a job in a process of its own. */
const measure = (jobOf, execArgv = []) => {
  return (store, plan) =>
    inEmptyDirectory(store, (dir) => {
      const job = { ...sizesOf(plan), ...jobOf, store, dir };
      return runChild(job, [...execArgv, ...(plan.execArgvOf?.(store) ?? [])], CHILD);
    });
};

/** Measurements in the order in which they are made. There is no peer: no other core in JavaScript does all of this. */
const measurements = [
  {
    id: 'step',
    stores: ['nori'],
    measure: measure({ workload: 'stepAnswers', valueBytes: 128 }),
    rows: [
      {
        what: '`step` of an append answer in steady state',
        figure: 'micros',
        floor: 3,
        goal: 1,
        smallerIsBetter: true,
        format: microseconds,
      },
    ],
  },
  {
    id: 'commit',
    stores: ['nori'],
    measure: measure({ workload: 'commitBatches', batch: 16, valueBytes: 128 }),
    rows: [
      {
        what: 'propose, replicate, commit, apply: three cores, batches of 16',
        figure: 'perSecond',
        floor: 150_000,
        goal: 500_000,
        smallerIsBetter: false,
        format: perSecond,
      },
    ],
  },
  {
    id: 'rest',
    stores: ['nori'],
    measure: measure({ workload: 'restingGroups', entries: 20, kept: 4, valueBytes: 128 }, ['--expose-gc']),
    rows: [
      {
        what: 'heap of a replica at rest, of 10,000',
        quickWhat: 'heap of a replica at rest, of 1,000',
        figure: 'kib',
        floor: 24,
        goal: 8,
        smallerIsBetter: true,
        format: kibibytes,
      },
    ],
  },
  {
    id: 'simulator',
    stores: ['nori'],
    measure: measure({ workload: 'simulate' }),
    rows: [
      {
        what: 'simulator, times real time',
        figure: 'timesRealTime',
        floor: 20,
        goal: 200,
        smallerIsBetter: false,
        format: factor,
      },
    ],
  },
];

/** A table of measurements of which none has a peer. */
export const raftCore = {
  measurements,
  stores: ['nori'],
  usesDisk: false,
  findStores: async () => ({ available: ['nori'], missing: {} }),
  profile: profileOfNori,
  versions: () => versionsOf(['nori-raft']),
  stop: stopChildren,
};
