// The simulation: half of the seeds here, the others in simulation-2.test.ts. See sim/README.md.
import { expect, test } from 'vitest';
import { testSeeds } from './sim/batch.js';
import { runSeed } from './sim/run-seeds.js';

test('a seed run twice does the same', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const first = runSeed(seed);
    const second = runSeed(seed, { recording: true });
    expect(second.traceHash).toBe(first.traceHash);
    expect(second.stats).toEqual(first.stats);
  }
});

test('other seeds do other things', () => {
  const hashes = new Set(Array.from({ length: 10 }, (_, seed) => runSeed(seed).traceHash));
  expect(hashes.size).toBe(10);
});

testSeeds(0, 2);
