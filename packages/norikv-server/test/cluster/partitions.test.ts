// A cluster that is cut in two: the smaller part refuses writes and reads that must be fresh, and says why, while reads that need not be
// fresh go on. When it is whole again the node that was away catches up: through the log, or through a snapshot when the log is gone.
import { randomBytes } from 'node:crypto';
import { NoriError } from 'norikv-client';
import { afterEach, expect, test } from 'vitest';
import { ask, keyLedBy, readsOf, valueAt, writeAt } from './led-key.js';
import { ServerCluster } from './server-cluster.js';
import { pause } from './store-client.js';

/** The meta group keeps no log to speak of, and does not count. */
const SNAPSHOTS = 'raft_snapshots_installed_total{of="shard"}';
const PATIENCE_MS = 150_000;
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

const bytesAt = async (one: ServerCluster, number: number, key: string): Promise<ArrayBuffer | undefined> => {
  const response = await fetch(`${one.http(number)}/kv/${encodeURIComponent(key)}?consistency=stale_ok`);
  return response.status === 200 ? response.arrayBuffer() : undefined;
};

const becomesAbsent = async (one: ServerCluster, number: number, key: string): Promise<void> => {
  for (let tries = 0; (await ask(one, number, key, 'stale_ok')).status !== 404; tries++) {
    if (tries > 1200) throw new Error(`n${number} has not lost ${key}.\n${one.logs()}`);
    await pause(50);
  }
};

/** Until the client has heard who leads now: a node that cannot reach a majority is taken at its word. */
const insist = async <T>(call: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof NoriError) || error.code !== 'QUORUM_UNAVAILABLE') throw error;
      await pause(50);
    }
  }
};

const codeOf = (text: string): string => (JSON.parse(text) as { readonly code: string }).code;

test('a leader without a majority refuses writes, answers reads that need not be fresh, and catches up through the log', {
  timeout: 400_000,
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
  await insist(() => client.put(key, 'second', options));
  for (let i = 0; i < 50; i++) await insist(() => client.put(`{${key}}${i}`, 'second', options));
  expect(await valueAt(one, 1, key, 'stale_ok')).toBe('first');
  await one.heal();
  await becomes(one, 1, key, 'second');
  await becomes(one, 1, `{${key}}49`, 'second');
  expect(await one.metric(1, SNAPSHOTS)).toBe(0);
  const found = await insist(() => client.get(key, { consistency: 'linearizable', ...options }));
  expect(new TextDecoder().decode(found?.value)).toBe('second');
});

/** Bytes that fill the memory of the smallest setting several times: then its tables stand for the log, which is dropped. */
const FILLING_BYTES = 12 * 1024 * 1024;
const VALUE_BYTES = 64 * 1024;
/** A log may be dropped a while after the tables are there. */
const ABSENCES_MAX = 3;

test('a node that was away for longer than the log is kept catches up by a snapshot', {
  timeout: 400_000,
}, async () => {
  const args = ['--memtable-mb', '4', '--log-segment-mb', '4'];
  const one = (cluster = await ServerCluster.start({ nodes: 3, args }));
  const client = await one.client();
  // Small and large: the shard is filled, and its last value is not the one that fills it.
  const prefix = '{one shard}';
  const key = `${prefix}key`;
  await client.put(key, 'first', options);
  await becomes(one, 1, key, 'first');
  for (let absence = 1; ; absence++) {
    await one.kill(1);
    const filling = Array.from({ length: FILLING_BYTES / VALUE_BYTES }, (_, i) => `${prefix}${absence}/${i}`);
    for (const each of filling) await insist(() => client.put(each, randomBytes(VALUE_BYTES), options));
    await insist(() => client.put(key, `absence ${absence}`, options));
    await insist(() => client.delete(`${prefix}${absence}/0`, options));
    for (const number of [2, 3]) expect(await one.metric(number, 'lsm_flushed_bytes_total')).toBeGreaterThan(0);
    await one.startNode(1);
    await becomes(one, 1, key, `absence ${absence}`);
    // Everything is there that others have, and nothing that they have not.
    for (const each of filling.slice(1)) {
      const there = await insist(() => client.get(each, options));
      expect(Buffer.from((await bytesAt(one, 1, each)) ?? new ArrayBuffer(0)).equals(there!.value), each).toBe(true);
    }
    await becomesAbsent(one, 1, `${prefix}${absence}/0`);
    if ((await one.metric(1, SNAPSHOTS)) > 0) break;
    expect(absence, 'absences without a snapshot').toBeLessThan(ABSENCES_MAX);
  }
  // It counts among the majority again.
  await one.kill(2);
  await insist(() => client.put(key, 'without n2', options));
  const found = await insist(() => client.get(key, { consistency: 'linearizable', ...options }));
  expect(new TextDecoder().decode(found?.value)).toBe('without n2');
});
