// Reads that ask nobody are as fresh as those that do. A leader that was stopped, as by a debugger or a virtual machine that is moved, wakes
// up and does not know that others have led on: what it is asked then, and what it was asked before, it must not answer from its old
// state. Its clock is slow, and that of the others fast, by as much as they may be.
import { NoriClient } from 'norikv-client';
import { afterEach, expect, test } from 'vitest';
import { expectLinearizable, historyOf } from './judge.js';
import { ServerCluster } from './server-cluster.js';
import { freshValue, Notes, pause, StoreClient } from './store-client.js';

const ROUNDS = 3;
const READERS = 40;
/** Longer than anything takes here. */
const PATIENCE_MS = 60_000;

let cluster: ServerCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** A key whose shard is led by a node, once leaders are where they belong. */
const keyLedBy = async (one: ServerCluster, number: number): Promise<string> => {
  const client = await one.client();
  for (let i = 0; ; i++) {
    const key = `key-${i}`;
    await client.put(key, 'first', { timeoutMs: PATIENCE_MS });
    const before = await leaseReadsOf(one, number);
    await client.get(key, { timeoutMs: PATIENCE_MS });
    if ((await leaseReadsOf(one, number)) > before) return key;
    if (i > 500) throw new Error(`n${number} leads nothing`);
  }
};

const readsOf = async (one: ServerCluster, number: number, by: 'lease' | 'quorum'): Promise<number> =>
  one.metric(number, `raft_reads_total{by="${by}"}`);
const leaseReadsOf = (one: ServerCluster, number: number): Promise<number> => readsOf(one, number, 'lease');

/** Asks one node over HTTP, which does not follow leaders. */
const ask = async (
  one: ServerCluster,
  number: number,
  key: string,
  consistency: string,
): Promise<string | undefined> => {
  const path = `${one.http(number)}/kv/${encodeURIComponent(key)}?consistency=${consistency}`;
  const response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => undefined);
  return response?.status === 200 ? response.text() : undefined;
};

test('a leader that was stopped while others took over answers no read with what it last knew', {
  timeout: 240_000,
}, async () => {
  const one = (cluster = await ServerCluster.start({ nodes: 3, clockRates: [0.96, 1.04, 1.04] }));
  const notes = new Notes();
  const key = await keyLedBy(one, 1);
  // Knows of the others only what they say, so that it does not wait for the one that is stopped.
  const writer = new StoreClient(await NoriClient.connect({ endpoints: [one.rpc(2)] }), notes, 0);
  writer.timeoutMs = PATIENCE_MS;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      // It leads again in a while, since that is preferred, and has a lease.
      const before = freshValue();
      await writer.put(key, before);
      for (;;) {
        const count = await leaseReadsOf(one, 1);
        const value = await ask(one, 1, key, 'lease');
        if (value !== undefined) expect(value).toBe(before);
        if (value !== undefined && (await leaseReadsOf(one, 1)) > count) break;
        await pause(50);
      }
      one.node(1)!.signal('SIGSTOP');
      // They wait in its sockets until it wakes up.
      const early = Array.from({ length: READERS }, (_, i) => ask(one, 1, key, i % 4 === 0 ? 'linearizable' : 'lease'));
      const after = freshValue();
      expect(await writer.put(key, after)).not.toBe(false);
      const late = Array.from({ length: READERS }, (_, i) => ask(one, 1, key, i % 4 === 0 ? 'linearizable' : 'lease'));
      await pause(20);
      one.node(1)!.signal('SIGCONT');
      // Those that were asked before the write may have seen what was before it: they were not, since nobody answered them then.
      for (const value of await Promise.all([...early, ...late])) expect([after, undefined]).toContain(value);
      expect(await writer.get(key, 'linearizable')).toBe(after);
    }
    expectLinearizable(historyOf(writer));
  } finally {
    await one.close();
  }
});

test('reads by lease ask nobody, linearizable reads ask a quorum', { timeout: 120_000 }, async () => {
  const one = (cluster = await ServerCluster.start({ nodes: 3 }));
  const key = await keyLedBy(one, 1);
  const count = async () => ({ lease: await readsOf(one, 1, 'lease'), quorum: await readsOf(one, 1, 'quorum') });
  const before = await count();
  for (let i = 0; i < 20; i++) expect(await ask(one, 1, key, 'linearizable')).toBe('first');
  const linearizable = await count();
  expect(linearizable).toEqual({ lease: before.lease, quorum: before.quorum + 20 });
  // On a busy machine a lease may have run out: then a read asks after all.
  while ((await leaseReadsOf(one, 1)) < before.lease + 20) expect(await ask(one, 1, key, 'lease')).toBe('first');
  const lease = await count();
  expect(lease.lease).toBe(before.lease + 20);
  // Without a quorum there is no linearizable read, and soon no lease.
  for (const link of one.linksOf(1)) link.mode = 'held';
  const answers = await Promise.all([ask(one, 1, key, 'linearizable'), ask(one, 1, key, 'linearizable')]);
  expect(answers).toEqual([undefined, undefined]);
  expect((await count()).quorum).toBe(lease.quorum);
  while ((await ask(one, 1, key, 'lease')) !== undefined) await pause(50);
  expect(await ask(one, 1, key, 'stale_ok')).toBe('first');
});
