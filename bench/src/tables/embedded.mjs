// What matters to programs that have a database inside them: copies of it, snapshots, opening, range deletes, and what the layer of the
// abstract-level family costs. What each row does is told in bench/README.md.
import { mkdirSync } from 'node:fs';
import { factor, microseconds, milliseconds, perSecond, seconds } from '../figures.mjs';
import { median } from '../median.mjs';
import { runChild, stopChildren } from '../storage/children.mjs';
import { findStores, forget, inEmptyDirectory, prepared } from '../storage/directories.mjs';
import { profileOfNori } from '../storage/profile-of-nori.mjs';
import { STORES } from '../storage/settings.mjs';
import { versionsOfStores } from '../storage/versions.mjs';

const MIB = 2 ** 20;

const sizesOf = (plan) =>
  plan.quick
    ? { storeMib: 32, copies: 2, snapshots: 200_000, opens: 10, keys: 20_000, ranges: 1000, pairs: 1 }
    : { storeMib: 1024, copies: 5, snapshots: 4_000_000, opens: 100, keys: 200_000, ranges: 1000, pairs: 2 };

/** The row's limits are upper ones. */
const row = (what, figure, [floor, goal], format, quickWhat) => ({
  what,
  quickWhat,
  figure,
  floor,
  goal,
  smallerIsBetter: true,
  format,
});

/** Prepares the large store of nori or lmdb. */
const largeStore = (store, plan) => {
  const bytes = sizesOf(plan).storeMib * MIB;
  const workload = store === 'nori' ? 'fillTables' : 'fill';
  return prepared('large', store, async (dir) => {
    await runChild({ workload, store, dir, bytes });
    return { bytes };
  });
};

const measureCheckpoint = async (store, plan) => {
  const { dir, bytes } = await largeStore(store, plan);
  return inEmptyDirectory('copies', (target) => {
    mkdirSync(target);
    const job = { workload: 'checkpoint', store, dir, target, bytes, times: sizesOf(plan).copies };
    return runChild(job, plan.execArgvOf?.(store));
  });
};

const measureIngest = async (store, plan) => {
  const large = await largeStore(store, plan);
  const { dir: tables, entries } = await prepared('tables', store, (target) =>
    runChild({ workload: 'exportAll', store, dir: large.dir, target }),
  );
  return inEmptyDirectory(store, (dir) =>
    runChild({ workload: 'ingest', store, dir, tables, entries }, plan.execArgvOf?.(store)),
  );
};

/** Runs a job with an empty directory of its own. */
const measureEmpty = (jobOf) => (store, plan) =>
  inEmptyDirectory(store, (dir) => runChild({ ...jobOf(sizesOf(plan)), store, dir }, plan.execArgvOf?.(store)));

/**
 * Runs two variants of a job, each in processes of its own, in the order a b b a. Gives the results of both, with `of`: the median
 * of what a picker picks.
 */
const alternate = async (jobOf, [a, b], plan) => {
  const results = { [a]: [], [b]: [] };
  for (let pair = 0; pair < sizesOf(plan).pairs; pair++) {
    for (const variant of pair % 2 === 0 ? [a, b] : [b, a]) {
      const job = { ...jobOf(variant, sizesOf(plan)), store: 'nori' };
      const execArgv = variant === b ? plan.execArgvOf?.('nori') : undefined;
      results[variant].push(await inEmptyDirectory(variant, (dir) => runChild({ ...job, dir }, execArgv)));
    }
  }
  return (variant, pick) => median(results[variant].map(pick));
};

const measureLayer = (workload) => async (_store, plan) => {
  const of = await alternate((side, { keys }) => ({ workload, side, keys }), ['lsm', 'level'], plan);
  const [lsm, level] = ['lsm', 'level'].map((side) => of(side, (result) => result.perSecond));
  const [lsmCpu, levelCpu] = ['lsm', 'level'].map((side) => of(side, (result) => result.cpuMicros));
  return { ratio: lsm / level, lsm, level, lsmCpu, levelCpu };
};

const layerNotes = ({ nori }) => {
  const of = (pick) => median(nori.map(pick));
  return [
    `Lsm ${perSecond(of((r) => r.lsm))}, NoriLevel ${perSecond(of((r) => r.level))}; ` +
      `CPU of all threads ${microseconds(of((r) => r.lsmCpu))} and ${microseconds(of((r) => r.levelCpu))} each`,
  ];
};

const measureRanges = async (_store, plan) => {
  const jobOf = (variant, { keys, ranges }) => ({ workload: 'ranges', keys, ranges, withRanges: variant === 'with' });
  const of = await alternate(jobOf, ['without', 'with'], plan);
  const [gets, getsWith] = ['without', 'with'].map((variant) => of(variant, (result) => result.getsPerSecond));
  const [scans, scansWith] = ['without', 'with'].map((variant) => of(variant, (result) => result.scannedPerSecond));
  const space = of('with', (result) => result.space);
  return { getRatio: gets / getsWith, scanRatio: scans / scansWith, space, gets, getsWith, scans, scansWith };
};

const rangeNotes = ({ nori }) => {
  const of = (pick) => perSecond(median(nori.map(pick)));
  return [
    `getSync ${of((r) => r.gets)} without, ${of((r) => r.getsWith)} with; ` +
      `entries scanned ${of((r) => r.scans)} without, ${of((r) => r.scansWith)} with`,
  ];
};

const tableBytesNotes = ({ nori: [{ tableBytes }] }) => [`nori: tables of ${(tableBytes / MIB).toFixed(0)} MiB`];

const openNotes = (runs) =>
  Object.entries(runs).map(([store, results]) => {
    const of = (pick) => milliseconds(median(results.map(pick)));
    return `${store}: p99 ${of((r) => r.freshP99)} new, ${of((r) => r.existingP99)} existing`;
  });

const RATIO = [1.5, 1.2];
const SLOWER = [1.2, 1.05];
const LOOP_MS = [10, 10];

/** Measurements in the order in which they are made, each with the rows that come of it. */
const measurements = [
  {
    id: 'checkpoint',
    stores: ['nori', 'lmdb'],
    measure: measureCheckpoint,
    rows: [
      row('checkpoint of 1 GiB', 'seconds', [0.2, 0.05], seconds, 'checkpoint of 32 MiB'),
      row('… event loop, max', 'loopMax', LOOP_MS, milliseconds),
    ],
    notesOf: tableBytesNotes,
  },
  {
    id: 'ingest',
    stores: ['nori'],
    measure: measureIngest,
    rows: [
      row('ingest 1 GiB of tables', 'seconds', [1, 0.3], seconds, 'ingest 32 MiB of tables'),
      row('… event loop, max', 'loopMax', LOOP_MS, milliseconds),
    ],
    notesOf: tableBytesNotes,
    after: () => {
      forget('large');
      forget('tables');
    },
  },
  {
    id: 'snapshot',
    stores: STORES,
    measure: measureEmpty(({ snapshots }) => ({ workload: 'snapshots', times: snapshots })),
    rows: [row('snapshot opened and closed', 'micros', [2, 0.5], microseconds)],
  },
  {
    id: 'open-empty',
    stores: STORES,
    measure: measureEmpty(({ opens }) => ({ workload: 'openEmpty', times: opens })),
    rows: [
      row('open an empty database: new', 'freshMs', [5, 2], milliseconds),
      row('… existing', 'existingMs', [5, 2], milliseconds),
    ],
    notesOf: openNotes,
  },
  ...[
    { id: 'layer-put', what: 'put, 1,000 together', workload: 'layerPut' },
    { id: 'layer-batch', what: 'batch of 1,000', workload: 'layerBatch' },
    { id: 'layer-get', what: 'get awaited one by one', workload: 'layerGet' },
    { id: 'layer-get-many', what: 'getMany of 100', workload: 'layerGetMany' },
    { id: 'layer-iterate', what: 'iterate all, `for await`', workload: 'layerIterate' },
    { id: 'layer-nextv', what: 'iterate all, `nextv(1000)`', workload: 'layerNextv' },
  ].map(({ id, what, workload }) => ({
    id,
    stores: ['nori'],
    measure: measureLayer(workload),
    rows: [row(`NoriLevel over Lsm: ${what}`, 'ratio', RATIO, factor)],
    notesOf: layerNotes,
  })),
  {
    id: 'ranges',
    stores: ['nori'],
    measure: measureRanges,
    rows: [
      row('1,000 range tombstones: gets without over gets with', 'getRatio', SLOWER, factor),
      row('… scans of all likewise', 'scanRatio', SLOWER, factor),
      row('… space after compact() over that of what is left', 'space', SLOWER, factor),
    ],
    notesOf: rangeNotes,
  },
];

/** A table of measurements, some of which are made side by side. */
export const embedded = {
  measurements,
  findStores,
  profile: profileOfNori,
  versions: versionsOfStores,
  stop: stopChildren,
};
