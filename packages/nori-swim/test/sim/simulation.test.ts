// The simulator, and what the README claims of the protocol, measured with it. `NORI_HOURS=24` lets the run without false deaths take a
// virtual day, with 10 and with 100 members.
import {
  InvariantChecker,
  measureDetection,
  measureLoad,
  measureSpread,
  Simulation,
  type SimulationOptions,
  tryLifeguard,
} from 'nori-swim/sim';
import { seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';

const LONG = process.env.NORI_HOURS !== undefined;
const HOUR_MS = 3_600_000;

function checked(options: SimulationOptions): { sim: Simulation; checker: InvariantChecker } {
  const sim = new Simulation(options);
  return { sim, checker: new InvariantChecker(sim) };
}

test('the same seed and the same calls give the same run', () => {
  const log = (seed: number) => {
    const lines: string[] = [];
    const onEvent: SimulationOptions['onEvent'] = (node, event, nowMs) =>
      lines.push(`${nowMs} ${node} ${JSON.stringify(event)}`);
    const sim = new Simulation({ seed, nodes: 6, network: { lossRate: 0.3, duplicateRate: 0.1 }, onEvent });
    sim.run(5_000);
    sim.kill(2);
    sim.run(20_000);
    return lines.concat(JSON.stringify(sim.stats));
  };
  expect(log(9)).toEqual(log(9));
  expect(log(9)).not.toEqual(log(10));
});

describe('without false deaths at 10 % loss', () => {
  const hours = Number(process.env.NORI_HOURS ?? 1);
  const sizes = LONG ? [10, 100] : [10];
  test.each(sizes)('%i members', { timeout: 3 * HOUR_MS }, (nodes) => {
    const seed = seedFromEnv();
    const { sim, checker } = checked({ seed, nodes, network: { lossRate: 0.1 } });
    // Checking each step costs more than the steps do.
    if (!LONG) {
      sim.run(hours * HOUR_MS);
      expect(checker.convictions, `NORI_SEED=${seed}`).toEqual([]);
      return;
    }
    const unchecked = new Simulation({ seed, nodes, network: { lossRate: 0.1 } });
    const deaths: string[] = [];
    unchecked.observe({
      onEvent: (node, event) => event.type === 'confirm' && deaths.push(`${node}: ${event.member.id}`),
    });
    unchecked.run(hours * HOUR_MS);
    expect(deaths, `NORI_SEED=${seed}`).toEqual([]);
  });
});

describe('where it should stand', () => {
  // From the formulas: a probe, the suspicion, and the way of the news, on average.
  test.each([
    [3, 3_200, 200],
    [10, 3_300, 100],
    [100, 5_300, 10],
  ])('of %i members, a crash is known everywhere after %i ms', (nodes, knownMs, runs) => {
    const seed = seedFromEnv();
    const { everywhere } = measureDetection({ nodes, runs, seed });
    // The mean of few runs wavers by a tenth.
    expect(everywhere.mean, `NORI_SEED=${seed}`).toBeLessThan(1.1 * knownMs);
    if (nodes === 3) expect(everywhere.max, `NORI_SEED=${seed}`).toBeLessThan(5_000);
  });

  test.each([
    [3, 300, 4],
    [10, 500, 8],
    [100, 1_000, 12],
  ])(
    'of %i members, all have heard of something after %i ms, from at most %i transmissions each',
    (nodes, ms, transmissions) => {
      const seed = seedFromEnv();
      const spread = measureSpread({ nodes, seed, runs: 10 });
      expect(spread.p50, `NORI_SEED=${seed}`).toBeLessThanOrEqual(ms);
      expect(spread.retransmissionsMax, `NORI_SEED=${seed}`).toBeLessThanOrEqual(transmissions);
    },
  );

  test.each([3, 10, 100])('of %i members, each sends four datagrams a second when nothing happens', (nodes) => {
    const { datagrams } = measureLoad({ nodes, seed: seedFromEnv(), seconds: 30 });
    expect(datagrams).toBeGreaterThan(3.9);
    expect(datagrams).toBeLessThan(4.2);
  });
});

test('a thousand members detect a crash, and send no more than ten do', { timeout: 120_000 }, () => {
  const seed = seedFromEnv();
  let known = 0;
  const sim = new Simulation({ seed, nodes: 1_000, onEvent: (_node, event) => event.type === 'confirm' && known++ });
  sim.run(1_000);
  const before = sim.stats.datagrams;
  sim.run(1_000);
  expect((sim.stats.datagrams - before) / 1_000, `NORI_SEED=${seed}`).toBeCloseTo(4, 0);
  sim.kill(500);
  // Gossip reaches nearly all; the others find out by themselves, or when views are exchanged.
  expect(
    sim.runUntil(() => known >= 995, 20_000),
    `NORI_SEED=${seed}: ${known}`,
  ).toBe(true);
});

test('with Lifeguard there are over fifty times fewer false positives', { timeout: 120_000 }, () => {
  const seed = seedFromEnv();
  const tried = (on: boolean) => {
    const parts = { localHealth: on, suspicion: on, buddy: on, pauseDetection: on, recheckSuspects: on };
    return tryLifeguard({ nodes: 40, slow: 6, seconds: 60, seed, parts, heldUpMs: [500, 16_000], freeMs: [1, 1_000] })
      .falsePositives;
  };
  const [without, withAll] = [tried(false), tried(true)];
  expect(without, `NORI_SEED=${seed}`).toBeGreaterThan(500);
  expect(withAll, `NORI_SEED=${seed}`).toBeLessThan(without / 50);
});

describe('a member that stands still', () => {
  test.each(['timers', 'packets'] as const)(
    'for however long convicts nobody when it wakes (%s first)',
    (wakeOrder) => {
      const seed = seedFromEnv();
      for (let run = 0; run < 20; run++) {
        const { sim, checker } = checked({ seed: seed + run, nodes: 3 + (run % 5), wakeOrder });
        sim.run(3_000 + 1_000 * sim.random());
        sim.pause(0, 100 * 2 ** (10 * sim.random()));
        sim.run(150_000);
        expect(
          checker.convictions.filter(({ node }) => node === 0),
          `NORI_SEED=${seed + run}`,
        ).toEqual([]);
        expect(checker.disagreement(), `NORI_SEED=${seed + run}`).toBeUndefined();
      }
    },
  );

  test('for less than the shortest suspicion is not convicted', () => {
    const seed = seedFromEnv();
    for (let run = 0; run < 30; run++) {
      const { sim, checker } = checked({ seed: seed + run, nodes: 3 + (run % 5) });
      sim.run(3_000 + 1_000 * sim.random());
      sim.pause(1, 1_900);
      sim.run(30_000);
      expect(checker.convictions, `NORI_SEED=${seed + run}`).toEqual([]);
    }
  });
});

describe('a partition', () => {
  test.each([
    [4, 'all'],
    [9, 'all'],
    [30, 'all'],
    [6, 'datagrams'],
  ] as const)(
    'of %i members heals by itself, long after both sides have buried each other (cut: %s)',
    (nodes, kind) => {
      const seed = seedFromEnv();
      const { sim, checker } = checked({ seed, nodes, protocol: { tcpFallback: kind === 'all' } });
      sim.run(2_000);
      const half = sim.numbers.slice(0, nodes / 2);
      const heal = sim.partition([half, sim.numbers.slice(nodes / 2)], kind);
      sim.run(10 * 60_000);
      expect(checker.convictions.length).toBeGreaterThan(nodes);
      heal();
      expect(
        sim.runUntil(() => checker.disagreement() === undefined, 240_000),
        `NORI_SEED=${seed}`,
      ).toBe(true);
    },
  );

  test('of UDP alone is bridged by TCP, and noticed', () => {
    const seed = seedFromEnv();
    const { sim, checker } = checked({ seed, nodes: 5 });
    sim.run(2_000);
    sim.network.cut([0], [1, 2, 3, 4], 'datagrams');
    sim.network.cut([1, 2, 3, 4], [0], 'datagrams');
    sim.run(60_000);
    expect(checker.convictions, `NORI_SEED=${seed}`).toEqual([]);
    const view = sim
      .core(1)
      .view(sim.nowMs)
      .others.find(({ id }) => id === sim.idOf(0));
    expect(view).toMatchObject({ state: 'alive', udp: 'unreachable', tcp: 'reachable' });
  });

  test('of TCP alone kills nobody, and is noticed', () => {
    const seed = seedFromEnv();
    const { sim, checker } = checked({ seed, nodes: 3, protocol: { pushPullIntervalMs: 5_000 } });
    sim.network.cut([0], [1, 2], 'streams');
    sim.run(60_000);
    expect(checker.convictions, `NORI_SEED=${seed}`).toEqual([]);
    const view = sim
      .core(1)
      .view(sim.nowMs)
      .others.find(({ id }) => id === sim.idOf(0));
    expect(view).toMatchObject({ state: 'alive', udp: 'reachable', tcp: 'unreachable' });
  });

  test('between two members only is bridged by the others', () => {
    const seed = seedFromEnv();
    const { sim, checker } = checked({ seed, nodes: 5 });
    sim.network.cut([0], [1], 'all');
    sim.network.cut([1], [0], 'all');
    sim.run(10 * 60_000);
    expect(checker.convictions, `NORI_SEED=${seed}`).toEqual([]);
  });
});

test('fifty members that start at once find each other', () => {
  const seed = seedFromEnv();
  const { sim, checker } = checked({ seed, nodes: 50, formed: false, throughCodec: true });
  sim.start(0);
  for (const node of sim.numbers.slice(1)) sim.start(node, [0]);
  expect(
    sim.runUntil(() => sim.nowMs % 10 < 1 && checker.disagreement() === undefined, 20_000),
    `NORI_SEED=${seed}`,
  ).toBe(true);
  expect(checker.convictions).toEqual([]);
});
