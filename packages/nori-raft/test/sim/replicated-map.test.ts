import { Rng, seedFromEnv, UNKNOWN } from 'nori-testkit';
import { expect, test } from 'vitest';
import { type Command, decodeCommand, encodeCommand, mapModel, REFUSED, ReplicatedMap } from './replicated-map.js';

const write = (client: number, sequence: number, value: number, floor = 0): Command => ({
  ...{ f: 'put', key: 1, value, expected: 0 },
  ...{ client, sequence, floor },
});

test('a write that is retried takes effect once and answers as the first time', () => {
  const map = new ReplicatedMap();
  expect(map.apply(write(1, 1, 10))).toBe(0);
  expect(map.apply(write(2, 1, 20))).toBe(10);
  expect(map.apply(write(1, 1, 10))).toBe(0);
  expect(map.get(1)).toBe(20);
});

test('a write below the floor is refused, and changes nothing', () => {
  const map = new ReplicatedMap();
  map.apply(write(1, 2, 10, 2));
  expect(map.apply(write(1, 1, 20))).toBe(REFUSED);
  expect(map.get(1)).toBe(10);
});

test('sessions are part of what is stored, and the hash tells states apart', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const map = new ReplicatedMap();
  const sequences = [0, 0, 0];
  for (let i = 0; i < 300; i++) {
    const client = rng.int(3);
    const sequence = ++sequences[client]!;
    map.apply({
      ...{
        f: rng.pick(['put', 'delete', 'cas', 'get'] as const),
        key: rng.int(4),
        value: i + 1,
        expected: rng.int(i + 1),
      },
      ...{ client, sequence, floor: rng.chance(0.5) ? sequence : 0 },
    });
    const copy = ReplicatedMap.restore(map.serialize());
    expect(copy.hash, `NORI_SEED=${seed}`).toBe(map.hash);
    const retried = write(client, sequence, 999);
    expect(copy.apply(retried), `NORI_SEED=${seed}`).toBe(map.apply(retried));
    const { hash } = copy;
    copy.apply(write(7, 1, 1_000_000 + i));
    expect(copy.hash, `NORI_SEED=${seed}`).not.toBe(hash);
  }
});

test('commands survive their encoding, with and without padding', () => {
  const command: Command = { f: 'cas', key: 3, client: 70_000, sequence: 9, floor: 8, value: 123_456_789, expected: 5 };
  for (const padding of [0, 1, 500]) expect(decodeCommand(encodeCommand(command, padding))).toEqual(command);
});

test('the model takes an answer only if it is the value before', () => {
  const input = { f: 'cas', key: 1, value: 7, expected: 5 } as const;
  expect(mapModel.step(5, input, 5)).toBe(7);
  expect(mapModel.step(6, input, 6)).toBe(6);
  expect(mapModel.step(6, input, 5)).toBeUndefined();
  expect(mapModel.step(5, input, UNKNOWN)).toBe(7);
});
