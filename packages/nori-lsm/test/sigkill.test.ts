// A real process on the real file system, with worker threads, killed with SIGKILL while it writes with mixed durability,
// again and again on the same data. After each death the database holds a prefix of the batches, and every batch that was
// acknowledged with sync, batch or os. Needs the build: the process runs dist/.
//
//   NORI_KILL_ROUNDS=200 npx vitest run packages/nori-lsm/test/sigkill.test.ts
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Rng, seedFromEnv } from 'nori-testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lsm } from '../src/index.js';
import { batchAt, COUNTER } from './sigkill-load.mjs';
import { text, withSeed } from './support.js';

const ROUNDS = Number(process.env.NORI_KILL_ROUNDS ?? 4);
const LOAD = fileURLToPath(new URL('./sigkill-load.mjs', import.meta.url));
const ACKNOWLEDGEMENTS_MAX = 4000;

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nori-lsm-sigkill-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** Lets a process write after batch `first` until it was told of enough; tells what it acknowledged last. */
const writeAndKill = async (first: number, rng: Rng): Promise<number> => {
  let enough = rng.range(1, ACKNOWLEDGEMENTS_MAX);
  let promised = 0;
  const child = spawn(process.execPath, [LOAD, dir, String(first), String(rng.int(2 ** 30))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_, signal) => resolve(signal)));
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^(\d+) ([sbon])$/.exec(line);
    // The last line may be cut off.
    if (match !== null && match[2] !== 'n') promised = Math.max(promised, Number(match[1]));
    if (--enough === 0) child.kill('SIGKILL');
  }
  expect(await ended).toBe('SIGKILL');
  return promised;
};

/** Throws unless the database holds a prefix of all batches that goes at least to `promised`; tells how far it goes. */
const checkPrefix = async (promised: number): Promise<number> => {
  const db = await Lsm.open({ dir });
  const count = Number(text(db.getSync(COUNTER)) ?? 0);
  expect(count).toBeGreaterThanOrEqual(promised);
  const expected = new Map<string, string>();
  for (let number = 1; number <= count; number++) {
    for (const operation of batchAt(number)) {
      if (operation.type === 'put') expected.set(String(operation.key), String(operation.value));
      else if (operation.type === 'delete') expected.delete(String(operation.key));
    }
  }
  const found = new Map(Array.from(db.scanSync(), ([key, value]) => [text(key)!, text(value)!]));
  expect(found.size).toBe(expected.size);
  for (const [key, value] of expected)
    if (found.get(key) !== value) expect([key, found.get(key)]).toEqual([key, value]);
  expect((await db.verify()).problems).toEqual([]);
  await db.close();
  return count;
};

test(`a process killed while writing keeps what it acknowledged, ${ROUNDS} times over`, {
  timeout: 60_000 + ROUNDS * 20_000,
}, async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const rng = new Rng(seed);
    let count = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const promised = await writeAndKill(count, rng);
      expect(promised).toBeGreaterThan(count);
      count = await checkPrefix(promised);
    }
  });
});
