// Copies of a whole database: a checkpoint, an export as tables, and taking such tables in.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { timedAndWatched } from '../event-loop.mjs';
import { median } from '../median.mjs';
import { keyOf, valueBytesOf } from '../storage/data.mjs';
import { entriesOf } from '../storage/opening.mjs';
import { openStore } from '../storage/stores.mjs';
import { check } from '../storage/workloads.mjs';

const BATCH = 1000;

const openDefault = async (dir) => {
  const { Lsm } = await import('nori-lsm');
  return Lsm.open({ dir });
};

/** Fills a database of default options with `bytes` of keys and values, all of it in settled tables. */
const fillTables = async ({ dir, bytes }) => {
  const db = await openDefault(dir);
  const count = entriesOf(bytes);
  for (let from = 0; from < count; from += BATCH) {
    const operations = Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => ({
      type: 'put',
      key: keyOf(from + i),
      value: valueBytesOf(from + i),
    }));
    await db.batch(operations, { durability: 'os' });
  }
  await db.compact();
  await db.close();
  return {};
};

/** Writes all of the database in `dir` as tables of `target`. */
const exportAll = async ({ dir, target }) => {
  const db = await openDefault(dir);
  const { entries, bytes } = await db.exportTables(target);
  await db.close();
  return { entries, tableBytes: bytes };
};

const checkValue = (value, index) =>
  check(value !== undefined && Buffer.compare(value, valueBytesOf(index)) === 0, `the value of ${index} in the copy`);

/** Makes files and their names as durable as what a checkpoint acknowledges. */
const syncAll = async (dir) => {
  for (const name of ['.', ...readdirSync(dir)]) {
    const file = await open(join(dir, name), 'r');
    await file.sync();
    await file.close();
  }
};

const copierOf = async (store, dir) => {
  if (store === 'nori') {
    const db = await openDefault(dir);
    return { copy: (to) => db.checkpoint(to), tableBytes: db.stats().tableBytes, close: () => db.close() };
  }
  const { db, close } = await openStore(store, dir);
  const copy = async (to) => {
    mkdirSync(to);
    await db.backup(to, false);
    await syncAll(to);
  };
  return { copy, close };
};

/** Several copies of the store in `dir`, one after the other: the median of their times, the maximum of the event loop's. */
const checkpoint = async ({ store, dir, target, bytes, times }) => {
  const { copy, tableBytes, close } = await copierOf(store, dir);
  const results = [];
  for (let i = 0; i < times; i++) {
    const to = join(target, String(i));
    results.push(await timedAndWatched(() => copy(to)));
    const index = entriesOf(bytes) - 1 - i;
    const made = store === 'nori' ? await openDefault(to) : await openStore(store, to);
    checkValue(made.getSync(keyOf(index)), index);
    await made.close();
    rmSync(to, { recursive: true });
  }
  await close();
  return {
    seconds: median(results.map((result) => result.seconds)),
    loopMax: Math.max(...results.map((result) => result.loopMax)),
    tableBytes,
  };
};

/** Takes the tables of `tables` into a new database. */
const ingest = async ({ dir, tables, entries }) => {
  const paths = readdirSync(tables).map((name) => join(tables, name));
  const db = await openDefault(dir);
  let report;
  const result = await timedAndWatched(async () => {
    report = await db.ingest(paths);
  });
  check(report.entries === entries, `${report.entries} of ${entries} entries were taken in`);
  for (let index = 0; index < entries; index += 9973) checkValue(db.getSync(keyOf(index)), index);
  await db.close();
  return { ...result, tables: report.tables, tableBytes: report.bytes };
};

export const upkeepWorkloads = { fillTables, exportAll, checkpoint, ingest };
