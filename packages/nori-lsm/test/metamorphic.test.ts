// Random operations under random options, compared with a sorted map after each.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { compareKeys } from '../src/bytes.js';
import { Lsm, type RangeOptions, type Snapshot } from '../src/index.js';
import { hardKeys, hex, listCursor, Model, smallOptions, TestClock, withSeed } from './support.js';

const RUNS = Number(process.env.NORI_ROUNDS ?? 15);
const STEPS = 400;

interface Run {
  readonly rng: Rng;
  readonly keys: readonly Uint8Array[];
  readonly clock: TestClock;
  db: Lsm;
  readonly model: Model;
  readonly snapshots: { readonly snapshot: Snapshot; readonly model: Model }[];
  readonly reopen: () => Promise<Lsm>;
}

const STEPS_BY_NAME: Record<string, (run: Run) => Promise<void> | void> = {
  put: async ({ rng, db, model, keys }) => {
    const key = rng.pick(keys);
    const value = rng.bytes(rng.chance(0.05) ? rng.int(3000) : rng.int(40));
    await db.put(key, value, { durability: rng.pick(['sync', 'batch', 'os', 'none']) });
    model.put(key, value);
  },
  putExpiring: async ({ rng, db, model, keys, clock }) => {
    const key = rng.pick(keys);
    const value = rng.bytes(rng.int(20));
    const ttlMs = rng.range(1, 3000);
    await db.put(key, value, { ttlMs });
    model.put(key, value, clock.now() + ttlMs);
  },
  delete: async ({ rng, db, model, keys }) => {
    const key = rng.pick(keys);
    await db.delete(key);
    model.delete(key);
  },
  burst: async ({ rng, db, model, keys }) => {
    const writes: Promise<void>[] = [];
    for (let i = rng.int(60); i > 0; i--) {
      const key = rng.pick(keys);
      const value = rng.bytes(rng.int(60));
      writes.push(db.put(key, value, { durability: rng.pick(['batch', 'os', 'none']) }));
      model.put(key, value);
    }
    await Promise.all(writes);
  },
  batch: async ({ rng, db, model, keys }) => {
    const operations = Array.from({ length: rng.int(20) }, () => {
      const key = rng.pick(keys);
      const value = rng.bytes(rng.int(rng.chance(0.1) ? 2000 : 20));
      return rng.chance(0.3) ? ({ type: 'delete', key } as const) : ({ type: 'put', key, value } as const);
    });
    await db.batch(operations);
    for (const operation of operations) {
      if (operation.type === 'put') model.put(operation.key, operation.value);
      else model.delete(operation.key);
    }
  },
  get: async ({ rng, db, model, keys, clock }) => {
    const key = rng.pick(keys);
    expect(hexOf(db.getSync(key))).toBe(model.get(key, clock.now()));
    expect(hexOf(await db.get(key))).toBe(model.get(key, clock.now()));
  },
  getMany: async ({ rng, db, model, keys, clock }) => {
    const asked = Array.from({ length: rng.int(10) }, () => rng.pick(keys));
    const found = await db.getMany(asked);
    expect(found.map(hexOf)).toEqual(asked.map((key) => model.get(key, clock.now())));
  },
  scan: async (run) => {
    const { db, model, rng } = run;
    const { options, expected } = randomRange(run, model);
    const limit = rng.chance(0.3) ? rng.int(10) : -1;
    const want = limit < 0 ? expected : expected.slice(0, limit);
    const sync = Array.from(db.scanSync({ ...options, limit }), ([key, value]) => [hex(key), hex(value)]);
    expect(sync).toEqual(want);
    const found: [string, string][] = [];
    for await (const [key, value] of db.scan({ ...options, limit })) found.push([hex(key), hex(value)]);
    expect(found).toEqual(want);
  },
  walk: (run) => {
    const { rng, db, model, keys } = run;
    const { options, expected } = randomRange(run, model);
    const cursor = db.cursor(options);
    let at = 0;
    for (let i = 0; i < 30; i++) {
      const isInside = at >= 0 && at < expected.length;
      expect(cursor.valid).toBe(isInside);
      if (isInside) expect([hex(cursor.key), hex(cursor.value)]).toEqual(expected[at]);
      const move = rng.int(10);
      if (move < 2) {
        const key = rng.pick(keys);
        cursor.seek(key);
        at = expected.findIndex(([other]) => {
          const order = compareKeys(Buffer.from(other, 'hex'), key);
          return options.reverse ? order <= 0 : order >= 0;
        });
        if (at < 0) at = expected.length;
      } else if (move === 2) {
        cursor.last();
        at = expected.length - 1;
      } else if (move === 3) {
        cursor.first();
        at = 0;
      } else if (isInside) {
        if (move < 7) {
          cursor.next();
          at++;
        } else {
          cursor.previous();
          at--;
        }
      }
    }
    cursor.close();
  },
  openSnapshot: ({ db, model, snapshots }) => {
    snapshots.push({ snapshot: db.snapshot(), model: model.copy() });
  },
  readSnapshot: (run) => {
    if (run.snapshots.length === 0) return;
    const { snapshot, model } = run.rng.pick(run.snapshots);
    const key = run.rng.pick(run.keys);
    expect(hexOf(run.db.getSync(key, { snapshot }))).toBe(model.get(key, run.clock.now()));
    const { options, expected } = randomRange(run, model);
    expect(listCursor(run.db.cursor({ ...options, snapshot }))).toEqual(expected);
  },
  closeSnapshot: ({ rng, snapshots }) => {
    if (snapshots.length > 0) snapshots.splice(rng.int(snapshots.length), 1)[0]!.snapshot.close();
  },
  passTime: ({ rng, clock }) => {
    clock.nowMs += rng.int(1500);
  },
  flush: ({ db }) => db.flush(),
  compact: async ({ db, rng }) => {
    if (rng.chance(0.4)) await db.compact();
  },
  reopen: async (run) => {
    if (!run.rng.chance(0.4)) return;
    await run.db.close();
    run.snapshots.length = 0;
    run.db = await run.reopen();
  },
};

const WEIGHTED = [
  'put',
  'put',
  'put',
  'putExpiring',
  'delete',
  'burst',
  'batch',
  'get',
  'scan',
  'walk',
  'getMany',
].concat(['openSnapshot', 'readSnapshot', 'readSnapshot', 'closeSnapshot', 'passTime', 'flush', 'compact', 'reopen']);

const hexOf = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : hex(bytes));

/** Random bounds and what the model has between them. */
const randomRange = (
  { rng, keys, clock }: Run,
  model: Model,
): { options: RangeOptions; expected: [string, string][] } => {
  const options: { -readonly [Name in keyof RangeOptions]: RangeOptions[Name] } = { reverse: rng.chance(0.5) };
  if (rng.chance(0.3)) options.gte = rng.pick(keys);
  if (rng.chance(0.2)) options.gt = rng.pick(keys);
  if (rng.chance(0.3)) options.lte = rng.pick(keys);
  if (rng.chance(0.2)) options.lt = rng.pick(keys);
  if (rng.chance(0.2)) options.prefix = rng.pick(keys).slice(0, rng.int(4));
  const expected = model.list(clock.now()).filter(([text]) => {
    const key = Buffer.from(text, 'hex');
    const at = (bound: RangeOptions['gte']): number => compareKeys(key, bound as Uint8Array);
    if (options.gte !== undefined ? at(options.gte) < 0 : options.gt !== undefined && at(options.gt) <= 0) return false;
    if (options.lte !== undefined ? at(options.lte) > 0 : options.lt !== undefined && at(options.lt) >= 0) return false;
    return options.prefix === undefined || text.startsWith(hex(options.prefix as Uint8Array));
  });
  return { options, expected: options.reverse ? expected.reverse() : expected };
};

test('random operations under random options agree with a sorted map', async () => {
  const seed = seedFromEnv();
  const root = new Rng(seed);
  for (let number = 0; number < RUNS; number++) {
    const rng = root.fork();
    const fs = new MemoryFileSystem();
    const clock = new TestClock();
    const reopen = (): Promise<Lsm> => Lsm.open({ dir: '/db', fs, clock, ...smallOptions(rng) });
    const run: Run = {
      rng,
      keys: hardKeys(rng, rng.range(5, 80)),
      clock,
      db: await reopen(),
      model: new Model(),
      snapshots: [],
      reopen,
    };
    let step = '';
    await withSeed(seed, async () => {
      for (let i = 0; i < STEPS; i++) {
        step = rng.pick(WEIGHTED);
        await STEPS_BY_NAME[step]!(run);
      }
      expect(listCursor(run.db.cursor())).toEqual(run.model.list(clock.now()));
      expect((await run.db.verify()).problems).toEqual([]);
      expect(run.db.stats().backgroundError).toBeUndefined();
    });
    await run.db.close();
  }
});
