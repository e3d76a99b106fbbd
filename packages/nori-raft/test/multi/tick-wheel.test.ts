import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { TickWheel } from '../../src/multi/tick-wheel.js';

test('everyone is called at the tick at which it is due, however often that changes, and not before', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const wheel = new TickWheel<{ dueTick: number; slotTick: number; gone: boolean }>();
  const items = Array.from({ length: 50 }, () => ({ dueTick: rng.int(300), slotTick: 0, gone: false }));
  for (const item of items) wheel.add(item);
  for (let tick = 1; tick < 2000; tick++) {
    wheel.advance(tick, (item) => {
      expect(item.gone, `seed ${seed}`).toBe(false);
      expect(item.dueTick, `seed ${seed}`).toBeLessThanOrEqual(tick);
      if (rng.chance(0.002)) item.gone = true;
      item.dueTick = tick + 1 + rng.int(rng.chance(0.1) ? 300 : 5);
      return !item.gone;
    });
    for (const item of items) {
      if (item.gone) continue;
      expect(item.dueTick, `seed ${seed}`).toBeGreaterThan(tick);
      if (rng.chance(0.9)) continue;
      // Later without a word; earlier with one.
      const earlier = tick + 1 + rng.int(5);
      if (earlier >= item.dueTick) item.dueTick += rng.int(100);
      else {
        item.dueTick = earlier;
        wheel.add(item);
      }
    }
  }
});
