// The other half of the thousand, see bad-days.test.ts.
import { seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { badDay } from './helpers/bad-days.js';

const rounds = process.env.NORI_SEED === undefined ? Number(process.env.NORI_ROUNDS ?? 1_000) / 2 : 1;

test('under faults of all kinds the invariants hold, and afterwards all views are the same', {
  timeout: 3_600_000,
}, () => {
  const first = seedFromEnv();
  let events = 0;
  for (let i = 0; i < rounds; i++) events += badDay(first + i).events;
  expect(events).toBeGreaterThan(rounds);
});
