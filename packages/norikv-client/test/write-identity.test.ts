import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { WriteIdentity } from '../src/write-identity.js';

test('clients have ids of 16 bytes of their own', () => {
  const [a, b] = [new WriteIdentity(), new WriteIdentity()];
  expect(a.clientId).toHaveLength(16);
  expect(a.clientId).not.toEqual(b.clientId);
});

test('the floor is the lowest sequence that is not resolved, in whatever order they are', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const identity = new WriteIdentity();
  const open = new Set<number>();
  let issued = 0;
  for (let step = 0; step < 20_000; step++) {
    // Phases of growing and shrinking, so that the ring wraps and grows.
    if (rng.chance(Math.floor(step / 2500) % 2 === 0 ? 0.7 : 0.3)) {
      expect(identity.next()).toBe(++issued);
      open.add(issued);
    } else if (open.size > 0) {
      const oldest = open.values().next().value as number;
      const chosen = rng.chance(0.1) ? oldest : rng.pick([...open].slice(-20));
      open.delete(chosen);
      identity.resolve(chosen);
    }
    const lowest = open.size === 0 ? issued + 1 : (open.values().next().value as number);
    expect(identity.floor, `seed ${seed}, step ${step}`).toBe(lowest);
  }
});
