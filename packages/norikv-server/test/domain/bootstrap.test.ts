// Clusters come into being once, whatever the order in which nodes start, see each other, crash and come back.
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { type BootstrapNotice, type BootstrapState, membersKey, nextStep } from '../../src/domain/bootstrap.js';

const BLANK: BootstrapState = { accepted: undefined, isFormed: false };
const RUNS = 2000;

/** A node in the simulation: what it has stored, and what it last heard of each other node. */
interface SimNode {
  readonly id: string;
  state: BootstrapState;
  up: boolean;
  readonly heard: Map<string, BootstrapNotice>;
}

const noticeOf = ({ id, state }: SimNode): BootstrapNotice => ({
  nodeId: id,
  clusterId: state.accepted?.clusterId ?? '',
  members: state.accepted === undefined ? '' : membersKey(state.accepted.members),
  isFormed: state.isFormed,
});

class World {
  readonly nodes: SimNode[];
  readonly #rng: Rng;
  #made = 0;
  refusals = 0;

  constructor(rng: Rng, count: number) {
    this.#rng = rng;
    const ids = rng.shuffle(['a', 'b', 'c', 'd', 'e']).slice(0, count);
    this.nodes = ids.map((id) => ({ id, state: BLANK, up: false, heard: new Map() }));
  }

  /** One of the things that can happen happens. @param calm nothing bad */
  step(calm: boolean): void {
    const node = this.#rng.pick(this.nodes);
    const kind = this.#rng.next();
    if (!node.up) {
      if (calm || kind < 0.5) node.up = true;
      return;
    }
    if (!calm && kind < 0.08) {
      // A crash forgets what was heard, and keeps what was stored.
      node.up = false;
      node.heard.clear();
    } else if (kind < 0.6) {
      const from = this.#rng.pick(this.nodes);
      // Notices may be late: what was heard earlier stays until something newer comes.
      if (from !== node && from.up) node.heard.set(from.id, noticeOf(from));
    } else if (!calm && kind < 0.7) {
      node.heard.delete(this.#rng.pick(this.nodes).id);
    } else this.#decide(node);
  }

  #decide(node: SimNode): void {
    if (node.state.isFormed) return;
    const step = nextStep(node.id, node.state, [...node.heard.values()], this.nodes.length, () => `${++this.#made}`);
    if (step.type === 'accept') {
      expect(node.state.accepted, 'a node accepts one proposal').toBeUndefined();
      node.state = { accepted: step.founding, isFormed: false };
    } else if (step.type === 'form') node.state = { accepted: step.founding, isFormed: true };
    else if (step.type === 'refuse') this.refusals++;
  }

  /** Two clusters never are. */
  check(): void {
    const formed = this.nodes.filter(({ state }) => state.isFormed).map(({ state }) => state.accepted!);
    for (const { clusterId, members } of formed) {
      expect(clusterId).toBe(formed[0]!.clusterId);
      for (const member of members) {
        const other = this.nodes.find(({ id }) => id === member)!;
        expect(other.state.accepted?.clusterId, `${member} belongs to a formed cluster`).toBe(clusterId);
      }
    }
  }
}

test(`nodes form one cluster, whatever happens in between (${RUNS} runs)`, () => {
  const first = seedFromEnv();
  for (let seed = first; seed < first + RUNS; seed++) {
    const rng = new Rng(seed);
    const world = new World(rng, rng.range(1, 5));
    const storm = rng.int(200);
    try {
      for (let i = 0; i < storm; i++) {
        world.step(false);
        world.check();
      }
      for (let i = 0; i < 2000 && world.nodes.some(({ state }) => !state.isFormed); i++) {
        world.step(true);
        world.check();
      }
      expect(
        world.nodes.every(({ state }) => state.isFormed),
        'all are formed',
      ).toBe(true);
      expect(world.refusals, 'nobody was refused').toBe(0);
    } catch (error) {
      throw new Error(`NORI_SEED=${seed} shows it`, { cause: error });
    }
  }
});

describe('a node that cannot go on says why', () => {
  const notice = (nodeId: string, clusterId = '', members = '', isFormed = false): BootstrapNotice => ({
    nodeId,
    clusterId,
    members,
    isFormed,
  });
  const never = () => {
    throw new Error('no proposal was to be made');
  };

  test('its directory is blank, and the others belong to a cluster', () => {
    const seen = [notice('b', 'x', 'a,b', true)];
    expect(nextStep('a', BLANK, seen, 2, never)).toMatchObject({
      type: 'refuse',
      why: expect.stringContaining('blank'),
    });
  });

  test('there are more nodes than are expected', () => {
    const seen = [notice('b'), notice('c')];
    expect(nextStep('a', BLANK, seen, 2, never)).toMatchObject({
      type: 'refuse',
      why: expect.stringContaining('--expect'),
    });
  });

  test('the lowest node has lost its directory after others accepted its proposal', () => {
    expect(nextStep('a', BLANK, [notice('b', 'x', 'a,b')], 2, never)).toMatchObject({ type: 'refuse' });
  });

  test('nodes were named differently', () => {
    const seen = [notice('a', 'x', 'a,c')];
    expect(nextStep('b', BLANK, seen, 2, never)).toMatchObject({
      type: 'refuse',
      why: expect.stringContaining('--join'),
    });
  });

  test('two proposals meet', () => {
    const state: BootstrapState = { accepted: { clusterId: 'x', members: ['a', 'b'] }, isFormed: false };
    expect(nextStep('b', state, [notice('a', 'y', 'a,b')], 2, never)).toMatchObject({ type: 'refuse' });
  });
});
