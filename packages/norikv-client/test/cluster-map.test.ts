// Who leads a shard, as views and hints tell it: in any order, from nodes that know more and nodes that know less.
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ClusterViewSchema, KEY_HASH_NAME, NodeState } from 'norikv-protocol';
import { describe, expect, test } from 'vitest';
import { ClusterMap } from '../src/cluster-map.js';

const ADDRESSES = ['a:1', 'b:1', 'c:1'];

interface Told {
  readonly epoch?: number;
  /** By shard: position from 1 (0: unknown) and term. */
  readonly leaders: readonly (readonly [position: number, term: number])[];
  /** Positions from 1 of nodes that are dead. */
  readonly dead?: readonly number[];
  readonly replicas?: readonly (readonly number[])[];
  readonly addresses?: readonly string[];
}

const view = ({ epoch = 1, leaders, dead = [], replicas = [], addresses = ADDRESSES }: Told) =>
  create(ClusterViewSchema, {
    clusterId: new Uint8Array(16),
    epoch: BigInt(epoch),
    shardCount: leaders.length,
    replicationFactor: 3,
    keyHash: KEY_HASH_NAME,
    nodes: addresses.map((_, i) => ({
      nodeId: `n${i}`,
      state: dead.includes(i + 1) ? NodeState.DEAD : NodeState.ALIVE,
    })),
    stores: addresses.map((address, i) => ({ nodeId: `n${i}`, store: 0, address })),
    shardLeaders: leaders.map(([position]) => position),
    shardTerms: leaders.map(([, term]) => BigInt(term)),
    shardReplicaCounts: replicas.map((positions) => positions.length),
    shardReplicas: replicas.flat(),
  });

const mapOf = (...told: readonly Told[]): ClusterMap => {
  const map = new ClusterMap(undefined);
  for (const each of told) map.adopt(view(each), 'a:1');
  return map;
};

describe('of views of one epoch', () => {
  test('the greater term counts, shard by shard, whichever comes last', () => {
    const first: Told = {
      leaders: [
        [1, 5],
        [2, 3],
      ],
    };
    const second: Told = {
      leaders: [
        [2, 4],
        [3, 4],
      ],
    };
    for (const map of [mapOf(first, second), mapOf(second, first)]) {
      expect([0, 1].map((shard) => map.leaderOf(shard))).toEqual(['a:1', 'c:1']);
      expect(map.view!.shardLeaders).toEqual([0, 2]);
    }
  });

  test('what is only meant to be does not replace what is known, but what is known replaces it', () => {
    expect(mapOf({ leaders: [[2, 5]] }, { leaders: [[1, 0]] }).leaderOf(0)).toBe('b:1');
    expect(mapOf({ leaders: [[1, 0]] }, { leaders: [[2, 5]] }).leaderOf(0)).toBe('b:1');
    expect(mapOf({ leaders: [[1, 0]] }, { leaders: [[2, 0]] }).leaderOf(0)).toBe('b:1');
  });

  test('a leader that is dead is followed by whoever is meant to lead, and comes back only in a later term', () => {
    const map = mapOf({ leaders: [[1, 5]] }, { leaders: [[2, 0]], dead: [1] });
    expect(map.leaderOf(0)).toBe('b:1');
    map.adopt(view({ leaders: [[1, 5]] }), 'a:1');
    expect(map.leaderOf(0)).toBe('b:1');
    map.adopt(view({ leaders: [[1, 6]] }), 'a:1');
    expect(map.leaderOf(0)).toBe('a:1');
  });

  test('a node that is cut off from most replicas has no say in who is to lead', () => {
    const replicas = [[1, 2, 3]];
    const all: Told = { leaders: [[1, 2]], replicas };
    const others: Told = { leaders: [[3, 3]], replicas, dead: [1] };
    const alone: Told = { leaders: [[1, 0]], replicas, dead: [2, 3] };
    expect(mapOf(all, others, alone).leaderOf(0)).toBe('c:1');
    expect(mapOf(all, alone, others).leaderOf(0)).toBe('c:1');
    // Nor where nobody has led yet.
    expect(mapOf({ leaders: [[2, 0]], replicas }, alone).leaderOf(0)).toBe('b:1');
    // It is the one to ask when nothing else is known.
    expect(mapOf(alone).leaderOf(0)).toBe('a:1');
  });

  test('a leader that is dead to a node that is cut off is asked again when that node reaches no majority', () => {
    const replicas = [[1, 2, 3]];
    const map = mapOf({ leaders: [[1, 2]], replicas }, { leaders: [[2, 3]], replicas, dead: [1] });
    // The first of two that the node loses sight of.
    map.adopt(view({ leaders: [[1, 0]], replicas, dead: [2] }), 'a:1');
    expect(map.leaderOf(0)).toBe('a:1');
    map.doubt(0, 'c:1');
    expect(map.leaderOf(0)).toBe('a:1');
    map.doubt(0, 'a:1');
    expect(map.leaderOf(0)).toBe('b:1');
    map.adopt(view({ leaders: [[1, 0]], replicas, dead: [2, 3] }), 'a:1');
    expect(map.leaderOf(0)).toBe('b:1');
    map.doubt(0, 'b:1');
    expect(map.leaderOf(0)).toBe('b:1');
  });

  test('changes are told to those who watch, repetitions are not', () => {
    const map = mapOf({ leaders: [[1, 5]] });
    let changes = 0;
    map.onChange(() => changes++);
    expect(map.adopt(view({ leaders: [[1, 5]] }), 'a:1')).toBe(false);
    expect(changes).toBe(0);
    expect(map.adopt(view({ leaders: [[3, 6]] }), 'a:1')).toBe(true);
    expect(changes).toBe(1);
  });
});

test('a newer epoch brings its nodes, and keeps leaders that are known and still there', () => {
  const map = mapOf({
    leaders: [
      [1, 5],
      [2, 5],
    ],
  });
  map.adopt(
    view({
      epoch: 2,
      addresses: ['a:1', 'x:1', 'c:1'],
      leaders: [
        [3, 0],
        [3, 0],
      ],
    }),
    'a:1',
  );
  expect([0, 1].map((shard) => map.leaderOf(shard))).toEqual(['a:1', 'c:1']);
  map.adopt(
    view({
      epoch: 1,
      leaders: [
        [2, 4],
        [2, 5],
      ],
    }),
    'b:1',
  );
  expect(map.epoch).toBe(2);
  expect(map.has('x:1')).toBe(true);
  expect([0, 1].map((shard) => map.leaderOf(shard))).toEqual(['a:1', 'c:1']);
});

test('without a leader a replica is asked that is there', () => {
  const map = mapOf({
    leaders: [
      [0, 0],
      [0, 0],
    ],
    replicas: [
      [1, 2],
      [3, 2],
    ],
    dead: [1],
  });
  expect([0, 1].map((shard) => map.leaderOf(shard))).toEqual(['b:1', 'c:1']);
});

test('a hint holds unless a later leader is known, or the one that is known gave it', () => {
  const map = mapOf({ leaders: [[1, 5]] });
  map.hint(0, 'c:1', 'b:1', 4);
  expect(map.leaderOf(0)).toBe('a:1');
  map.hint(0, 'c:1', 'b:1', 6);
  expect(map.leaderOf(0)).toBe('b:1');
  map.adopt(view({ leaders: [[1, 5]] }), 'a:1');
  expect(map.leaderOf(0)).toBe('b:1');
  map.hint(0, 'b:1', 'c:1', 0);
  expect(map.leaderOf(0)).toBe('c:1');
});

test('the leader of the greatest term is found, in whatever order views and hints come', () => {
  const said = fc.record({ term: fc.integer({ min: 1, max: 9 }), isHint: fc.boolean() });
  fc.assert(
    fc.property(fc.array(said, { minLength: 1, maxLength: 12 }), (all) => {
      // There is one leader in a term; nobody who asks is that leader.
      const leaderIn = (term: number) => term % 3;
      const map = mapOf({ leaders: [[0, 0]] });
      for (const { term, isHint } of all) {
        if (isHint) map.hint(0, 'd:1', ADDRESSES[leaderIn(term)]!, term);
        else map.adopt(view({ leaders: [[leaderIn(term) + 1, term]] }), 'a:1');
      }
      const last = Math.max(...all.map(({ term }) => term));
      expect(map.leaderOf(0)).toBe(ADDRESSES[leaderIn(last)]);
    }),
  );
});
