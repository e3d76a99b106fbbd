// A cluster that is cut in two: the smaller part refuses writes and reads that must be fresh, and says why, while reads that need not be
// fresh go on. When it is whole again the node that was away catches up: through the log, or through a snapshot when the log is gone.
import { afterEach, expect, test } from 'vitest';
import { ask, keyLedBy, readsOf, valueAt, writeAt } from './led-key.js';
import { ServerCluster } from './server-cluster.js';
import { pause } from './store-client.js';

const PATIENCE_MS = 60_000;
const options = { timeoutMs: PATIENCE_MS };

let cluster: ServerCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** What a node finds without asking others, once it is `value`. */
const becomes = async (one: ServerCluster, number: number, key: string, value: string): Promise<void> => {
  for (let tries = 0; (await valueAt(one, number, key, 'stale_ok')) !== value; tries++) {
    if (tries > 1200) throw new Error(`n${number} has not found ${key}.\n${one.logs()}`);
    await pause(50);
  }
};

const codeOf = (text: string): string => (JSON.parse(text) as { readonly code: string }).code;

test('a leader without a majority refuses writes, answers reads that need not be fresh, and catches up through the log', {
  timeout: 240_000,
}, async () => {
  const one = (cluster = await ServerCluster.start({ nodes: 3 }));
  const client = await one.client();
  const key = await keyLedBy(one, 1);
  for (const link of one.linksOf(1)) link.mode = 'held';
  await one.cutGossip(1, true);
  // It may accept a write at first, of which nobody then knows what will become of it.
  for (;;) {
    const { status, text } = await writeAt(one, 1, key, 'refused');
    expect(status, text).not.toBe(200);
    if (codeOf(text) === 'QUORUM_UNAVAILABLE') break;
    await pause(50);
  }
  const leases = await readsOf(one, 1, 'lease');
  for (const consistency of ['lease', 'linearizable']) {
    expect(codeOf((await ask(one, 1, key, consistency)).text), consistency).toBe('QUORUM_UNAVAILABLE');
  }
  expect(await readsOf(one, 1, 'lease')).toBe(leases);
  expect(await valueAt(one, 1, key, 'stale_ok')).toBe('first');
  // The others go on meanwhile.
  await client.put(key, 'second', options);
  for (let i = 0; i < 50; i++) await client.put(`after/${i}`, 'second', options);
  expect(await valueAt(one, 1, key, 'stale_ok')).toBe('first');
  const installed = await one.metric(1, 'raft_snapshots_installed_total');
  await one.heal();
  await becomes(one, 1, key, 'second');
  expect(await one.metric(1, 'raft_snapshots_installed_total')).toBe(installed);
  expect(text(await client.get(key, { consistency: 'linearizable', ...options }))).toBe('second');
});

const text = (found: { readonly value: Uint8Array } | undefined) => found && new TextDecoder().decode(found.value);
