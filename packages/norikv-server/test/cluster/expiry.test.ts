// A key that has been seen expired is never seen again, whoever leads: the time of its shard is what counts, not a node's clock. A leader
// whose clock is ahead and whose disk is full cannot move that time on, and must not answer as if it had.
import { afterEach, expect, test } from 'vitest';
import { ask, keyLedBy, readsOf } from './led-key.js';
import { ServerCluster } from './server-cluster.js';

const PATIENCE_MS = 150_000;
/** Longer than the test takes, and less than the clock is ahead. */
const TTL_MS = 600_000;
const AHEAD_MS = 1_000_000;

let cluster: ServerCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

test('a key that a leader with a fast clock and a full disk calls expired does not come back under the next one', {
  timeout: 400_000,
}, async () => {
  const one = (cluster = await ServerCluster.start({ nodes: 3 }));
  const client = await one.client();
  const lasting = await keyLedBy(one, 1);
  // Of the same shard.
  const key = `{${lasting}} short-lived`;
  await client.put(key, 'short-lived', { ttlMs: TTL_MS, timeoutMs: PATIENCE_MS });
  await one.tell(1, { clock: { jumpMs: AHEAD_MS } });
  // A jump ends the lease; a new one is soon there.
  const before = await readsOf(one, 1, 'lease');
  while ((await readsOf(one, 1, 'lease')) === before) await ask(one, 1, lasting, 'lease');
  await one.tell(1, { disk: 'full' });
  // What it proposes reaches nobody.
  for (const link of one.linksOf(1)) link.mode = 'held';
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(one, 1, key, 'lease')));
  await one.kill(1);
  const found = await client.get(key, { consistency: 'linearizable', timeoutMs: PATIENCE_MS });
  // Refused, as a rule. Whoever says that it is absent must be right for ever.
  if (answers.some(({ status }) => status === 404)) expect(found).toBeUndefined();
});
