import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BEAT_MS, Heartbeat, watchBeats } from '../../src/lock/heartbeat.js';

let dir: string;
let file: string;

beforeEach(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'nori-beat-'));
  file = path.join(dir, 'LOCK');
  await fs.writeFile(file, '{}');
});
afterEach(async () => {
  vi.useRealTimers();
  await fs.rm(dir, { recursive: true });
});

test('a heart beats until it is stopped', async () => {
  await fs.utimes(file, 1000, 1000);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const heart = new Heartbeat(await fs.open(file, 'r+'));
  expect((await fs.stat(file)).mtimeMs).toBe(1_000_000);
  vi.advanceTimersByTime(BEAT_MS);
  await heart.stop();
  expect((await fs.stat(file)).mtimeMs).toBeGreaterThan(1_000_000);
  await fs.utimes(file, 1000, 1000);
  vi.advanceTimersByTime(5 * BEAT_MS);
  expect((await fs.stat(file)).mtimeMs).toBe(1_000_000);
});

/** Watches while `at` happens at the sleep of that number; tells the outcome and the milliseconds waited. */
async function watching(at: number, happens: () => Promise<unknown>): Promise<readonly [string, number]> {
  let sleeps = 0;
  let waitedMs = 0;
  const watched = await watchBeats(file, 2000, async (ms) => {
    waitedMs += ms;
    if (++sleeps === at) await happens();
  });
  return [watched, waitedMs];
}

test('one beat is enough, and ends the watch', async () => {
  expect(await watching(3, () => fs.utimes(file, 5000, 5000))).toEqual(['beats', 3000]);
});

test('a beat backwards in time counts: clocks differ', async () => {
  expect(await watching(2, () => fs.utimes(file, 5, 5))).toEqual(['beats', 2000]);
});

test('silence takes 15 beats', async () => {
  expect(await watching(0, async () => undefined)).toEqual(['silent', 30_000]);
});

test('a lock that goes, or is replaced, ends the watch', async () => {
  const replace = async () => {
    await fs.writeFile(`${file}.new`, '{}');
    await fs.rename(`${file}.new`, file);
  };
  expect(await watching(2, replace)).toEqual(['changed', 2000]);
  expect(await watching(1, () => fs.rm(file))).toEqual(['changed', 1000]);
  expect(await watching(1, async () => undefined)).toEqual(['changed', 1000]);
});
