// What a run may do. A step draws everything from its own source of randomness, so that a step can be left out of a
// failing run without changing the others.
import type { Rng } from 'nori-testkit';
import { compareKeys } from '../../src/bytes.js';
import { rangeOf } from '../../src/cursor-bounds.js';
import type { BatchOperation, Durability, RangeOptions } from '../../src/index.js';
import { hex } from '../support.js';
import { compareEntry, compareList, compareValue } from './compare.js';
import { isInRange, isLive, type ModelEntry, type ModelWrite } from './model.js';
import type { Run, StandingCursor } from './run.js';

type Step = (run: Run, rng: Rng) => Promise<void> | void;

const STANDING_MAX = 4;

/** Each step, and how often it comes. */
export const STEPS: Readonly<Record<string, { readonly weight: number; readonly run: Step }>> = {
  put: {
    weight: 6,
    run: async (run, rng) => {
      const { key, entry } = randomWrite(run, rng, 0);
      const durability = rng.pick(run.durabilities);
      run.note(`put #${key} ${entry!.value.length} B ${durability}${entry!.expiresAtMs === 0 ? '' : ' ttl'}`);
      await put(run, key, entry!, durability);
    },
  },
  delete: {
    weight: 2,
    run: async (run, rng) => {
      const key = rng.int(run.keys.length);
      const durability = rng.pick(run.durabilities);
      run.note(`delete #${key} ${durability}`);
      await run.write([{ key, entry: undefined }], durability, () => run.store.delete(run.keys[key]!, { durability }));
    },
  },
  burst: {
    weight: 3,
    run: async (run, rng) => {
      const count = rng.int(60);
      run.note(`burst of ${count}`);
      const writes: Promise<void>[] = [];
      for (let i = 0; i < count; i++) {
        const { key, entry } = randomWrite(run, rng, 0);
        writes.push(put(run, key, entry!, rng.pick(run.durabilities)));
      }
      await Promise.all(writes);
    },
  },
  batch: {
    weight: 3,
    run: async (run, rng) => {
      const writes = Array.from({ length: rng.int(20) }, () => randomWrite(run, rng, 0.3));
      const durability = rng.pick(run.durabilities);
      run.note(`batch of ${writes.map(({ key, entry }) => `${entry === undefined ? '-' : ''}#${key}`)} ${durability}`);
      const operations = writes.map(({ key, entry }) => operationOf(run, key, entry));
      const isAcross = run.hasKeyspaces && rng.chance(0.5);
      const call = (): Promise<void> => run.store.batch(operations, { durability });
      if (isAcross) await run.writeAcross(writes, operations, durability);
      else if (writes.length === 0) await call();
      else await run.write(writes, durability, call);
    },
  },
  deleteRange: {
    weight: 1.5,
    run: async (run, rng) => {
      const { reverse: _, ...bounds } = randomRange(run, rng);
      const range = { gte: run.keys[0]!, ...bounds };
      const durability = rng.pick(run.durabilities);
      const deleted = run.keys.flatMap((key, slot) => (isInRange(key, range) ? [slot] : []));
      const after = rng.chance(0.3) ? [randomWrite(run, rng, 0.2)] : [];
      run.note(`delete range ${describe(range)}, then ${after.map(({ key }) => `#${key}`)} ${durability}`);
      const writes = [...deleted.map((key): ModelWrite => ({ key, entry: undefined })), ...after];
      const operations: BatchOperation[] = [
        { type: 'deleteRange', ...range },
        ...after.map(({ key, entry }) => operationOf(run, key, entry)),
      ];
      // A range without keys of the run may still be one for the database.
      const count = operations.length - (isEmptyRange(range) ? 1 : 0);
      const call = (): Promise<void> => run.store.batch(operations, { durability });
      if (count === 0) await call();
      else await run.write(writes, durability, call, count);
    },
  },
  get: {
    weight: 3,
    run: async (run, rng) => {
      const key = rng.int(run.keys.length);
      run.note(`get #${key}`);
      compareValue(run.store.getSync(run.keys[key]!), run.model.get(key, run.nowMs), key, run.model);
      compareValue(await run.store.get(run.keys[key]!), run.model.get(key, run.nowMs), key, run.model);
    },
  },
  getMany: {
    weight: 2,
    run: async (run, rng) => {
      const slots = Array.from({ length: rng.int(12) }, () => rng.int(run.keys.length));
      run.note(`getMany ${slots}`);
      const found = await run.store.getMany(slots.map((slot) => run.keys[slot]!));
      for (const [i, slot] of slots.entries()) compareValue(found[i], run.model.get(slot, run.nowMs), slot, run.model);
    },
  },
  getAbsent: {
    weight: 1,
    run: (run, rng) => {
      const key = new Uint8Array([...rng.pick(run.keys), ...rng.bytes(rng.range(1, 3))]);
      if (run.keys.some((other) => compareKeys(other, key) === 0)) return;
      run.note(`get ${hex(key)}, which was never written`);
      if (run.store.getSync(key) !== undefined) throw new Error(`finds ${hex(key)}, which was never written`);
    },
  },
  scan: {
    weight: 2,
    run: async (run, rng) => {
      const options = randomRange(run, rng);
      const limit = rng.chance(0.3) ? rng.int(10) : -1;
      run.note(`scan ${describe(options)} limit ${limit}`);
      const all = run.model.list(options, run.nowMs);
      const expected = limit < 0 ? all : all.slice(0, limit);
      const found = Array.from(run.store.scanSync({ ...options, limit }));
      compareEntries(run, found, expected);
      found.length = 0;
      for await (const entry of run.store.scan({ ...options, limit })) found.push(entry);
      compareEntries(run, found, expected);
    },
  },
  scanExpired: {
    weight: 1,
    run: (run) => {
      run.note('scan with expired entries');
      const live = new Set(run.model.list({}, run.nowMs));
      const cursor = run.store.cursor({ showExpired: true });
      for (; cursor.valid; cursor.next()) {
        const slot = slotOf(run, cursor.key);
        if (run.model.entries[slot] === undefined) throw new Error(`shows ${hex(cursor.key)}, which was deleted`);
        compareEntry(cursor, slot, run.model);
        live.delete(slot);
      }
      cursor.close();
      if (live.size > 0) throw new Error(`does not show ${[...live]}`);
    },
  },
  openCursor: {
    weight: 2,
    run: (run, rng) => {
      if (run.cursors.length >= STANDING_MAX) return;
      const held = rng.chance(0.3) && run.snapshots.length > 0 ? rng.pick(run.snapshots) : undefined;
      const model = held?.model ?? run.model.copy();
      const options = randomRange(run, rng);
      const unpositioned = rng.chance(0.2);
      run.note(`open cursor ${describe(options)}${unpositioned ? ' unpositioned' : ''}`);
      const cursor = run.store.cursor({ ...options, unpositioned, ...(held && { snapshot: held.snapshot }) });
      const at = unpositioned ? -1 : (model.list(options, run.nowMs)[0] ?? -1);
      const standing: StandingCursor = { cursor, model, options, at };
      compareStanding(standing);
      run.cursors.push(standing);
    },
  },
  moveCursor: {
    weight: 5,
    run: (run, rng) => {
      if (run.cursors.length === 0) return;
      const number = rng.int(run.cursors.length);
      const moves: string[] = [];
      run.note(`move cursor ${number}: `);
      for (let i = rng.range(1, 20); i > 0; i--) {
        moves.push(moveStanding(run, run.cursors[number]!, rng));
        run.notes[run.notes.length - 1] = `move cursor ${number}: ${moves.join(' ')}`;
        compareStanding(run.cursors[number]!);
      }
    },
  },
  closeCursor: {
    weight: 1,
    run: (run, rng) => {
      if (run.cursors.length === 0) return;
      run.note('close cursor');
      run.cursors.splice(rng.int(run.cursors.length), 1)[0]!.cursor.close();
    },
  },
  openSnapshot: {
    weight: 2,
    run: (run) => {
      if (run.snapshots.length >= STANDING_MAX) return;
      run.note('open snapshot');
      run.snapshots.push({ snapshot: run.store.snapshot(), model: run.model.copy() });
    },
  },
  readSnapshot: {
    weight: 3,
    run: async (run, rng) => {
      if (run.snapshots.length === 0) return;
      const { snapshot, model } = rng.pick(run.snapshots);
      const key = rng.int(run.keys.length);
      const options = randomRange(run, rng);
      run.note(`read snapshot at ${snapshot.seq}: #${key}, ${describe(options)}`);
      compareValue(run.store.getSync(run.keys[key]!, { snapshot }), model.get(key, run.nowMs), key, model);
      const [first] = await run.store.getMany([run.keys[key]!], { snapshot });
      compareValue(first, model.get(key, run.nowMs), key, model);
      compareList(run.store.cursor({ ...options, snapshot }), model.list(options, run.nowMs), model);
    },
  },
  closeSnapshot: {
    weight: 1,
    run: (run, rng) => {
      if (run.snapshots.length === 0) return;
      run.note('close snapshot');
      run.snapshots.splice(rng.int(run.snapshots.length), 1)[0]!.snapshot.close();
    },
  },
  passTime: {
    weight: 2,
    run: (run, rng) => {
      const expiries = run.model.entries.flatMap((entry) => (isLive(entry, run.nowMs) ? [entry.expiresAtMs] : []));
      const soon = Math.max(run.nowMs, rng.pick([0, ...expiries]));
      // The very moment at which something expires is the one to get wrong.
      run.clock.nowMs = rng.chance(0.3) ? soon : run.nowMs + rng.int(1500);
      run.note(`now ${run.clock.nowMs}`);
    },
  },
  flush: {
    weight: 2,
    run: async (run) => {
      run.note('flush');
      await run.flush();
    },
  },
  compact: {
    weight: 1,
    run: async (run) => {
      run.note('compact');
      await run.flush();
      await run.db.compact();
    },
  },
  checkpoint: {
    weight: 0.7,
    run: async (run) => {
      run.note('checkpoint');
      await run.checkpoint();
    },
  },
  ingest: {
    weight: 1,
    run: async (run, rng) => {
      const slots = run.keys.flatMap((_, slot) => (rng.chance(0.3) ? [slot] : []));
      const entries = slots.map((key) => ({ ...randomWrite(run, rng, 0.2), key }));
      const { reverse: _, ...bounds } = randomRange(run, rng);
      const replace = rng.chance(0.4) ? { gte: run.keys[0]!, ...bounds } : undefined;
      const level = rng.chance(0.2) ? 0 : undefined;
      const parts = rng.range(1, 4);
      run.note(
        `ingest ${slots} in ${parts} tables${replace ? ` in place of ${describe(replace)}` : ''}${level === 0 ? ' to L0' : ''}`,
      );
      await run.ingest(entries, parts, replace, level);
    },
  },
  export: {
    weight: 0.7,
    run: async (run, rng) => {
      const { reverse: _, ...range } = randomRange(run, rng);
      const held = rng.chance(0.3) && run.snapshots.length > 0 ? rng.pick(run.snapshots) : undefined;
      run.note(`export ${describe(range)}${held ? ` as of ${held.snapshot.seq}` : ''}`);
      await run.exportTables(range, held);
    },
  },
  verify: {
    weight: 0.5,
    run: async (run) => {
      run.note('verify');
      const { problems } = await run.db.verify();
      if (problems.length > 0) throw problems[0];
    },
  },
  restart: {
    weight: 0.7,
    run: async (run, rng) => {
      run.note('restart');
      await run.restart(rng);
    },
  },
  powerFailure: {
    weight: 1.5,
    run: (run, rng) => plant(run, rng, true),
  },
  kill: {
    weight: 0.5,
    run: (run, rng) => plant(run, rng, false),
  },
};

const plant = (run: Run, rng: Rng, isPowerFailure: boolean): void => {
  const operations = rng.pick([0, rng.int(10), rng.int(100)]);
  run.note(`${isPowerFailure ? 'power failure' : 'kill'} in ${operations} operations of the file system`);
  run.plantDeath(rng, isPowerFailure, operations);
};

const ttlOf = (run: Run, { expiresAtMs }: ModelEntry): { readonly ttlMs?: number } =>
  expiresAtMs === 0 ? {} : { ttlMs: expiresAtMs - run.nowMs };

const put = (run: Run, key: number, entry: ModelEntry, durability: Durability): Promise<void> =>
  run.write([{ key, entry }], durability, () =>
    run.store.put(run.keys[key]!, entry.value, { durability, ...ttlOf(run, entry) }),
  );

const operationOf = (run: Run, slot: number, entry: ModelEntry | undefined): BatchOperation => {
  const key = run.keys[slot]!;
  return entry === undefined ? { type: 'delete', key } : { type: 'put', key, value: entry.value, ...ttlOf(run, entry) };
};

const randomWrite = (run: Run, rng: Rng, deletes: number): ModelWrite => {
  const key = rng.int(run.keys.length);
  if (rng.chance(deletes)) return { key, entry: undefined };
  const bytes = rng.chance(0.03) ? rng.int(3000) : rng.int(60);
  // Some values can be compressed, some cannot.
  const value = rng.chance(0.5) ? rng.bytes(bytes) : new Uint8Array(bytes).fill(rng.int(256));
  return { key, entry: { value, expiresAtMs: rng.chance(0.15) ? run.nowMs + rng.range(1, 3000) : 0 } };
};

const randomRange = (run: Run, rng: Rng): RangeOptions => {
  const options: { -readonly [Name in keyof RangeOptions]: RangeOptions[Name] } = { reverse: rng.chance(0.5) };
  if (rng.chance(0.3)) options.gte = rng.pick(run.keys);
  if (rng.chance(0.15)) options.gt = rng.pick(run.keys);
  if (rng.chance(0.3)) options.lte = rng.pick(run.keys);
  if (rng.chance(0.15)) options.lt = rng.pick(run.keys);
  if (rng.chance(0.2)) options.prefix = rng.pick(run.keys).slice(0, rng.int(4));
  return options;
};

/** True if no key at all lies in the range: the database then has nothing to write. */
const isEmptyRange = (range: RangeOptions): boolean => {
  const { lower, upper } = rangeOf(range);
  return upper !== undefined && compareKeys(lower, upper) >= 0;
};

const describe = (options: RangeOptions): string =>
  Object.entries(options)
    .map(([name, value]) => `${name} ${value instanceof Uint8Array ? hex(value) : value}`)
    .join(' ');

const slotOf = (run: Run, key: Uint8Array): number => {
  const slot = run.keys.findIndex((other) => compareKeys(other, key) === 0);
  if (slot < 0) throw new Error(`shows ${hex(key)}, which was never written`);
  return slot;
};

const compareEntries = (
  run: Run,
  found: readonly (readonly [Uint8Array, Uint8Array])[],
  expected: readonly number[],
): void => {
  const slots = found.map(([key]) => slotOf(run, key));
  if (slots.join() !== expected.join()) throw new Error(`shows ${slots} instead of ${expected}`);
  for (const [i, slot] of slots.entries()) compareValue(found[i]![1], run.model.get(slot, run.nowMs), slot, run.model);
};

/** Moves a cursor and where it should be. */
const moveStanding = (run: Run, standing: StandingCursor, rng: Rng): string => {
  const { cursor, model, options } = standing;
  const { reverse = false } = options;
  const onward = reverse ? -1 : 1;
  const shows = (slot: number): boolean => {
    const key = run.keys[slot]!;
    const isBeforeEnd = standing.end === undefined || compareKeys(key, standing.end) * onward < 0;
    return isBeforeEnd && isLive(model.entries[slot], run.nowMs) && isInRange(key, options);
  };
  const from = (slot: number, step: number): number => {
    for (let at = slot; at >= 0 && at < run.keys.length; at += step) if (shows(at)) return at;
    return -1;
  };
  const [start, end] = reverse ? [run.keys.length - 1, 0] : [0, run.keys.length - 1];
  const move = rng.int(12);
  if (move < 4) standing.end = undefined;
  if (move === 0) {
    cursor.first();
    standing.at = from(start, onward);
    return 'first';
  }
  if (move === 1) {
    cursor.last();
    standing.at = from(end, -onward);
    return 'last';
  }
  if (move < 4) {
    const slot = rng.int(run.keys.length);
    const isBetween = rng.chance(0.3);
    const key = isBetween ? new Uint8Array([...run.keys[slot]!, 0]) : run.keys[slot]!;
    if (rng.chance(0.5))
      standing.end = rng.chance(0.2) ? new Uint8Array([...rng.pick(run.keys), 0]) : rng.pick(run.keys);
    cursor.seek(key, standing.end);
    let target = slot;
    // The key itself lies before the one sought, others may lie between.
    if (isBetween && !reverse) while (target < run.keys.length && compareKeys(run.keys[target]!, key) < 0) target++;
    if (isBetween && reverse && slot + 1 < run.keys.length && compareKeys(run.keys[slot + 1]!, key) === 0) target++;
    standing.at = from(target, onward);
    return `seek ${hex(key)}${standing.end === undefined ? '' : ` up to ${hex(standing.end)}`}`;
  }
  const isNext = move < 9;
  if (isNext) cursor.next();
  else cursor.previous();
  if (standing.at >= 0) {
    const step = isNext ? onward : -onward;
    standing.at = from(standing.at + step, step);
  }
  return isNext ? 'next' : 'previous';
};

const compareStanding = ({ cursor, model, at }: StandingCursor): void => {
  if (cursor.valid !== at >= 0) throw new Error(`cursor.valid is ${cursor.valid}, expected slot ${at}`);
  if (at >= 0) compareEntry(cursor, at, model);
};
