import {
  exactlyOnce,
  type GroupOptions,
  type Mark,
  type Outcome,
  type OutcomeRequest,
  OutcomeSession,
  RaftError,
  type StateMachine,
} from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { bytes, ListMachine, MultiCluster, outcomeOf } from './cluster.js';

/** Stores what a wrapper attaches to its marks. */
class DurableList extends ListMachine {
  override flush(): void {
    const stored = this.mark.attachment?.();
    super.flush();
    if (stored !== undefined) this.disk.mark = { ...this.mark, attachment: () => stored };
  }
}

const NUMBER_RESULTS = {
  encodeResult: (result: number) => bytes(String(result)),
  decodeResult: (encoded: Uint8Array) => Number(new TextDecoder().decode(encoded)),
};

/** Group 0 of three nodes, with machines that are wrapped and survive their nodes. */
class CountingCluster {
  readonly machines: DurableList[] = [];
  readonly #disks: { list: string[]; mark: Mark }[] = [];

  constructor(readonly cluster: MultiCluster) {
    for (const { number } of cluster.nodes) {
      this.#disks[number] = { list: [], mark: { term: 1, index: 1, config: cluster.config } };
    }
  }

  async create(number: number): Promise<void> {
    const machine = new DurableList(this.#disks[number]!);
    this.machines[number] = machine;
    const stateMachine = exactlyOnce(machine, NUMBER_RESULTS) as StateMachine<unknown>;
    await this.#settled(this.cluster.node(number).create(0, { stateMachine } as Partial<GroupOptions<number>>));
  }

  async restart(number: number): Promise<void> {
    await this.cluster.node(number).kill({ power: this.cluster.rng.chance(0.5) });
    await this.cluster.run(this.cluster.rng.int(3000));
    await this.reopen(number);
  }

  async reopen(number: number): Promise<void> {
    await this.#settled(this.cluster.node(number).open());
    await this.create(number);
  }

  async #settled<T>(promise: Promise<T>): Promise<T> {
    const outcome = outcomeOf(promise);
    await this.cluster.until(() => outcome.settled);
    return promise;
  }
}

test('increments that are tried until they are answered count once, whatever happens to nodes and answers', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const c = await MultiCluster.start({ groups: 0, seed, timeoutMs: 400, snapshotChunkBytes: 500 });
  const counting = new CountingCluster(c);
  for (const { number } of c.nodes) await counting.create(number);
  const results: number[] = [];
  const { clock } = c;
  /** The request was applied, and its client does not know. */
  let lostAnswers = 0;

  /** Undefined: not answered. */
  async function attempt(request: OutcomeRequest): Promise<Outcome<number> | undefined> {
    const data = request.attempt(clock.now(), clock.monotonic());
    try {
      const group = (c.leader(0) ?? c.node(1)).group(0);
      const { result } = await group.propose(data, rng.chance(0.2) ? { timeoutMs: rng.int(3) } : {});
      if (rng.chance(0.8)) return result as unknown as Outcome<number>;
      lostAnswers++;
    } catch (error) {
      if (!(error instanceof RaftError) && c.leader(0) !== undefined) throw error;
    }
    return undefined;
  }

  async function client(name: string): Promise<void> {
    const session = new OutcomeSession(rng.bytes(16));
    for (let i = 0; i < 60; i++) {
      const request = session.request(bytes(`${name}${i}`));
      for (;;) {
        const outcome = await attempt(request);
        if (outcome !== undefined) {
          if (outcome.status !== 'applied') throw new Error(`${name}${i} is ${outcome.status}.`);
          results.push(outcome.result);
          break;
        }
        await new Promise<void>((resolve) => clock.setTimer(rng.range(1, 50), resolve));
      }
      request.resolve();
      await new Promise<void>((resolve) => clock.setTimer(rng.int(100), resolve));
    }
  }

  const clients = ['a', 'b', 'c', 'd'].map((name) => outcomeOf(client(name)));
  for (let round = 0; round < 400 && clients.some(({ settled }) => !settled); round++) {
    await c.run(rng.int(600));
    const number = rng.range(1, 3);
    const other = (number % 3) + 1;
    const action = rng.int(4);
    if (action === 0) await counting.restart(number);
    else if (action === 1) {
      for (const peer of [other, (other % 3) + 1]) c.network.disconnect(`n${number}`, `n${peer}`);
      await c.run(rng.int(4000));
      for (const peer of [other, (other % 3) + 1]) c.network.reconnect(`n${number}`, `n${peer}`);
    } else if (action === 2) c.leader(0)?.group(0).transferLeader(other);
    else counting.machines[number]!.flush();
  }
  expect(
    clients.map(({ settled, error }) => ({ settled, error })),
    `NORI_SEED=${seed}`,
  ).toEqual(clients.map(() => ({ settled: true, error: undefined })));
  await c.run(8000);
  const ascending = (a: number, b: number) => a - b;
  expect(results.sort(ascending), `NORI_SEED=${seed}`).toEqual(Array.from({ length: 240 }, (_, i) => i + 1));
  const [, first, second, third] = counting.machines;
  expect(new Set(first!.list).size).toBe(240);
  expect([second!.list, third!.list], `NORI_SEED=${seed}`).toEqual([first!.list, first!.list]);
  expect(lostAnswers, `NORI_SEED=${seed}`).toBeGreaterThan(0);
  await c.close();
});

test('a replica that came by a snapshot knows the outcomes of before', async () => {
  const c = await MultiCluster.start({ groups: 0, snapshotChunkBytes: 500 });
  const counting = new CountingCluster(c);
  for (const { number } of c.nodes) await counting.create(number);
  await c.until(() => c.leader(0) !== undefined);
  await c.node(3).kill();
  // A closed node may still say that it leads.
  const leader = () => [c.node(1), c.node(2)].find(({ multi }) => multi.group(0)?.role === 'leader');
  await c.until(() => leader() !== undefined);
  const session = new OutcomeSession(new Uint8Array(16).fill(1));
  const requests = Array.from({ length: 300 }, (_, i) => session.request(bytes(`${i} ${'x'.repeat(50)}`)));
  for (const request of requests) {
    const answer = outcomeOf(leader()!.group(0).propose(request.attempt(c.clock.now())));
    await c.until(() => answer.settled);
    expect(answer.code).toBeUndefined();
  }
  for (const number of [1, 2]) counting.machines[number]!.flush();
  await c.run(3000);
  await counting.reopen(3);
  await c.until(() => counting.machines[3]!.installs === 1);
  // A transfer is given up when the other one is still catching up.
  await c.run(3000);
  leader()!.group(0).transferLeader(3);
  await c.until(() => c.leader(0) === c.node(3));
  await c.run(100);
  const again = outcomeOf(c.node(3).group(0).propose(requests[7]!.attempt(c.clock.now())));
  await c.run(100);
  expect(again.value?.result).toEqual({ status: 'applied', result: 8 });
  expect(counting.machines[3]!.list).toHaveLength(300);
  await c.close();
});
