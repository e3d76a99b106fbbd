// The simulation of MultiRaft and its log, with many groups. See multi-sim/README.md.
import { expect, test } from 'vitest';
import { testMultiSeeds } from './multi-sim/batch.js';
import { makeMultiPlan } from './multi-sim/plan.js';
import { runMultiSeed } from './multi-sim/run-seeds.js';
import { shrinkMulti } from './multi-sim/shrink.js';

test('a seed of many groups run twice does the same', async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const first = await runMultiSeed(seed);
    const second = await runMultiSeed(seed, { recording: true });
    expect(second.traceHash).toBe(first.traceHash);
    expect(second.stats).toEqual(first.stats);
  }
});

test('other seeds of many groups do other things', async () => {
  const hashes = new Set<string>();
  for (let seed = 1; seed <= 5; seed++) hashes.add((await runMultiSeed(seed)).traceHash);
  expect(hashes.size).toBe(5);
});

test('a seed that does not fail cannot be cut down', async () => {
  await expect(shrinkMulti(1)).rejects.toThrow('does not fail');
  expect(makeMultiPlan(1)).toEqual(makeMultiPlan(1));
});

testMultiSeeds();
