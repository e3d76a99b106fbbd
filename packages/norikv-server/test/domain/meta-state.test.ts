// What the cluster agrees on: the same commands give the same state everywhere, ids do not come back, and nothing is lost in a snapshot.
import fc from 'fast-check';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import {
  decodeMetaCommand,
  encodeMetaCommand,
  type MetaCommand,
  type NodeDescription,
} from '../../src/domain/meta-command.js';
import { MetaState } from '../../src/domain/meta-state.js';

const SETTINGS = { shardCount: 16, replicationFactor: 3, protocolVersion: 1 };
const MEMBERS = ['n1', 'n2', 'n3'];
const node = (id: string, incarnation = `log-${id}`, client = `${id}:7447`): NodeDescription => ({
  id,
  incarnation,
  version: '1.0.0',
  gossip: `${id}:7449`,
  http: `${id}:8080`,
  stores: [{ client, peer: `${id}:7448` }],
});
const formed = (): MetaState => {
  const state = new MetaState();
  state.apply({ type: 'form', settings: SETTINGS, members: MEMBERS }, 2);
  return state;
};

test('forming numbers the nodes by name, lays out all shards, and happens once', () => {
  const state = new MetaState();
  expect(state.apply({ type: 'form', settings: SETTINGS, members: ['n3', 'n1', 'n2'] }, 2)).toEqual({ ok: true });
  expect([...state.nodes.values()].map(({ id, number }) => [id, number])).toEqual([
    ['n1', 1],
    ['n2', 2],
    ['n3', 3],
  ]);
  expect(state.shards).toHaveLength(16);
  expect(state.shards.every(({ replicas }) => replicas.length === 3)).toBe(true);
  const before = state.encode();
  expect(state.apply({ type: 'form', settings: SETTINGS, members: ['x'] }, 9)).toEqual({ ok: true });
  expect(state.encode()).toEqual(before);
});

test('nothing can be agreed on before there is a cluster', () => {
  expect(new MetaState().apply({ type: 'join', node: node('n9') }, 2)).toMatchObject({ ok: false, code: 'NOT_FORMED' });
});

describe('a node', () => {
  test('that registers with another log than it had is refused, and nothing changes', () => {
    const state = formed();
    expect(state.apply({ type: 'register', node: node('n1') }, 3)).toEqual({ ok: true });
    const before = state.encode();
    expect(state.apply({ type: 'register', node: node('n1', 'another') }, 4)).toMatchObject({ code: 'OTHER_LOG' });
    expect(state.apply({ type: 'join', node: node('n1', 'another') }, 5)).toMatchObject({ code: 'OTHER_LOG' });
    expect(state.encode()).toEqual(before);
    expect(state.apply({ type: 'register', node: node('n1', 'log-n1', 'elsewhere:1') }, 6)).toEqual({ ok: true });
    expect(state.nodes.get('n1')!.stores[0]!.client).toBe('elsewhere:1');
    expect(state.epoch).toBe(6);
  });

  test('that joins gets a number of its own, once', () => {
    const state = formed();
    expect(state.apply({ type: 'join', node: node('n4') }, 3)).toEqual({ ok: true });
    expect(state.apply({ type: 'join', node: node('n4') }, 4)).toEqual({ ok: true });
    expect(state.nodes.get('n4')!.number).toBe(4);
    expect(state.apply({ type: 'join', node: node('n5') }, 5)).toEqual({ ok: true });
    expect(state.nodes.get('n5')!.number).toBe(5);
  });

  test('goes when it has no replicas; neither its name nor its number comes back', () => {
    const state = formed();
    state.apply({ type: 'join', node: node('n4') }, 3);
    expect(state.apply({ type: 'remove-node', id: 'n1' }, 4)).toMatchObject({ code: 'NODE_BUSY' });
    expect(state.apply({ type: 'remove-node', id: 'n4' }, 5)).toEqual({ ok: true });
    expect(state.apply({ type: 'join', node: node('n4') }, 6)).toMatchObject({ code: 'NODE_REMOVED' });
    state.apply({ type: 'join', node: node('n5') }, 7);
    expect(state.nodes.get('n5')!.number).toBe(5);
  });
});

test('replica ids are never given twice, and the last replica stays', () => {
  const state = formed();
  state.apply({ type: 'join', node: node('n4') }, 3);
  const given = new Set(state.shards[0]!.replicas.map(({ replicaId }) => replicaId));
  for (let index = 4; index < 20; index += 2) {
    state.apply({ type: 'add-replica', shard: 0, nodeId: 'n4' }, index);
    const { replicaId } = state.shards[0]!.replicas.find(({ nodeId }) => nodeId === 'n4')!;
    expect(given.has(replicaId)).toBe(false);
    given.add(replicaId);
    state.apply({ type: 'remove-replica', shard: 0, replicaId }, index + 1);
  }
  expect(state.shards[0]!.founders).toEqual([1, 2, 3]);
  for (const replicaId of [1, 2]) state.apply({ type: 'remove-replica', shard: 0, replicaId }, 30);
  expect(state.apply({ type: 'remove-replica', shard: 0, replicaId: 3 }, 31)).toMatchObject({ code: 'INVALID' });
  expect(state.apply({ type: 'prefer', shard: 1, replicaId: 3 }, 32)).toEqual({ ok: true });
  expect(state.shards[1]!.replicas[0]!.replicaId).toBe(3);
});

const randomCommand = (rng: Rng): MetaCommand => {
  const id = `n${rng.range(1, 7)}`;
  const kinds: (() => MetaCommand)[] = [
    () => ({ type: 'register', node: node(id, rng.chance(0.8) ? `log-${id}` : 'another', `${id}:${rng.int(100)}`) }),
    () => ({ type: 'join', node: node(id) }),
    () => ({ type: 'remove-node', id }),
    () => ({ type: 'add-replica', shard: rng.int(17), nodeId: id }),
    () => ({ type: 'remove-replica', shard: rng.int(17), replicaId: rng.range(1, 9) }),
    () => ({ type: 'prefer', shard: rng.int(17), replicaId: rng.range(1, 9) }),
  ];
  return rng.pick(kinds)();
};

test('any commands, through their bytes and with a snapshot anywhere, give the same state', () => {
  const first = seedFromEnv();
  for (let seed = first; seed < first + 200; seed++) {
    const rng = new Rng(seed);
    const one = formed();
    let other = formed();
    for (let index = 3; index < 80; index++) {
      const command = randomCommand(rng);
      const result = one.apply(command, index);
      expect(other.apply(decodeMetaCommand(encodeMetaCommand(command)), index), `NORI_SEED=${seed}`).toEqual(result);
      if (rng.chance(0.1)) other = MetaState.decode(other.encode());
    }
    expect(other.encode(), `NORI_SEED=${seed}`).toEqual(one.encode());
    for (const { replicas } of one.shards) {
      expect(replicas.length).toBeGreaterThan(0);
      expect(new Set(replicas.map(({ nodeId }) => nodeId)).size).toBe(replicas.length);
      for (const { nodeId } of replicas) expect(one.nodes.has(nodeId)).toBe(true);
    }
  }
});

test('bytes that are damaged give a RangeError, never a hang', () => {
  const state = formed().encode();
  const command = encodeMetaCommand({ type: 'join', node: node('n4') });
  fc.assert(
    fc.property(fc.boolean(), fc.nat(), fc.nat(255), fc.nat(), (isState, at, byte, cut) => {
      const bytes = (isState ? state : command).slice();
      bytes[at % bytes.length] = byte;
      const damaged = bytes.subarray(0, bytes.length - (cut % 3));
      try {
        if (isState) MetaState.decode(damaged);
        else decodeMetaCommand(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
    { seed: seedFromEnv() },
  );
});
