// Reads by lease cost no messages and are never stale: whatever happens to clocks and processes within the bounds that they
// were promised, what a node answers by itself holds all that anybody has acknowledged.
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { slowestRate } from '../sim/node-clock.js';
import { bytes, MultiCluster, outcomeOf } from './cluster.js';
import { RestlessNode } from './helpers/restless-node.js';

const SEEDS = Number(process.env.NORI_SEEDS ?? 5);

test('reads by lease cost no round and no frame, however many they are', async () => {
  const c = await MultiCluster.start({ groups: 30 });
  await c.run(500);
  const node = c.node(1);
  const led = [...node.multi.groups].filter(({ role }) => role === 'leader');
  const rounds = () => led.reduce((sum, group) => sum + group.status().heartbeatRounds, 0);
  // Between two heartbeats.
  const at = rounds();
  await c.until(() => rounds() > at);
  const before = { rounds: rounds(), frames: node.multi.stats().framesSent };
  for (let i = 0; i < 20; i++) {
    for (const group of led) expect(group.leaseRead(() => group.groupId)).toEqual({ value: group.groupId });
    await c.run(2);
  }
  expect({ rounds: rounds(), frames: node.multi.stats().framesSent }).toEqual(before);
  await c.close();
});

test('reads by read index cost one round for each group and turn, and one frame for each peer', async () => {
  const c = await MultiCluster.start({ groups: 30 });
  await c.run(500);
  const node = c.node(1);
  const led = [...node.multi.groups].filter(({ role }) => role === 'leader');
  const rounds = () => led.map((group) => group.status().heartbeatRounds);
  const at = rounds().reduce((sum, n) => sum + n);
  await c.until(() => rounds().reduce((sum, n) => sum + n) > at);
  await c.run(5);
  const before = { rounds: rounds(), frames: node.multi.stats().framesSent };
  const reads = led.flatMap((group) => Array.from({ length: 50 }, () => outcomeOf(group.read())));
  await c.run(2);
  expect(reads.every(({ value }) => value !== undefined)).toBe(true);
  expect(rounds()).toEqual(before.rounds.map((n) => n + 1));
  // Another one to each is an answer to what it may have asked meanwhile.
  expect(node.multi.stats().framesSent - before.frames).toBeLessThanOrEqual(4);
  await c.close();
});

test('a leader whose lease has ended answers by itself again only after a round', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const group = c.node(1).group(0);
  expect(group.leaseRead(() => 1)).toEqual({ value: 1 });
  for (const peer of ['n2', 'n3']) c.network.disconnect('n1', peer);
  await c.run(901);
  expect(group.role).toBe('leader');
  expect(group.leaseRead(() => 1)).toBeUndefined();
  for (const peer of ['n2', 'n3']) c.network.reconnect('n1', peer);
  await c.run(200);
  expect(group.leaseRead(() => 1)).toEqual({ value: 1 });
  await c.close();
});

test('a process that is held up while it reads does not answer', async () => {
  const c = await MultiCluster.start();
  const machine = new RestlessNode(c.clock, 1);
  await c.node(1).kill();
  const opening = c.node(1).open({
    clock: machine.clock,
    transport: machine.transport(c.network.transport('n1')),
  });
  await c.run(10);
  await opening;
  void c.node(1).create(0, { preferredLeader: 1 });
  await c.until(() => c.leader(0) === c.node(1));
  await c.run(500);
  const group = c.node(1).group(0);
  expect(group.leaseRead(() => 1)).toEqual({ value: 1 });
  const read = group.leaseRead(() => {
    machine.stop({ sleep: true });
    c.clock.advance(1000);
    return 1;
  });
  expect(read).toBeUndefined();
  machine.resume({ framesFirst: false });
  await c.close();
});

test('a read at a follower whose question, or its answer, was lost asks again', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  await c.settled(c.node(1).group(0).propose(bytes('a')));
  await c.run(200);
  for (let i = 0; i < 5; i++) {
    const read = outcomeOf(c.node(2).group(0).read());
    await c.run(i * 0.05);
    c.network.disconnect('n1', 'n2');
    c.network.reconnect('n1', 'n2');
    await c.run(1500);
    expect(read).toMatchObject({ settled: true, value: expect.any(Number) });
  }
  expect(c.node(2).group(0).term).toBe(c.node(1).group(0).term);
  await c.close();
});

interface Run {
  /** Reads by lease that were answered. */
  readonly answered: number;
  /** Those of them that missed something that was acknowledged. */
  readonly stale: number;
  readonly acknowledged: number;
  readonly leaders: number;
}

/** Lets time pass over nodes whose clocks differ by `drift`, of which the nodes believe `maxClockDrift`. */
async function runRestless(seed: number, drift: number, maxClockDrift: number): Promise<Run> {
  const rng = new Rng(seed);
  const c = await MultiCluster.start({ groups: 0, preferred: false, seed, maxClockDrift, timeoutMs: 3000 });
  const slow = slowestRate(drift);
  const machines = rng
    .shuffle([slow, 1 / slow, rng.chance(0.5) ? slow : 1 / slow])
    .map((rate) => new RestlessNode(c.clock, rate));
  for (const node of c.nodes) {
    await node.kill();
    const machine = machines[node.number - 1]!;
    const opening = node.open({ clock: machine.clock, transport: machine.transport(c.network.transport(node.id)) });
    await c.run(5);
    await opening;
    const creating = node.create(0, { preferredLeader: 1 });
    await c.run(5);
    await creating;
  }
  let acknowledged = 0;
  let answered = 0;
  let stale = 0;
  const leaders = new Set<number>();

  const propose = () => {
    for (const node of c.nodes) {
      if (node.group(0).role !== 'leader') continue;
      leaders.add(node.group(0).term);
      node
        .group(0)
        .propose(bytes('x'))
        .then(
          ({ result }) => (acknowledged = Math.max(acknowledged, result)),
          () => {},
        );
    }
  };
  /** As code would that runs on each node right now, whether the process was stopped until now or not. */
  const look = () => {
    for (const node of c.nodes) {
      const read = node.group(0).leaseRead(() => node.machine(0).list.length);
      if (read === undefined) continue;
      answered++;
      if (read.value < acknowledged) stale++;
    }
  };
  const wait = async (ms: number) => {
    const untilMs = c.clock.monotonic() + ms;
    while (c.clock.monotonic() < untilMs) {
      propose();
      await c.run(rng.range(1, 30));
      look();
    }
  };

  await c.until(() => c.leader(0) !== undefined);
  for (let round = 0; round < 30; round++) {
    await wait(rng.int(800));
    const leader = c.leader(0)?.number ?? rng.range(1, 3);
    const number = rng.chance(0.7) ? leader : rng.range(1, 3);
    const machine = machines[number - 1]!;
    const action = rng.int(5);
    if (action === 0) machine.setWall(rng.range(-5000, 5000));
    else if (action === 1) {
      // Forward and back: as much as before, but it was an hour ahead for a moment.
      machine.setWall(3_600_000);
      await c.run(1);
      look();
      machine.setWall(-3_600_000);
    } else if (action === 2) {
      for (const other of c.nodes) if (other.number !== number) c.network.disconnect(`n${number}`, other.id);
      await wait(rng.int(4000));
      for (const other of c.nodes) if (other.number !== number) c.network.reconnect(`n${number}`, other.id);
    } else {
      machine.stop({ sleep: action === 3 });
      await wait(rng.int(4000));
      machine.resume({ framesFirst: rng.chance(0.5) });
      look();
    }
  }
  await c.close();
  return { answered, stale, acknowledged, leaders: leaders.size };
}

test('slow clocks, stopped processes, sleeping machines and wall clocks that are set make no stale read', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  let answered = 0;
  for (let i = 0; i < SEEDS; i++) {
    const one = rng.int(2 ** 32);
    const run = await runRestless(one, 0.1, 0.1);
    expect(run.stale, `NORI_SEED=${seed}, seed ${one}`).toBe(0);
    expect(run.acknowledged, `NORI_SEED=${seed}, seed ${one}`).toBeGreaterThan(50);
    expect(run.leaders, `NORI_SEED=${seed}, seed ${one}`).toBeGreaterThan(3);
    answered += run.answered;
  }
  expect(answered).toBeGreaterThan(100 * SEEDS);
});

test('clocks that differ by far more than was promised are found out by the same check', async () => {
  let stale = 0;
  for (let seed = 1; stale === 0 && seed <= 40; seed++) stale += (await runRestless(seed, 0.75, 0)).stale;
  expect(stale).toBeGreaterThan(0);
});
