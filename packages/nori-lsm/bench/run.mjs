// Measures the embedded engine on this machine: `node bench/run.mjs [keys]` after a build. 16 B keys, 100 B values, random
// order. Prints operations per second. Figures depend on the disk and on what else runs; compare runs of one machine only.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lsm } from '../dist/index.js';

const keyCount = Number(process.argv[2] ?? 200_000);
const BATCH = 1_000;
const IN_FLIGHT = 1_000;
const DURABLE_IN_FLIGHT = 64;
const DURABLE_COUNT = Math.min(50_000, keyCount);

const keys = Array.from({ length: keyCount }, (_, i) => Buffer.from(String(i).padStart(16, '0')));
let state = 42;
for (let i = keyCount - 1; i > 0; i--) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  const j = state % (i + 1);
  [keys[i], keys[j]] = [keys[j], keys[i]];
}
const value = Buffer.alloc(100, 'v');

const measure = async (name, operations, work) => {
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${name.padEnd(34)} ${Math.round(operations / seconds)
      .toLocaleString('en')
      .padStart(12)} /s`,
  );
};

/** Keeps `width` calls in flight until `count` were made. */
const inFlight = async (count, width, call) => {
  let next = 0;
  const lane = async () => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
};

const withDatabase = async (options, work) => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-lsm-bench-'));
  const db = await Lsm.open({ dir, ...options });
  try {
    await work(db);
  } finally {
    await db.close();
    await rm(dir, { recursive: true });
  }
};

await withDatabase({ durability: 'os' }, async (db) => {
  await measure(`put, batches of ${BATCH}`, keyCount, async () => {
    for (let i = 0; i < keyCount; i += BATCH) {
      await db.batch(keys.slice(i, i + BATCH).map((key) => ({ type: 'put', key, value })));
    }
  });
});

await withDatabase({ durability: 'os' }, async (db) => {
  await measure(`put, ${IN_FLIGHT} in flight`, keyCount, () =>
    inFlight(keyCount, IN_FLIGHT, (i) => db.put(keys[i], value)),
  );
  await measure('get, synchronous, memtable', keyCount, () => {
    for (let i = 0; i < keyCount; i++) db.getSync(keys[i]);
  });
  await db.flush();
  await db.compact();
  const read = async (how) => {
    await measure(`get, synchronous, ${how}`, keyCount, () => {
      for (let i = 0; i < keyCount; i++) db.getSync(keys[(i * 7) % keyCount]);
    });
  };
  await read('tables, cold');
  await read('tables, warm');
  await measure('get, awaited one by one', keyCount, async () => {
    for (let i = 0; i < keyCount; i++) await db.get(keys[i]);
  });
  await measure('getMany of 100', keyCount, async () => {
    for (let i = 0; i < keyCount; i += 100) await db.getMany(keys.slice(i, i + 100));
  });
  await measure('iterate, scanSync', keyCount, () => {
    for (const _ of db.scanSync());
  });
  await measure('iterate, for await scan', keyCount, async () => {
    for await (const _ of db.scan());
  });
  await measure('iterate, reverse', keyCount, () => {
    for (const _ of db.scanSync({ reverse: true }));
  });
});

await withDatabase({}, async (db) => {
  await measure(`durable put, ${DURABLE_IN_FLIGHT} in flight`, DURABLE_COUNT, () =>
    inFlight(DURABLE_COUNT, DURABLE_IN_FLIGHT, (i) => db.put(keys[i], value)),
  );
  await measure('durable put, one by one', 2_000, () => inFlight(2_000, 1, (i) => db.put(keys[i], value)));
});
