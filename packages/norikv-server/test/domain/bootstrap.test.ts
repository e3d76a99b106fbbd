// Clusters come into being once, whatever the order in which nodes start, see each other, crash and come back.
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import {
  type BootstrapNotice,
  type BootstrapState,
  type BootstrapStep,
  membersKey,
  nextStep,
} from '../../src/domain/bootstrap.js';

const BLANK: BootstrapState = { accepted: undefined, isFormed: false };
const RUNS = Number(process.env.NORI_ROUNDS ?? 2000);
const CALM_STEPS_MAX = 4000;

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
  /** One that was not named, and may only join. */
  readonly stranger: SimNode | undefined;
  readonly #rng: Rng;
  readonly #named: number;
  /** Which side of the partition a node is on; all on one: none. */
  #sides: number[];
  #made = 0;
  /** Of a node whose disk was lost before the cluster was formed: then an operator must help. */
  lostDisk = false;
  refusals = 0;

  constructor(rng: Rng, named: number) {
    this.#rng = rng;
    this.#named = named;
    const ids = rng.shuffle(['a', 'b', 'c', 'd', 'e', 'f']);
    this.nodes = ids.slice(0, named).map((id) => ({ id, state: BLANK, up: false, heard: new Map() }));
    if (rng.chance(0.3)) {
      this.stranger = { id: ids[named]!, state: BLANK, up: false, heard: new Map() };
      this.nodes.push(this.stranger);
    }
    this.#sides = this.nodes.map(() => 0);
  }

  /** One of the things that can happen happens. @param calm nothing bad */
  step(calm: boolean): void {
    const at = this.#rng.int(this.nodes.length);
    const node = this.nodes[at]!;
    const kind = this.#rng.next();
    if (calm) this.#sides.fill(0);
    if (!node.up) {
      if (calm || kind < 0.5) node.up = true;
      return;
    }
    if (!calm && kind < 0.06) {
      // A crash forgets what was heard, and keeps what was stored.
      node.up = false;
      node.heard.clear();
    } else if (!calm && kind < 0.061) this.#loseDisk(node);
    else if (!calm && kind < 0.08) this.#sides = this.nodes.map(() => this.#rng.int(2));
    else if (!calm && kind < 0.1) this.#sides.fill(0);
    else if (kind < 0.6) {
      const from = this.#rng.int(this.nodes.length);
      const other = this.nodes[from]!;
      // Notices may be late: what was heard earlier stays until something newer comes.
      if (from !== at && other.up && this.#sides[from] === this.#sides[at]) node.heard.set(other.id, noticeOf(other));
    } else if (!calm && kind < 0.7) node.heard.delete(this.#rng.pick(this.nodes).id);
    else this.#decide(node);
  }

  #loseDisk(node: SimNode): void {
    if (this.nodes.some(({ state }) => state.isFormed)) return;
    if (node.state.accepted !== undefined) this.lostDisk = true;
    node.state = BLANK;
    node.up = false;
    node.heard.clear();
  }

  #decide(node: SimNode): void {
    if (node.state.isFormed) return;
    const isNamed = node !== this.stranger;
    // Only what named nodes say counts.
    const seen = [...node.heard.values()].filter(({ nodeId }) => nodeId !== this.stranger?.id);
    const order = { expect: this.#named, isNamed };
    this.#obey(
      node,
      nextStep(node.id, node.state, seen, order, () => `${node.id}${++this.#made}`),
    );
  }

  #obey(node: SimNode, step: BootstrapStep): void {
    if (step.type === 'accept') {
      if (node.state.accepted !== undefined) throw new Error(`${node.id} accepts a second proposal`);
      if (node === this.stranger) throw new Error('a node that was not named bootstraps');
      node.state = { accepted: step.founding, isFormed: false };
    } else if (step.type === 'form') {
      node.state = { accepted: step.founding, isFormed: true };
    } else if (step.type === 'join') {
      if (!this.nodes.some(({ state }) => state.isFormed && state.accepted!.clusterId === step.clusterId)) {
        throw new Error(`${node.id} joins a cluster that there is not`);
      }
      return;
    } else {
      if (step.type === 'refuse') this.refusals++;
      return;
    }
    this.#check();
  }

  /** Two clusters never are. */
  #check(): void {
    const formed = this.nodes.filter(({ state }) => state.isFormed).map(({ state }) => state.accepted!);
    for (const { clusterId, members } of formed) {
      if (clusterId !== formed[0]!.clusterId) throw new Error(`clusters ${clusterId} and ${formed[0]!.clusterId} are`);
      if (members.length !== this.#named) throw new Error(`a cluster of ${membersKey(members)} is formed`);
      for (const member of members) {
        const { state } = this.nodes.find(({ id }) => id === member)!;
        if (state.accepted?.clusterId !== clusterId && !this.lostDisk) {
          throw new Error(`${member} belongs to a formed cluster and has not accepted it`);
        }
      }
    }
  }

  get isFormed(): boolean {
    return this.nodes.every((node) => node === this.stranger || node.state.isFormed);
  }
}

const run = (seed: number): World => {
  const rng = new Rng(seed);
  const world = new World(rng, rng.range(1, 5));
  const storm = rng.int(300);
  for (let i = 0; i < storm; i++) world.step(false);
  for (let i = 0; i < CALM_STEPS_MAX && !world.isFormed; i++) world.step(true);
  return world;
};

test(`nodes form one cluster, whatever happens in between (${RUNS} runs)`, () => {
  const first = seedFromEnv();
  let formed = 0;
  for (let seed = first; seed < first + RUNS; seed++) {
    try {
      const world = run(seed);
      if (world.isFormed) formed++;
      // After a disk was lost there may be no cluster, but never two.
      else if (!world.lostDisk) throw new Error('not all are formed');
      if (world.refusals > 0 && !world.lostDisk) throw new Error('a node was refused');
    } catch (error) {
      throw new Error(`NORI_SEED=${seed} shows it: ${(error as Error).message}`, { cause: error });
    }
  }
  expect(formed, 'most runs end in a cluster').toBeGreaterThan(RUNS * 0.8);
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
  const order = { expect: 2, isNamed: true };

  test('its directory is blank, and the others belong to a cluster: it asks that one', () => {
    const seen = [notice('b', 'x', membersKey(['a', 'b']), true)];
    expect(nextStep('a', BLANK, seen, order, never)).toEqual({ type: 'join', clusterId: 'x', through: 'b' });
  });

  test('the others belong to two clusters', () => {
    const seen = [notice('b', 'x', 'b', true), notice('c', 'y', 'c', true)];
    expect(nextStep('a', BLANK, seen, order, never)).toMatchObject({ type: 'refuse' });
  });

  test('it was not named: it waits for a cluster to join', () => {
    const step = nextStep('c', BLANK, [notice('a'), notice('b')], { expect: 3, isNamed: false }, never);
    expect(step).toMatchObject({ type: 'wait' });
  });

  test('there are more nodes than are expected: it waits until that is over', () => {
    expect(nextStep('a', BLANK, [notice('b'), notice('c')], order, never)).toMatchObject({ type: 'wait' });
  });

  test('the lowest node has lost its directory after others accepted its proposal', () => {
    expect(nextStep('a', BLANK, [notice('b', 'x', membersKey(['a', 'b']))], order, never)).toMatchObject({
      type: 'refuse',
    });
  });

  test('nodes were named differently', () => {
    expect(nextStep('b', BLANK, [notice('a', 'x', membersKey(['a', 'c']))], order, never)).toMatchObject({
      type: 'refuse',
      why: expect.stringContaining('--join'),
    });
  });

  test('two proposals meet', () => {
    const state: BootstrapState = { accepted: { clusterId: 'x', members: ['a', 'b'] }, isFormed: false };
    expect(nextStep('b', state, [notice('a', 'y', membersKey(['a', 'b']))], order, never)).toMatchObject({
      type: 'refuse',
    });
  });
});
