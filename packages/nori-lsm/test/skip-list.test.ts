import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { compareKeys } from '../src/bytes.js';
import { EMPTY_BYTES, NODE_OVERHEAD_MAX, SkipList } from '../src/skip-list.js';
import { hardKeys, hex, utf8, withSeed } from './support.js';

const NEWEST = Number.MAX_SAFE_INTEGER;

interface Entry {
  readonly key: Uint8Array;
  readonly seq: number;
  readonly kind: number;
  readonly expiresAtMs: number;
  readonly value: Uint8Array;
}

const insert = (list: SkipList, { key, seq, kind, expiresAtMs, value }: Entry): void =>
  list.insert(key, 0, key.length, seq, kind, expiresAtMs, value, 0, value.length);

const describeNode = (list: SkipList, node: number): unknown[] => [
  hex(list.copyKey(node)),
  list.seqOf(node),
  list.kindOf(node),
  list.expiresAtOf(node),
  hex(list.copyValue(node)),
];

const describeEntry = ({ key, seq, kind, expiresAtMs, value }: Entry): unknown[] => [
  hex(key),
  seq,
  kind,
  expiresAtMs,
  hex(value),
];

test('keeps entries in order and finds the version visible at any sequence number', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, () => {
    const rng = new Rng(seed);
    const keys = hardKeys(rng, 120);
    const list = SkipList.create(new SharedArrayBuffer(1 << 20));
    const entries: Entry[] = [];
    let seq = 2 ** 32 - 300;
    for (let i = 0; i < 1500; i++) {
      seq += rng.range(1, 3);
      const expiresAtMs = rng.chance(0.3) ? rng.range(1, 2 ** 50) : 0;
      const entry = { key: rng.pick(keys), seq, kind: rng.pick([1, 2]), expiresAtMs, value: rng.bytes(rng.int(40)) };
      entries.push(entry);
      insert(list, entry);
    }
    entries.sort((a, b) => compareKeys(a.key, b.key) || b.seq - a.seq);
    const up: unknown[] = [];
    for (let node = list.first(); node !== 0; node = list.next(node)) up.push(describeNode(list, node));
    expect(up).toEqual(entries.map(describeEntry));
    const down: unknown[] = [];
    for (let node = list.last(); node !== 0; node = list.previous(node)) down.push(describeNode(list, node));
    expect(down.reverse()).toEqual(up);
    for (let i = 0; i < 500; i++) {
      const key = rng.pick(keys);
      const at = rng.chance(0.3) ? NEWEST : rng.range(2 ** 32 - 300, seq);
      const expected = entries.find(
        (entry) => compareKeys(entry.key, key) > 0 || (hex(entry.key) === hex(key) && entry.seq <= at),
      );
      const node = list.seek(key, at);
      expect(node === 0 ? undefined : describeNode(list, node)).toEqual(expected && describeEntry(expected));
      const isSame = expected !== undefined && hex(expected.key) === hex(key);
      expect(list.find(key, at) !== 0).toBe(isSame);
    }
  });
});

test('moves to larger memory without changing a node', () => {
  const list = SkipList.create(new SharedArrayBuffer(EMPTY_BYTES + 2 * (NODE_OVERHEAD_MAX + 9)));
  const entry = (name: string, seq: number): Entry => ({
    key: utf8(name),
    seq,
    kind: 1,
    expiresAtMs: 0,
    value: utf8('v'),
  });
  insert(list, entry('b', 1));
  const node = list.first();
  list.moveTo(new SharedArrayBuffer(1 << 16));
  insert(list, entry('a', 2));
  expect(describeNode(list, node)[0]).toBe(hex(utf8('b')));
  expect(list.next(list.first())).toBe(node);
  expect(list.previous(node)).toBe(list.first());
});

test('the same inserts build the same bytes', () => {
  const build = (): Uint8Array => {
    const rng = new Rng(7);
    const list = SkipList.create(new SharedArrayBuffer(1 << 18));
    for (let seq = 1; seq < 1000; seq++) {
      insert(list, { key: rng.bytes(9), seq, kind: 1, expiresAtMs: 0, value: rng.bytes(5) });
    }
    return new Uint8Array(list.memory).slice();
  };
  expect(Buffer.compare(build(), build())).toBe(0);
});

test('values come out of shared memory', () => {
  const list = SkipList.create(new SharedArrayBuffer(1 << 16));
  insert(list, { key: utf8('k'), seq: 1, kind: 1, expiresAtMs: 0, value: new Uint8Array(100) });
  expect(list.copyValue(list.first()).buffer).toBeInstanceOf(ArrayBuffer);
  expect(list.copyKey(list.first()).buffer).toBeInstanceOf(ArrayBuffer);
});
