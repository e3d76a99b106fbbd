// Reads that ask nobody are as fresh as those that do. A leader that was stopped, as by a debugger or a virtual machine that is moved, wakes
// up and does not know that others have led on: what it is asked then, and what it was asked before, it must not answer from its old
// state. Its clock is slow, and that of the others fast, by as much as they may be.
import type { NoriClient } from 'norikv-client';
import { afterEach, expect, test } from 'vitest';
import { expectLinearizable, historyOf, violationOf } from './judge.js';
import { ask, keyLedBy, readsOf, valueAt } from './led-key.js';
import { ServerCluster } from './server-cluster.js';
import { freshValue, Notes, pause, StoreClient, type StoreOperation } from './store-client.js';

const ROUNDS = 2;
/** Rounds within which a leader that does not look at its lease must be found out. Nearly always the first one shows it. */
const ROUNDS_OF_A_MISTAKE = 5;
const READERS = 40;
/** Longer than anything takes here. */
const PATIENCE_MS = 150_000;
/** By as much as leases allow for: the clock of the leader is slow, those of the others fast. */
const CLOCK_RATES = [0.96, 1.04, 1.04];

let cluster: ServerCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** Stops the leader of a key, has others write, lets it go on, and sees what it answers. Resolves with all that was seen. */
class StoppedLeader {
  readonly #cluster: ServerCluster;
  readonly #key: string;
  readonly #writer: StoreClient;
  readonly #reads: StoreOperation[] = [];

  constructor(one: ServerCluster, key: string, writer: NoriClient) {
    this.#cluster = one;
    this.#key = key;
    this.#writer = new StoreClient(writer, new Notes(), 0);
    this.#writer.timeoutMs = PATIENCE_MS;
  }

  get history(): StoreOperation[] {
    return [...historyOf(this.#writer), ...this.#reads];
  }

  /** What n1 answers is put down, if it answers. */
  async #read(consistency: string, process: number): Promise<void> {
    const callAt = performance.now();
    const output = await valueAt(this.#cluster, 1, this.#key, consistency);
    if (output === undefined) return;
    this.#reads.push({ process, input: { f: 'get', key: this.#key }, output, callAt, returnAt: performance.now() });
  }

  /** Asks as many as wait in its sockets, then. */
  #readers(from: number): Promise<void>[] {
    return Array.from({ length: READERS }, (_, i) => this.#read(i % 4 === 0 ? 'linearizable' : 'lease', from + i));
  }

  /** Until the key is written: the client may be told first that the leader cannot reach a majority. */
  async #write(): Promise<void> {
    while ((await this.#writer.put(this.#key, freshValue())) !== true) await pause(50);
  }

  /** @param isCutOff it cannot even hear that others lead, when it goes on: only its clock tells */
  async round(isCutOff: boolean): Promise<void> {
    await this.#write();
    // It leads again in a while, since that is preferred, and has a lease.
    for (;;) {
      const count = await readsOf(this.#cluster, 1, 'lease');
      await this.#read('lease', 1);
      if ((await readsOf(this.#cluster, 1, 'lease')) > count) break;
      await pause(50);
    }
    const node = this.#cluster.node(1)!;
    if (isCutOff) for (const link of this.#cluster.linksOf(1)) link.mode = 'held';
    node.signal('SIGSTOP');
    const early = this.#readers(100);
    await this.#write();
    const late = this.#readers(200);
    await pause(20);
    node.signal('SIGCONT');
    await Promise.all([...early, ...late]);
    for (const link of this.#cluster.linksOf(1)) link.heal();
    await this.#writer.get(this.#key, 'linearizable');
  }
}

/** n1 leads the key; the writer knows it, and goes to the others when it does not answer. */
const stoppedLeader = async (one: ServerCluster): Promise<StoppedLeader> =>
  new StoppedLeader(one, await keyLedBy(one, 1), await one.client());

test('a leader that was stopped while others took over answers no read with what it last knew', {
  timeout: 400_000,
}, async () => {
  cluster = await ServerCluster.start({ nodes: 3, clockRates: CLOCK_RATES });
  const leader = await stoppedLeader(cluster);
  for (let round = 0; round < ROUNDS; round++) await leader.round(round % 2 === 1);
  expectLinearizable(leader.history);
});

test('a leader that does not look at its lease is found out', { timeout: 400_000 }, async () => {
  cluster = await ServerCluster.start({ nodes: 3, clockRates: CLOCK_RATES, bug: 'lease unchecked' });
  const leader = await stoppedLeader(cluster);
  let violation: string | undefined;
  for (let round = 0; violation === undefined && round < ROUNDS_OF_A_MISTAKE; round++) {
    await leader.round(true);
    violation = violationOf(leader.history);
  }
  expect(violation).toMatch(/^Not linearizable/);
});

test('reads by lease ask nobody, linearizable reads ask a quorum', { timeout: 400_000 }, async () => {
  const one = (cluster = await ServerCluster.start({ nodes: 3 }));
  const key = await keyLedBy(one, 1);
  const count = async () => ({ lease: await readsOf(one, 1, 'lease'), quorum: await readsOf(one, 1, 'quorum') });
  const before = await count();
  for (let i = 0; i < 20; i++) expect(await valueAt(one, 1, key, 'linearizable')).toBe('first');
  const linearizable = await count();
  expect(linearizable).toEqual({ lease: before.lease, quorum: before.quorum + 20 });
  // On a busy machine a lease may have run out: then a read asks after all.
  while ((await readsOf(one, 1, 'lease')) < before.lease + 20)
    expect(await valueAt(one, 1, key, 'lease')).toBe('first');
  const lease = await count();
  expect(lease.lease).toBe(before.lease + 20);
  // Without a quorum there is no linearizable read, and soon no lease.
  for (const link of one.linksOf(1)) link.mode = 'held';
  const answers = await Promise.all([ask(one, 1, key, 'linearizable'), ask(one, 1, key, 'linearizable')]);
  for (const { status, text } of answers) expect(status, text).toBeGreaterThanOrEqual(500);
  expect((await count()).quorum).toBe(lease.quorum);
  while ((await valueAt(one, 1, key, 'lease')) !== undefined) await pause(50);
  expect(await valueAt(one, 1, key, 'stale_ok')).toBe('first');
});
