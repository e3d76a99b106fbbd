import { RaftCore, type Ready } from 'nori-raft';
import { expect, test } from 'vitest';
import { runSeed } from './run-seeds.js';
import { shrink, shrunkText } from './shrink.js';

/** Promises what is not durable yet. */
class HastyCore extends RaftCore {
  override ready(): Ready {
    const ready = super.ready();
    return { ...ready, messages: [...ready.messages, ...ready.afterAppend], afterAppend: [] };
  }
}

/** Answers reads as long as it takes itself for the leader. */
class OverconfidentCore extends RaftCore {
  override get leaseExpiresAtMs(): number {
    return this.role === 'leader' ? Infinity : 0;
  }
}

function firstFailure(coreClass: typeof RaftCore, ...kinds: string[]): number {
  for (let seed = 1; seed <= 200; seed++) {
    if (kinds.includes(runSeed(seed, { coreClass }).violation?.kind ?? '')) return seed;
  }
  throw new Error(`No seed finds ${kinds.join(' or ')}.`);
}

test('a core that acknowledges before it is durable is found, and shrinks to next to nothing', {
  timeout: 120_000,
}, () => {
  const seed = firstFailure(HastyCore, 'undurable-vote');
  const shrunk = shrink(seed, { coreClass: HastyCore });
  expect(shrunk.result.violation?.kind).toBe('undurable-vote');
  expect(shrunk.plan.faults).toEqual([]);
  expect(shrunk.plan.operations).toEqual([]);
  const text = shrunkText(shrunk);
  expect(text.split('\n').length).toBeLessThan(30);
  expect(text).toMatch(/votes for \d in term 2 with vote for 0 in term 1 on its disk/);
});

test('a core with leases that never end is found, and shrinks', { timeout: 120_000 }, () => {
  const seed = firstFailure(OverconfidentCore, 'lease', 'stale-read', 'not-linearizable');
  const before = runSeed(seed, { coreClass: OverconfidentCore });
  const shrunk = shrink(seed, { coreClass: OverconfidentCore });
  expect(shrunk.result.violation?.kind).toBe(before.violation?.kind);
  expect(shrunk.plan.faults.length).toBeLessThanOrEqual(4);
  expect(shrunk.plan.operations.flat().length).toBeLessThan(before.stats.operations / 4);
});

test('a seed that does not fail cannot be shrunk', () => {
  expect(() => shrink(1)).toThrow('Seed 1 does not fail.');
});
