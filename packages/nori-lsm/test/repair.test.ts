// Repair: random damage of random files, and each kind of damage by itself. Whatever is damaged, the database opens afterwards and is
// sound, shows nothing that was never written, and has lost nothing of the files that were not damaged; nothing is deleted;
// a second repair finds nothing; a crash in the middle changes none of that.
//
//   NORI_ROUNDS=5000 npx vitest run packages/nori-lsm/test/repair.test.ts
import type { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { Lsm, LsmError } from '../src/index.js';
import { type RepairReport, repair } from '../src/repair.js';
import { DIR } from './faults-support.js';
import {
  checkKept,
  checkNothingDeleted,
  damage,
  filesBelow,
  mustBeKept,
  openAndCheck,
  randomDatabase,
  settled,
} from './repair-support.js';
import { withSeed } from './support.js';

const ROUNDS = Number(process.env.NORI_ROUNDS ?? 60);
const CRASH_ROUNDS = Math.ceil(ROUNDS / 12);

/** The report, or undefined if nothing was left that shows that it was a database. */
const repaired = async (fs: MemoryFileSystem): Promise<RepairReport | undefined> => {
  try {
    return await repair({ dir: DIR, fs });
  } catch (error) {
    if (error instanceof LsmError && /^LSM_(NOT_A_DATABASE|NOT_FOUND)$/.test(error.code)) return undefined;
    throw error;
  }
};

const oneRound = async (seed: number): Promise<RepairReport | undefined> => {
  const rng = new Rng(seed);
  const { fs: before, history } = await randomDatabase(rng);
  const fs = settled(before);
  const files = new Map<string, string>();
  for (let i = rng.pick([1, 1, 2, 4]); i > 0; i--) files.set(...(await damage(fs, rng)));
  const damaged = settled(fs);
  try {
    const report = await repaired(fs);
    if (report === undefined) {
      expect(files.size).toBeGreaterThan(1);
      return undefined;
    }
    await checkNothingDeleted(damaged, fs);
    const kept = await mustBeKept(before, new Set(files.keys()), history);
    const again = await repair({ dir: DIR, fs });
    expect(again.problems).toEqual([]);
    await openAndCheck(fs, (db) => checkKept(db, history, kept));
    return report;
  } catch (error) {
    const what = [...files].map(([file, how]) => `${file}: ${how}`).join(', ');
    throw new Error(`with damage to ${what}`, { cause: error });
  }
};

test(`whatever is damaged, what was not is there after a repair (${ROUNDS} rounds)`, {
  timeout: 60_000 + ROUNDS * 500,
}, async () => {
  const first = seedFromEnv();
  const root = new Rng(first);
  const count = { rebuilt: 0, mended: 0, rewritten: 0, givenUp: 0, missing: 0, log: 0, clean: 0, refused: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const seed = round === 0 ? first : root.uint32();
    await withSeed(seed, async () => {
      const report = await oneRound(seed);
      if (report === undefined) count.refused++;
      else if (!report.damaged) count.clean++;
      if (report?.manifest === 'rebuilt') count.rebuilt++;
      if (report?.manifest === 'current-mended') count.mended++;
      if (report?.log.outcome === 'salvaged') count.log++;
      for (const { outcome } of report?.tables ?? []) {
        if (outcome === 'rewritten') count.rewritten++;
        else if (outcome === 'given-up') count.givenUp++;
        else count.missing++;
      }
    });
    if (process.env.NORI_SEED !== undefined) return;
  }
  // The long form did all that matters.
  if (ROUNDS < 1000) return;
  const { refused, ...others } = count;
  expect(refused).toBeLessThan(ROUNDS / 10);
  for (const [name, times] of Object.entries(others)) expect([name, times > 0]).toEqual([name, true]);
});

const tryToOpen = async (fs: MemoryFileSystem): Promise<void> => {
  try {
    await (await Lsm.open({ dir: DIR, fs, autoCompact: false })).close();
  } catch (error) {
    if (!(error instanceof LsmError)) throw error;
  }
};

/** A crash before every operation of a repair; each is repaired again, some after a try to open. */
const crashEverywhere = async (seed: number): Promise<number> => {
  const rng = new Rng(seed);
  const { fs } = await randomDatabase(rng);
  const what: string[] = [];
  for (let i = rng.pick([1, 2, 3]); i > 0; i--) what.push((await damage(fs, rng)).join(': '));
  const damaged = settled(fs);
  const whole = settled(damaged);
  if ((await repaired(whole)) === undefined) return 0;
  const expected = await openAndCheck(settled(whole));

  const crashes: { readonly at: string; readonly fs: MemoryFileSystem }[] = [];
  const running = settled(damaged);
  running.onOperation = ({ index, kind, path }) => {
    if (crashes.length < 200) crashes.push({ at: `${index} ${kind} ${path}`, fs: running.crash(rng) });
  };
  await repair({ dir: DIR, fs: running });
  for (const crash of crashes) {
    try {
      const wasTried = rng.chance(0.3);
      if (wasTried) await tryToOpen(crash.fs);
      await repair({ dir: DIR, fs: crash.fs });
      // Opening, even if it is refused in the end, may settle the manifest and remove leftovers, as always.
      if (!wasTried) await checkNothingDeleted(damaged, crash.fs);
      expect(await openAndCheck(crash.fs)).toEqual(expected);
    } catch (error) {
      throw new Error(`crash before ${crash.at}, damage to ${what.join(', ')}`, { cause: error });
    }
  }
  return crashes.length;
};

test('a crash in the middle of a repair loses nothing more', { timeout: 120_000 + CRASH_ROUNDS * 20_000 }, async () => {
  const first = seedFromEnv();
  const root = new Rng(first);
  let crashes = 0;
  for (let round = 0; round < CRASH_ROUNDS; round++) {
    const seed = round === 0 ? first : root.uint32();
    await withSeed(seed, async () => {
      crashes += await crashEverywhere(seed);
    });
    if (process.env.NORI_SEED !== undefined) return;
  }
  expect(crashes).toBeGreaterThan(CRASH_ROUNDS * 5);
});

test('a sound database is not touched', async () => {
  const { fs } = await randomDatabase(new Rng(1));
  const before = await filesBelow(fs, DIR);
  const report = await repair({ dir: DIR, fs });
  expect(report).toMatchObject({ damaged: false, problems: [], lostDir: undefined, manifest: 'kept', tables: [] });
  expect(await filesBelow(fs, DIR)).toEqual(before);
});
