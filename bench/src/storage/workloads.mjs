// The short workloads, each run in a process of its own. A workload gets its job (`{ store, dir, … }`), does all checks that
// are needed to believe the figure, and returns `{ perSecond, note? }`.
import { checksumOf, keyOf, shuffledEntries, valueBytesOf } from './data.mjs';
import { WRITE_BUFFER_BYTES_DEFAULT } from './settings.mjs';
import { openStore } from './stores.mjs';

const BATCH = 1000;
const MANY = 100;
/** Passes over all keys are repeated for at least this long. */
const PASSES_MS = 1500;

export const secondsSince = (startMs) => (performance.now() - startMs) / 1000;

/** Keeps `width` calls in flight until `count` were made. */
export const inFlight = async (count, width, call) => {
  let next = 0;
  const lane = async () => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
};

export const check = (isRight, what) => {
  if (!isRight) throw new Error(`wrong result: ${what}`);
};

/** Everything that was written is there, and nothing else. */
export const checkContents = (store, { keys, values }) => {
  let entries = 0;
  for (let i = 0; i < keys.length; i++) {
    const found = store.getSync(keys[i]);
    if (found !== undefined && Buffer.compare(found, values[i]) === 0) entries++;
  }
  check(entries === keys.length, `${entries} of ${keys.length} entries were found as they had been written`);
};

export const loadEntries = async (store, { keys, values }) => {
  for (let i = 0; i < keys.length; i += BATCH) {
    await store.putBatch(keys, values, i, Math.min(i + BATCH, keys.length));
  }
};

/** Into an empty store, after a tenth of the same into another one. */
const measureWrites = async ({ store: name, dir, keys: count, profile }, write) => {
  const entries = shuffledEntries(count);
  const other = await openStore(name, `${dir}/warm-up`, profile);
  await write(other, { keys: entries.keys.slice(0, count / 10), values: entries.values });
  await other.close();
  const store = await openStore(name, `${dir}/measured`, profile);
  const startMs = performance.now();
  await write(store, entries);
  const perSecond = count / secondsSince(startMs);
  checkContents(store, entries);
  await store.close();
  return { perSecond };
};

/** LevelDB with as much memory as the others, and with its default, which little data fit better: the faster counts. */
const bestWrites = async (job, write) => {
  if (job.store !== 'classic-level') return measureWrites(job, write);
  const variants = {};
  for (const [name, writeBytes] of [
    ['equal write buffers', undefined],
    ['default write buffers', WRITE_BUFFER_BYTES_DEFAULT],
  ]) {
    const profile = { ...job.profile, writeBytes };
    variants[name] = (await measureWrites({ ...job, dir: `${job.dir}/${name}`, profile }, write)).perSecond;
  }
  return bestOf(variants);
};

const putBatches = (job) => bestWrites(job, loadEntries);

const putInFlight = (job) =>
  bestWrites(job, (store, { keys, values }) => inFlight(keys.length, job.width, (i) => store.put(keys[i], values[i])));

/** lmdb has two ways to be durable: the faster one counts. */
const durablePut = async (job) => {
  if (job.store !== 'lmdb') return putInFlight({ ...job, profile: { durable: true } });
  const variants = {};
  for (const overlappingSync of [false, true]) {
    const dir = `${job.dir}/${overlappingSync}`;
    variants[`overlappingSync: ${overlappingSync}`] = (
      await putInFlight({ ...job, dir, profile: { durable: true, overlappingSync } })
    ).perSecond;
  }
  return bestOf(variants);
};

const bestOf = (variants) => {
  const [best] = Object.keys(variants).toSorted((a, b) => variants[b] - variants[a]);
  return { perSecond: variants[best], best, variants };
};

/** Repeats `pass` over `count` keys; all passes must give the checksum. */
export const measurePasses = async (count, checksum, pass) => {
  check((await pass()) === checksum, 'checksum of the values that were read while warming up');
  await pass();
  const startMs = performance.now();
  let passes = 0;
  let sum = 0;
  do {
    sum += await pass();
    passes++;
  } while (performance.now() - startMs < PASSES_MS);
  const perSecond = (passes * count) / secondsSince(startMs);
  check(sum === passes * checksum, 'checksum of the values that were read');
  return perSecond;
};

/** Opens the settled store, lets `passOf(store, entries)` give the pass that is measured. */
const measureReads = async ({ store: name, dir, keys: count }, passesOf) => {
  const entries = shuffledEntries(count);
  const checksum = checksumOf(entries.values);
  const store = await openStore(name, dir);
  checkContents(store, entries);
  const variants = {};
  for (const [variant, pass] of Object.entries(passesOf(store, entries))) {
    variants[variant] = await measurePasses(count, checksum, pass);
  }
  await store.close();
  return bestOf(variants);
};

const settle = async ({ store: name, dir, keys: count }) => {
  const store = await openStore(name, dir);
  await loadEntries(store, shuffledEntries(count));
  await store.flush();
  await store.compact();
  await store.close();
  return {};
};

const lastByte = (value) => value[value.length - 1];

const getSync = async (job) => {
  const result = await measureReads(job, (store, { keys }) => ({
    getSync: () => {
      let sum = 0;
      for (let i = 0; i < keys.length; i++) sum += lastByte(store.getSync(keys[i]));
      return sum;
    },
    ...(store.getFast && {
      getBinaryFast: () => {
        let sum = 0;
        for (let i = 0; i < keys.length; i++) sum += lastByte(store.getFast(keys[i]));
        return sum;
      },
    }),
  }));
  // What lmdb hands out without a copy is overwritten by the next get: it is shown, but not compared with.
  return { ...result, best: 'getSync', perSecond: result.variants.getSync };
};

const getAwaited = (job) =>
  measureReads(job, (store, { keys }) => ({
    get: async () => {
      let sum = 0;
      for (let i = 0; i < keys.length; i++) sum += lastByte(await store.get(keys[i]));
      return sum;
    },
  }));

const getMany = (job) =>
  measureReads(job, (store, { keys }) => {
    const groups = [];
    for (let i = 0; i < keys.length; i += MANY) groups.push(keys.slice(i, i + MANY));
    return {
      getMany: async () => {
        let sum = 0;
        for (const group of groups) {
          for (const value of await store.getMany(group)) sum += lastByte(value);
        }
        return sum;
      },
    };
  });

const iterate = (job) =>
  measureReads(job, (store) =>
    Object.fromEntries(
      Object.entries(store.iterations).map(([variant, walk]) => [
        variant,
        async () => {
          let entries = 0;
          let sum = 0;
          let keyBytes = 0;
          await walk((key, value) => {
            entries++;
            keyBytes += key.length;
            sum += value[value.length - 1];
          });
          check(entries === job.keys && keyBytes === 16 * job.keys, `${entries} of ${job.keys} entries were visited`);
          return sum;
        },
      ]),
    ),
  );

/** Opens, writes and reads a little: tells whether the store can be used at all. */
const probe = async ({ store: name, dir }) => {
  const store = await openStore(name, dir);
  await store.put(keyOf(1), valueBytesOf(1));
  check(Buffer.compare(store.getSync(keyOf(1)), valueBytesOf(1)) === 0, 'the value that was read');
  await store.close();
  return {};
};

export const workloads = { probe, settle, putBatches, putInFlight, durablePut, getSync, getAwaited, getMany, iterate };
