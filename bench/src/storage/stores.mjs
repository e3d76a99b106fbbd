// One face for the three stores, as thin as it can be: each method is the call of the store that is fastest for the purpose
// (bench/README.md tells which others were tried).
import { classicLevelOptions, lmdbOptions, noriOptions } from './settings.mjs';

const LAST_KEY = Buffer.alloc(17, 0xff);

const operations = (keys, values, from, to) => {
  const list = new Array(to - from);
  for (let i = from; i < to; i++) list[i - from] = { type: 'put', key: keys[i], value: values[i] };
  return list;
};

const openNori = async (dir, profile) => {
  const { Lsm } = await import('nori-lsm');
  const db = await Lsm.open({ dir, ...noriOptions(profile) });
  return {
    db,
    putBatch: (keys, values, from, to) => db.batch(operations(keys, values, from, to)),
    put: (key, value) => db.put(key, value),
    getSync: (key) => db.getSync(key),
    get: (key) => db.get(key),
    getMany: (keys) => db.getMany(keys),
    iterations: {
      scanSync: (visit) => {
        for (const [key, value] of db.scanSync()) visit(key, value);
      },
      cursor: (visit) => {
        const cursor = db.cursor();
        for (; cursor.valid; cursor.next()) visit(cursor.key, cursor.value);
        cursor.close();
      },
      'for await scan': async (visit) => {
        for await (const [key, value] of db.scan()) visit(key, value);
      },
    },
    flush: () => db.flush(),
    compact: () => db.compact(),
    /** Bytes that flushes and compactions wrote. */
    tableBytesWritten: () => db.stats().flushedBytes + db.stats().compactionWrittenBytes,
    isBusy: () => db.stats().sealedMemtables > 0,
    stats: () => db.stats(),
    close: () => db.close(),
  };
};

const openClassicLevel = async (dir, profile = {}) => {
  const { ClassicLevel } = await import('classic-level');
  const db = new ClassicLevel(dir, classicLevelOptions(profile));
  await db.open();
  const sync = profile.durable ?? false;
  const nextv = (size) => async (visit) => {
    const iterator = db.iterator({ highWaterMarkBytes: size * 256 });
    for (;;) {
      const entries = await iterator.nextv(size);
      if (entries.length === 0) break;
      for (const [key, value] of entries) visit(key, value);
    }
    await iterator.close();
  };
  return {
    db,
    putBatch: (keys, values, from, to) => {
      const batch = db.batch();
      for (let i = from; i < to; i++) batch.put(keys[i], values[i]);
      return batch.write({ sync });
    },
    put: (key, value) => db.put(key, value, { sync }),
    getSync: (key) => db.getSync(key),
    get: (key) => db.get(key),
    getMany: (keys) => db.getMany(keys),
    iterations: {
      'nextv(1000)': nextv(1000),
      'nextv(10000)': nextv(10_000),
      all: async (visit) => {
        for (const [key, value] of await db.iterator({ highWaterMarkBytes: 1 << 20 }).all()) visit(key, value);
      },
      'for await': async (visit) => {
        for await (const [key, value] of db.iterator({ highWaterMarkBytes: 1 << 20 })) visit(key, value);
      },
    },
    // A range behind all keys: only the memtable is written.
    flush: () => db.compactRange(LAST_KEY, LAST_KEY),
    compact: () => db.compactRange(Buffer.alloc(1), LAST_KEY),
    tableBytesWritten: () => mebibytesWritten(db.getProperty('leveldb.stats')) * 1024 * 1024,
    isBusy: () => false,
    stats: () => db.getProperty('leveldb.stats'),
    close: () => db.close(),
  };
};

/** Sum of the last column of LevelDB's statistics: what flushes and compactions wrote to each level, in whole MiB. */
const mebibytesWritten = (text) =>
  [...text.matchAll(/^\s*\d+(?:\s+[\d.]+){4}\s+([\d.]+)\s*$/gm)].reduce((sum, [, written]) => sum + Number(written), 0);

const openLmdb = async (dir, profile = {}) => {
  const { open } = await import('lmdb');
  const db = open({ path: dir, ...lmdbOptions(profile) });
  return {
    db,
    putBatch: (keys, values, from, to) =>
      db.transactionSync(() => {
        for (let i = from; i < to; i++) db.put(keys[i], values[i]);
      }),
    put: profile.overlappingSync ? (key, value) => db.put(key, value).flushed : (key, value) => db.put(key, value),
    getSync: (key) => db.getBinary(key),
    getFast: (key) => db.getBinaryFast(key),
    get: async (key) => db.getBinary(key),
    getMany: (keys) => db.getMany(keys),
    iterations: {
      getRange: (visit) => {
        for (const { key, value } of db.getRange()) visit(key, value);
      },
      'getRange, snapshot: false': (visit) => {
        for (const { key, value } of db.getRange({ snapshot: false })) visit(key, value);
      },
      'getRange().forEach': (visit) => {
        db.getRange().forEach(({ key, value }) => {
          visit(key, value);
        });
      },
      'getRange().asArray': (visit) => {
        for (const { key, value } of db.getRange().asArray) visit(key, value);
      },
    },
    flush: async () => void (await db.flushed),
    compact: async () => void (await db.flushed),
    stats: () => db.getStats(),
    close: () => db.close(),
  };
};

const OPEN = { nori: openNori, 'classic-level': openClassicLevel, lmdb: openLmdb };

/** Opens a store in `dir`. `profile`: see settings.mjs. */
export const openStore = (store, dir, profile) => OPEN[store](dir, profile);
