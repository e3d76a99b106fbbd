import { expect, test } from 'vitest';
import {
  bridgeLinks,
  CALM_LINK,
  chainLinks,
  type Delivery,
  EventHeap,
  type LinkQuality,
  oneWayLinks,
  Rng,
  ringLinks,
  SimulatedNetwork,
  splitLinks,
} from '../src/index.js';

const WILD: LinkQuality = {
  delayMinMs: 1,
  delayMaxMs: 10,
  tailRate: 0.1,
  tailMaxMs: 3000,
  lossRate: 0.2,
  duplicateRate: 0.2,
  ordered: false,
};

/** A network on a heap of its own, driven by hand. */
class Bench {
  nowMs = 0;
  readonly arrived: { atMs: number; delivery: Delivery<number> }[] = [];
  readonly network: SimulatedNetwork<number>;
  readonly #events = new EventHeap<Delivery<number>>();

  constructor(quality: LinkQuality, seed = 1) {
    const rng = new Rng(seed);
    this.network = new SimulatedNetwork({
      random: () => rng.next(),
      schedule: (delayMs, delivery) => this.#events.push(this.nowMs + delayMs, delivery),
      quality,
    });
  }

  send(from: number, to: number, message: number): number {
    return this.network.send(this.nowMs, from, to, message);
  }

  run(): number[] {
    const messages: number[] = [];
    for (let event = this.#events.pop(); event !== undefined; event = this.#events.pop()) {
      this.nowMs = event.atMs;
      this.arrived.push({ atMs: event.atMs, delivery: event.item });
      messages.push(event.item.message);
    }
    return messages;
  }
}

test('a calm link delivers everything once, in order, within its delays', () => {
  const bench = new Bench(CALM_LINK);
  const sent = Array.from({ length: 500 }, (_, i) => i);
  for (const message of sent) expect(bench.send(1, 2, message)).toBe(1);
  expect(bench.run()).toEqual(sent);
  for (const { atMs } of bench.arrived) {
    expect(atMs).toBeGreaterThanOrEqual(CALM_LINK.delayMinMs);
    expect(atMs).toBeLessThanOrEqual(CALM_LINK.delayMaxMs);
  }
});

test('a wild link loses, doubles, delays and reorders about as often as it says', () => {
  const bench = new Bench(WILD);
  let copies = 0;
  for (let i = 0; i < 10_000; i++) copies += bench.send(1, 2, i);
  const messages = bench.run();
  expect(messages).toHaveLength(copies);
  const { sent, lost, duplicated, cut } = bench.network.stats;
  expect([sent, cut]).toEqual([10_000, 0]);
  expect(lost / sent).toBeCloseTo(0.2, 1);
  expect(duplicated / (sent - lost)).toBeCloseTo(0.2, 1);
  expect(copies).toBe(sent - lost + duplicated);
  expect(messages).not.toEqual([...messages].sort((a, b) => a - b));
  const late = bench.arrived.filter(({ atMs }) => atMs > 10).length;
  expect(late / copies).toBeCloseTo(0.1, 1);
});

test('an ordered link keeps the order in spite of its tail', () => {
  const bench = new Bench({ ...WILD, duplicateRate: 0, ordered: true });
  for (let i = 0; i < 1000; i++) bench.send(1, 2, i);
  const messages = bench.run();
  expect(messages).toEqual([...messages].sort((a, b) => a - b));
});

test('the same seed gives the same deliveries, another seed others', () => {
  const run = (seed: number) => {
    const bench = new Bench(WILD, seed);
    for (let i = 0; i < 200; i++) bench.send(1 + (i % 3), 2, i);
    bench.run();
    return bench.arrived;
  };
  expect(run(7)).toEqual(run(7));
  expect(run(7)).not.toEqual(run(8));
});

test('a cut is one-way, drops what is sent during it, and lets what is under way arrive', () => {
  const bench = new Bench(CALM_LINK);
  bench.send(1, 2, 10);
  bench.network.cut([[1, 2]]);
  expect(bench.network.isCut(1, 2)).toBe(true);
  expect(bench.network.isCut(2, 1)).toBe(false);
  expect(bench.send(1, 2, 11)).toBe(0);
  expect(bench.send(2, 1, 12)).toBe(1);
  bench.network.mend([[1, 2]]);
  bench.send(1, 2, 13);
  expect(bench.run().sort()).toEqual([10, 12, 13]);
  expect(bench.network.stats.cut).toBe(1);
});

test('overlapping cuts are mended one by one, or all at once', () => {
  const { network } = new Bench(CALM_LINK);
  network.cut(splitLinks([[1], [2, 3]]));
  network.cut(oneWayLinks([1], [2]));
  network.mend(splitLinks([[1], [2, 3]]));
  expect([network.isCut(1, 2), network.isCut(2, 1), network.isCut(1, 3)]).toEqual([true, false, false]);
  network.heal(CALM_LINK);
  expect(network.isCut(1, 2)).toBe(false);
});

test('one link can be worse than the others', () => {
  const bench = new Bench(CALM_LINK);
  bench.network.setLinkQuality(1, 2, { ...CALM_LINK, lossRate: 1 });
  expect([bench.send(1, 2, 1), bench.send(1, 3, 2)]).toEqual([0, 1]);
  bench.network.setLinkQuality(1, 2, undefined);
  expect(bench.send(1, 2, 3)).toBe(1);
});

test('topologies cut what they should', () => {
  const reaches = (links: readonly (readonly [number, number])[]) => {
    const { network } = new Bench(CALM_LINK);
    network.cut(links);
    const nodes = [1, 2, 3, 4, 5];
    return nodes.map((from) => nodes.filter((to) => from !== to && !network.isCut(from, to)).join(''));
  };
  expect(reaches(chainLinks([1, 2, 3, 4, 5]))).toEqual(['2', '13', '24', '35', '4']);
  expect(reaches(ringLinks([1, 2, 3, 4, 5]))).toEqual(['25', '13', '24', '35', '14']);
  expect(reaches(bridgeLinks([1, 2, 3, 4, 5]))).toEqual(['23', '13', '1245', '35', '34']);
  expect(reaches(splitLinks([[1, 2], [3, 4], [5]]))).toEqual(['2', '1', '4', '3', '']);
  expect(reaches(oneWayLinks([1, 2], [2, 3]))).toEqual(['45', '145', '1245', '1235', '1234']);
});
