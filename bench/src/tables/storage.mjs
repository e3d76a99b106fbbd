// The storage packages beside the native stores that people use: nori-lsm (and nori-wal), classic-level, lmdb. What each row
// does and how the stores are kept comparable is told in bench/README.md.
import { cpSync, lstatSync } from 'node:fs';
import { mibPerSecond, milliseconds, perSecond, seconds, times } from '../figures.mjs';
import { runChild, stopChildren } from '../storage/children.mjs';
import { findStores, forget, inEmptyDirectory, prepared } from '../storage/directories.mjs';
import { logBytesOf } from '../storage/disk.mjs';
import { profileOfNori } from '../storage/profile-of-nori.mjs';
import { STORES } from '../storage/settings.mjs';
import { versionsOfStores } from '../storage/versions.mjs';

const MIB = 2 ** 20;
const LOG_ONLY = ['nori', 'classic-level'];

const atLeast = (peer, factor) => ({ times: factor, of: peer });

const sizesOf = (plan) =>
  plan.quick
    ? {
        keys: 20_000,
        awaited: 20_000,
        durable: 5000,
        puts: 400_000,
        gets: 50_000,
        storeMib: 64,
        logMib: 16,
        appends: 30_000,
      }
    : {
        keys: 200_000,
        awaited: 200_000,
        durable: 200_000,
        puts: 10_000_000,
        gets: 500_000,
        storeMib: 1024,
        logMib: 128,
        appends: 500_000,
      };

/** Runs a job with an empty directory of its own. */
const measureEmpty = (jobOf) => (store, plan) =>
  inEmptyDirectory(store, (dir) => runChild({ ...jobOf(sizesOf(plan)), store, dir }, plan.execArgvOf?.(store)));

/** Reads a store that was filled, flushed and compacted by another process. */
const measureSettled = (workload) => async (store, plan) => {
  const { keys } = sizesOf(plan);
  const { dir } = await prepared('settled', store, (path) => runChild({ workload: 'settle', store, dir: path, keys }));
  return runChild({ workload, store, dir, keys }, plan.execArgvOf?.(store));
};

const measureOpen = async (store, plan) => {
  const bytes = sizesOf(plan).storeMib * MIB;
  const { dir } = await prepared('large', store, (path) => runChild({ workload: 'fill', store, dir: path, bytes }));
  return runChild({ workload: 'open', store, dir, bytes }, plan.execArgvOf?.(store));
};

/** Opens a copy of what a killed process left. */
const measureReplay = (valueBytes) => async (store, plan) => {
  const bytes = sizesOf(plan).logMib * MIB;
  const left = await prepared(`log-${valueBytes}`, store, async (dir) => {
    const { entries } = await runChild({ workload: 'fillLog', store, dir, bytes, valueBytes });
    return { entries, logBytes: logBytesOf(dir) };
  });
  return inEmptyDirectory(store, (dir) => {
    // The socket of a dead process's lock cannot be copied.
    cpSync(left.dir, dir, { recursive: true, filter: (path) => !lstatSync(path).isSocket() });
    const { entries, logBytes } = left;
    return runChild({ workload: 'replay', store, dir, entries, valueBytes, logBytes }, plan.execArgvOf?.(store));
  });
};

/** `store best of a, b`: which of a store's ways was fastest, from the first repetition. */
const variantNotes = (runs) =>
  Object.entries(runs).flatMap(([store, [{ best, variants = {} }]]) =>
    Object.keys(variants).length < 2
      ? []
      : [
          `${store}: ${Object.entries(variants)
            .map(([name, figure]) => `${name === best ? `**${name}**` : name} ${perSecond(figure)}`)
            .join(', ')}`,
        ],
  );

const loadNotes = (runs) =>
  Object.entries(runs).map(([store, results]) => {
    const of = (pick) => results.map(pick).toSorted((a, b) => a - b)[results.length >> 1];
    return (
      `${store}: event loop p50 ${milliseconds(of((r) => r.loop.p50))}, p99 ${milliseconds(of((r) => r.loop.p99))}, ` +
      `p99.9 ${milliseconds(of((r) => r.loop.p999))}, max ${milliseconds(of((r) => r.loop.max))}; ` +
      `CPU of all threads ${of((r) => r.cpuPercent).toFixed(0)} %, ${of((r) => r.cpuSeconds).toFixed(0)} s; ` +
      `peak RSS ${of((r) => r.peakRssMib).toFixed(0)} MiB; all writes with the log ${of((r) => r.handedOverAmplification).toFixed(1)} x; ` +
      `tables ${(of((r) => r.tableBytesAtRest) / MIB).toFixed(0)} MiB at rest after ${of((r) => r.restSeconds).toFixed(0)} s, ` +
      `${(of((r) => r.tableBytesSettled) / MIB).toFixed(0)} MiB settled`
    );
  });

const throughputRow = (what, floor, goal) => ({
  what,
  figure: 'perSecond',
  floor,
  goal,
  smallerIsBetter: false,
  format: perSecond,
});

/** Measurements in the order in which they are made, each with the rows that come of it. */
const measurements = [
  {
    id: 'put-batch',
    stores: STORES,
    measure: measureEmpty(({ keys }) => ({ workload: 'putBatches', keys })),
    rows: [throughputRow('put in batches of 1,000', atLeast('classic-level', 1), atLeast('classic-level', 1.5))],
    notesOf: variantNotes,
  },
  {
    id: 'put-single',
    stores: STORES,
    measure: measureEmpty(({ keys }) => ({ workload: 'putInFlight', keys, width: 1000 })),
    rows: [throughputRow('put one by one, 1,000 in flight', atLeast('classic-level', 2), atLeast('classic-level', 4))],
    notesOf: variantNotes,
  },
  {
    id: 'put-durable',
    stores: STORES,
    measure: measureEmpty(({ durable }) => ({ workload: 'durablePut', keys: durable, width: 64 })),
    rows: [throughputRow('durable put, 64 in flight', atLeast('lmdb', 1.5), atLeast('lmdb', 3))],
    notesOf: variantNotes,
  },
  {
    id: 'get-sync',
    stores: STORES,
    measure: measureSettled('getSync'),
    rows: [throughputRow('getSync', atLeast('classic-level', 1.5), atLeast('lmdb', 1))],
    notesOf: variantNotes,
  },
  {
    id: 'get-awaited',
    stores: STORES,
    measure: measureSettled('getAwaited'),
    rows: [throughputRow('get awaited one by one, cached', atLeast('classic-level', 5), atLeast('classic-level', 15))],
  },
  {
    id: 'get-many',
    stores: STORES,
    measure: measureSettled('getMany'),
    rows: [throughputRow('getMany of 100', atLeast('classic-level', 2), atLeast('classic-level', 4))],
  },
  {
    id: 'iterate',
    stores: STORES,
    measure: measureSettled('iterate'),
    rows: [throughputRow('iterate all', atLeast('classic-level', 1.5), atLeast('lmdb', 1))],
    notesOf: variantNotes,
    after: () => forget('settled'),
  },
  {
    id: 'load',
    stores: LOG_ONLY,
    measure: measureEmpty(({ puts, gets }) => ({ workload: 'load', puts, gets, keySpace: puts })),
    rows: [
      {
        ...throughputRow('10 M uniform puts', atLeast('classic-level', 0.7), atLeast('classic-level', 1)),
        quickWhat: '400,000 uniform puts',
        figure: 'putsPerSecond',
      },
      {
        ...throughputRow('… then gets', atLeast('classic-level', 0.7), atLeast('classic-level', 1)),
        figure: 'getsPerSecond',
      },
      {
        what: '… write amplification',
        figure: 'writeAmplification',
        floor: 15,
        goal: 12,
        smallerIsBetter: true,
        format: times,
      },
      {
        what: '… space over settled',
        figure: 'spaceRatio',
        floor: 1.4,
        goal: 1.2,
        smallerIsBetter: true,
        format: times,
      },
      {
        what: '… event loop, p99.9',
        figure: 'loopP999',
        floor: 20,
        goal: 10,
        smallerIsBetter: true,
        format: milliseconds,
      },
      // The issue's table asks for the maximum only as a goal.
      {
        what: '… event loop, max',
        figure: 'loopMax',
        floor: Infinity,
        goal: 50,
        smallerIsBetter: true,
        format: milliseconds,
      },
    ],
    notesOf: loadNotes,
  },
  {
    id: 'open',
    stores: STORES,
    measure: measureOpen,
    rows: [
      {
        what: 'open a store of 1 GiB',
        quickWhat: 'open a store of 64 MiB',
        figure: 'seconds',
        floor: 1,
        goal: 0.3,
        smallerIsBetter: true,
        format: seconds,
      },
    ],
    after: () => forget('large'),
  },
  ...[
    { valueBytes: 1024, name: '1 KiB', floor: 150, goal: 300 },
    { valueBytes: 100, name: '100 B', floor: 40, goal: 80 },
  ].map(({ valueBytes, name, floor, goal }) => ({
    id: `replay-${valueBytes}`,
    stores: LOG_ONLY,
    measure: measureReplay(valueBytes),
    rows: [
      {
        what: `replay a log of 128 MiB, records of ${name}`,
        quickWhat: `replay a log of 16 MiB, records of ${name}`,
        figure: 'mibPerSecond',
        floor,
        goal,
        smallerIsBetter: false,
        format: mibPerSecond,
      },
    ],
    after: () => forget(`log-${valueBytes}`),
  })),
  ...[
    { fsync: 'os', floor: 200_000, goal: 400_000 },
    { fsync: 'batch', floor: 120_000, goal: 250_000 },
  ].map(({ fsync, floor, goal }) => ({
    id: `wal-${fsync}`,
    stores: ['nori'],
    measure: measureEmpty(({ appends }) => ({ workload: 'appends', fsync, count: appends })),
    rows: [throughputRow(`nori-wal appends of 1 KiB, \`${fsync}\``, floor, goal)],
    notesOf: variantNotes,
  })),
];

/** A table of measurements that are made side by side. */
export const storage = {
  measurements,
  findStores,
  profile: profileOfNori,
  versions: versionsOfStores,
  stop: stopChildren,
};
