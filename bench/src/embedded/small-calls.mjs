// What should cost next to nothing: a snapshot, and opening a database in which nothing is.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createHistogram } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { keyOf, valueBytesOf } from '../storage/data.mjs';
import { openStore } from '../storage/stores.mjs';
import { check } from '../storage/workloads.mjs';

const SNAPSHOTS_A_TURN = 10_000;
const WARM_UP_SHARE = 0.1;

/** Opening and closing a snapshot; that of classic-level closes asynchronously, that of lmdb is a read transaction. */
const SNAPSHOT = {
  nori: (db) => db.snapshot().close(),
  'classic-level': (db) => db.snapshot().close(),
  lmdb: (db) => db.useReadTransaction().done(),
};

const openAndClose = async (store, db, times) => {
  const once = SNAPSHOT[store];
  for (let from = 0; from < times; from += SNAPSHOTS_A_TURN) {
    const end = Math.min(times, from + SNAPSHOTS_A_TURN);
    if (store === 'classic-level') for (let i = from; i < end; i++) await once(db);
    else for (let i = from; i < end; i++) once(db);
    // What is done when others have their turn belongs to the cost.
    await nextTurn();
  }
};

const snapshots = async ({ store: name, dir, times }) => {
  const store = await openStore(name, dir);
  await store.put(keyOf(1), valueBytesOf(1));
  await openAndClose(name, store.db, times * WARM_UP_SHARE);
  const startMs = performance.now();
  await openAndClose(name, store.db, times);
  const micros = ((performance.now() - startMs) * 1000) / times;
  if (name === 'nori') check(store.stats().snapshots === 0, 'all snapshots are closed');
  await store.close();
  return { micros };
};

/** Opens a database with default options. */
const OPEN = {
  nori: async () => {
    const { Lsm } = await import('nori-lsm');
    return (dir) => Lsm.open({ dir });
  },
  'classic-level': async () => {
    const { ClassicLevel } = await import('classic-level');
    return async (dir) => {
      const db = new ClassicLevel(dir);
      await db.open();
      return db;
    };
  },
  lmdb: async () => {
    const { open } = await import('lmdb');
    return async (path) => open({ path });
  },
};

const millisecondsOf = (histogram) => ({ median: histogram.percentile(50) / 1e6, p99: histogram.percentile(99) / 1e6 });

/** Opens `times` databases that are not there yet, then each of them again. */
const openEmpty = async ({ store, dir, times }) => {
  const open = await OPEN[store]();
  const parent = join(dir, 'databases');
  mkdirSync(parent);
  const rounds = { fresh: createHistogram(), existing: createHistogram() };
  for (const histogram of Object.values(rounds)) {
    for (let i = 0; i < times; i++) {
      const startMs = performance.now();
      const db = await open(join(parent, String(i)));
      histogram.record(Math.round((performance.now() - startMs) * 1e6));
      await db.close();
    }
  }
  const fresh = millisecondsOf(rounds.fresh);
  const existing = millisecondsOf(rounds.existing);
  return { freshMs: fresh.median, freshP99: fresh.p99, existingMs: existing.median, existingP99: existing.p99 };
};

export const smallCallWorkloads = { snapshots, openEmpty };
