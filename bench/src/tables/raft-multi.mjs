// Many Raft groups on three nodes, over TCP, each node with its log on disk. What each row does is told in bench/README.md.
import { fileURLToPath } from 'node:url';
import { factor, fineMilliseconds, kibibytes, milliseconds, percent, perSecond, seconds } from '../figures.mjs';
import { runChild, stopChildren } from '../storage/children.mjs';
import { inEmptyDirectory } from '../storage/directories.mjs';
import { profileOfNori } from '../storage/profile-of-nori.mjs';
import { versionsOf } from '../storage/versions.mjs';

const CHILD = fileURLToPath(new URL('../raft-multi/child.mjs', import.meta.url));

const BYTES = 128;
const CALLERS = 256;
const GROUPS = 1024;
const GIB = 2 ** 30;
const FORMS = { one: 'one process', three: 'three' };

const sizesOf = ({ quick, durationS, warmupS }) => ({
  bytes: BYTES,
  groups: quick ? 96 : GROUPS,
  snapshotBytes: quick ? GIB / 16 : GIB,
  beforeMs: quick ? 2000 : 10_000,
  durationMs: durationS * 1000,
  warmupMs: warmupS * 1000,
});

/** Runs a job in a process of its own. */
const measure = (jobOf, execArgv = []) => {
  return (store, plan) =>
    inEmptyDirectory(store, (dir) => {
      const job = { ...sizesOf(plan), ...jobOf, store, dir };
      return runChild(job, [...execArgv, ...(plan.execArgvOf?.(store) ?? [])], CHILD);
    });
};

/** The same measurement with all nodes in one process, and with a process each. */
const inBothForms = ({ id, job, execArgv, rows, notesOf }) =>
  Object.entries(FORMS).map(([form, name]) => ({
    id: `${id}-${form}`,
    stores: ['nori'],
    measure: measure({ ...job, form }, execArgv),
    rows: rows.map(({ quickWhat, ...row }) => ({
      ...row,
      what: `${row.what}: ${name}`,
      ...(quickWhat !== undefined && { quickWhat: `${quickWhat}: ${name}` }),
    })),
    notesOf: notesOf === undefined ? undefined : ({ nori }) => [notesOf(nori[0])],
  }));

const load = ({ p50Ms, p99Ms, cpuPercent, failed }) =>
  `p50 ${milliseconds(p50Ms)}, p99 ${milliseconds(p99Ms)}; CPU of all nodes ${cpuPercent.toFixed(0)} %; ${failed} failed`;

/** Measurements in the order in which they are made. There is no peer: no other library for Node does all of this. */
const measurements = [
  ...inBothForms({
    id: 'one-group',
    job: { workload: 'oneGroup', callers: CALLERS },
    rows: [{ what: 'one group, 256 callers', figure: 'perSecond', floor: 20_000, goal: 60_000, format: perSecond }],
    notesOf: load,
  }),
  ...inBothForms({
    id: 'many-groups',
    job: { workload: 'manyGroups', callers: CALLERS },
    rows: [
      {
        what: '1,024 groups, 256 callers spread over them',
        quickWhat: '96 groups, 256 callers spread over them',
        figure: 'perSecond',
        floor: 10_000,
        goal: 30_000,
        format: perSecond,
      },
    ],
    notesOf: load,
  }),
  ...inBothForms({
    id: 'one-caller',
    job: { workload: 'oneGroup', callers: 1 },
    rows: [
      {
        what: 'one caller, median',
        figure: 'p50Ms',
        floor: 1.5,
        goal: 0.8,
        smallerIsBetter: true,
        format: fineMilliseconds,
      },
    ],
    notesOf: load,
  }),
  ...inBothForms({
    id: 'idle',
    job: { workload: 'idle', entries: 4 },
    execArgv: ['--expose-gc'],
    rows: [
      {
        what: '1,024 groups idle, CPU a node',
        quickWhat: '96 groups idle, CPU a node',
        figure: 'cpuPercent',
        floor: 3,
        goal: 1,
        smallerIsBetter: true,
        format: percent,
      },
      {
        what: '… heap a group and node',
        figure: 'heapKib',
        floor: 40,
        goal: 16,
        smallerIsBetter: true,
        format: kibibytes,
      },
    ],
    notesOf: ({ elections }) => `${elections} elections meanwhile`,
  }),
  ...inBothForms({
    id: 'failover',
    job: { workload: 'failover' },
    rows: [
      {
        what: 'node killed that leads a third of 1,024 groups, all led again',
        quickWhat: 'node killed that leads a third of 96 groups, all led again',
        figure: 'seconds',
        floor: 4,
        goal: 2.5,
        smallerIsBetter: true,
        format: seconds,
      },
    ],
    notesOf: ({ answeredSeconds }) => `a proposal to each group was answered after ${seconds(answeredSeconds)}`,
  }),
  ...inBothForms({
    id: 'lease-reads',
    job: { workload: 'leaseReads', distinct: CALLERS, groups: CALLERS },
    rows: [
      {
        what: 'lease reads, 256 distinct groups a turn',
        figure: 'perSecond',
        floor: 300_000,
        goal: 1_000_000,
        format: perSecond,
      },
    ],
    notesOf: ({ missedPerSecond }) => `${missedPerSecond.toFixed(0)} reads a second found no lease`,
  }),
  ...inBothForms({
    id: 'snapshot',
    job: { workload: 'snapshot', perSecond: 5000 },
    rows: [
      {
        what: '1 GiB snapshot beside 5,000 proposals/s, p99 over that before',
        quickWhat: '64 MiB snapshot beside 5,000 proposals/s, p99 over that before',
        figure: 'ratio',
        floor: 5,
        goal: 2,
        smallerIsBetter: true,
        format: factor,
      },
      { what: '… elections', figure: 'elections', floor: 0, goal: 0, smallerIsBetter: true, format: String },
    ],
    notesOf: ({ seconds: took, before, during }) =>
      `installed after ${seconds(took)}; p99 ${milliseconds(before.p99Ms)} before (p50 ${milliseconds(before.p50Ms)}), ` +
      `${milliseconds(during.p99Ms)} meanwhile (p50 ${milliseconds(during.p50Ms)}); ${during.failed} failed`,
  }),
];

/** A table of measurements of which none has a peer. */
export const raftMulti = {
  measurements,
  stores: ['nori'],
  usesDisk: true,
  findStores: async () => ({ available: ['nori'], missing: {} }),
  profile: profileOfNori,
  versions: () => versionsOf(['nori-raft']),
  stop: stopChildren,
};
