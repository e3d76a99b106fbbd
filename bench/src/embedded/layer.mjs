// The same work through NoriLevel, the layer of the abstract-level family, and through the Lsm beneath it. Keys and values are bytes on both
// sides, so that the layer is measured and not UTF-8; what is acknowledged is with the operating system, so that the disk is not.
import { checksumOf, KEY_BYTES, shuffledEntries } from '../storage/data.mjs';
import { noriOptions } from '../storage/settings.mjs';
import { check, checkContents, measurePasses, secondsSince } from '../storage/workloads.mjs';

const IN_FLIGHT = 1000;
const BATCH = 1000;
const MANY = 100;
const NEXTV = 1000;

const openLsm = async (dir) => {
  const { Lsm } = await import('nori-lsm');
  const db = await Lsm.open({ dir, ...noriOptions() });
  return {
    db,
    walk: async (visit) => {
      for await (const [key, value] of db.scan()) visit(key, value);
    },
    // It has no call that gives many entries at a time.
    walkMany: async (visit) => {
      for await (const [key, value] of db.scan()) visit(key, value);
    },
    close: () => db.close(),
  };
};

const openLevel = async (dir) => {
  const { NoriLevel } = await import('nori-lsm/abstract-level');
  const db = new NoriLevel(dir, { ...noriOptions(), keyEncoding: 'view', valueEncoding: 'view' });
  await db.open();
  return {
    db,
    walk: async (visit) => {
      for await (const [key, value] of db.iterator()) visit(key, value);
    },
    walkMany: async (visit) => {
      const iterator = db.iterator();
      for (;;) {
        const entries = await iterator.nextv(NEXTV);
        if (entries.length === 0) break;
        for (const [key, value] of entries) visit(key, value);
      }
      await iterator.close();
    },
    close: () => db.close(),
  };
};

const OPEN = { lsm: openLsm, level: openLevel };

/** CPU time of all threads since `before`, µs. */
const cpuMicrosSince = (before) => {
  const { user, system } = process.cpuUsage(before);
  return user + system;
};

const operationsOf = ({ keys, values }, from) =>
  keys.slice(from, from + BATCH).map((key, i) => ({ type: 'put', key, value: values[from + i] }));

/** Puts of which so many are called together and awaited together. */
const putTogether = async ({ db }, { keys, values }) => {
  for (let from = 0; from < keys.length; from += IN_FLIGHT) {
    const puts = [];
    for (let i = from; i < Math.min(from + IN_FLIGHT, keys.length); i++) puts.push(db.put(keys[i], values[i]));
    await Promise.all(puts);
  }
};

const batches = async ({ db }, entries) => {
  for (const operations of entries.batches) await db.batch(operations);
};

/** A tenth of the entries in another directory first, then all of them in an empty one. */
const measureWrites =
  (write) =>
  async ({ side, dir, keys: count }) => {
    const { order: _, ...all } = shuffledEntries(count);
    const parts = [all, { keys: all.keys.slice(0, count / 10), values: all.values }];
    for (const part of parts) {
      part.batches = [];
      for (let from = 0; from < part.keys.length; from += BATCH) part.batches.push(operationsOf(part, from));
    }
    const other = await OPEN[side](`${dir}/warm-up`);
    await write(other, parts[1]);
    await other.close();
    const store = await OPEN[side](`${dir}/measured`);
    const cpu = process.cpuUsage();
    const startMs = performance.now();
    await write(store, all);
    const perSecond = count / secondsSince(startMs);
    const cpuMicros = cpuMicrosSince(cpu) / count;
    checkContents(store.db, all);
    await store.close();
    return { perSecond, cpuMicros };
  };

const getAwaited =
  ({ db }, { keys }) =>
  async () => {
    let sum = 0;
    for (let i = 0; i < keys.length; i++) {
      const value = await db.get(keys[i]);
      sum += value[value.length - 1];
    }
    return sum;
  };

const getMany = ({ db }, { keys }) => {
  const groups = [];
  for (let i = 0; i < keys.length; i += MANY) groups.push(keys.slice(i, i + MANY));
  return async () => {
    let sum = 0;
    for (const group of groups) {
      for (const value of await db.getMany(group)) sum += value[value.length - 1];
    }
    return sum;
  };
};

const iterate =
  (way) =>
  (store, { keys }) =>
  async () => {
    let entries = 0;
    let sum = 0;
    await store[way]((key, value) => {
      if (key.length === KEY_BYTES) entries++;
      sum += value[value.length - 1];
    });
    check(entries === keys.length, `${entries} of ${keys.length} entries were visited`);
    return sum;
  };

/** All entries in tables of the last level, and every key read twice before it counts. */
const measureReads =
  (passOf) =>
  async ({ side, dir, keys: count }) => {
    const entries = shuffledEntries(count);
    const writer = await OPEN.lsm(dir);
    for (let from = 0; from < count; from += BATCH) await writer.db.batch(operationsOf(entries, from));
    await writer.db.compact();
    await writer.close();
    const store = await OPEN[side](dir);
    checkContents(store.db, entries);
    const pass = passOf(store, entries);
    let passes = 0;
    const cpu = process.cpuUsage();
    const perSecond = await measurePasses(count, checksumOf(entries.values), () => {
      passes++;
      return pass();
    });
    const cpuMicros = cpuMicrosSince(cpu) / (passes * count);
    await store.close();
    return { perSecond, cpuMicros };
  };

/** Jobs are `{ side: 'lsm' | 'level', dir, keys }`; results `{ perSecond }`. */
export const layerWorkloads = {
  layerPut: measureWrites(putTogether),
  layerBatch: measureWrites(batches),
  layerGet: measureReads(getAwaited),
  layerGetMany: measureReads(getMany),
  layerIterate: measureReads(iterate('walk')),
  layerNextv: measureReads(iterate('walkMany')),
};
