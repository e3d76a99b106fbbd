// A write below the floor is refused, also if the write that raised the floor is of the same turn.
import { expect, test } from 'vitest';
import { openFixture, put } from './fixture.js';

test('a late copy behind the write that raised the floor is refused', async () => {
  const { node, store } = await openFixture();
  const clientId = 'ab'.repeat(16);
  const raised = put(node, '{t}a', 'v', { identity: { clientId, sequence: 5, floor: 5, ageMs: 0 } });
  const late = put(node, '{t}b', 'v', { identity: { clientId, sequence: 4, floor: 4, ageMs: 0 } }).then(
    () => 'done',
    (error) => error.code,
  );
  await raised;
  const outcome = await late;
  await store.close({ flush: false });
  expect(outcome).toBe('STALE_SEQUENCE');
});
