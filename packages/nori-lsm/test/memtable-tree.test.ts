import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { compareKeys } from '../src/bytes.js';
import { MemtableSource } from '../src/memtable-source.js';
import { EMPTY_BYTES, MemtableTree, TreePosition } from '../src/memtable-tree.js';
import { hardKeys, hex, utf8, withSeed } from './support.js';

const NEWEST = Number.MAX_SAFE_INTEGER;

interface Entry {
  readonly key: Uint8Array;
  readonly seq: number;
  readonly kind: number;
  readonly expiresAtMs: number;
  readonly value: Uint8Array;
}

/** A tree that doubles its memory when it needs more. */
const growingTree = (): MemtableTree =>
  MemtableTree.create(new SharedArrayBuffer(EMPTY_BYTES), (needBytes) => new SharedArrayBuffer(needBytes * 2));

const insert = (tree: MemtableTree, { key, seq, kind, expiresAtMs, value }: Entry): void =>
  tree.insert(key, seq, kind, expiresAtMs, value);

const put = (key: Uint8Array, seq: number, value = utf8('v')): Entry => ({ key, seq, kind: 1, expiresAtMs: 0, value });

const describeAt = (tree: MemtableTree, entry: number): unknown[] => {
  const start = tree.keyStartOf(entry);
  const key = tree.bytes.slice(start, start + tree.keyLengthOf(entry));
  return [hex(key), tree.seqOf(entry), tree.kindOf(entry), tree.expiresAtOf(entry), hex(tree.copyValue(entry))];
};

const describeEntry = ({ key, seq, kind, expiresAtMs, value }: Entry): unknown[] => [
  hex(key),
  seq,
  kind,
  expiresAtMs,
  hex(value),
];

const order = (a: Entry, b: Entry): number => compareKeys(a.key, b.key) || b.seq - a.seq;

const upwards = (tree: MemtableTree): unknown[] => {
  const found: unknown[] = [];
  const position = new TreePosition();
  for (tree.first(position); position.entry !== 0; tree.next(position)) found.push(describeAt(tree, position.entry));
  return found;
};

const downwards = (tree: MemtableTree): unknown[] => {
  const found: unknown[] = [];
  const position = new TreePosition();
  for (tree.last(position); position.entry !== 0; tree.previous(position)) found.push(describeAt(tree, position.entry));
  return found;
};

/** Checks a tree against the entries it should have: both walks, and seeks of some keys at some sequence numbers. */
const check = (tree: MemtableTree, entries: Entry[], rng: Rng, keys: readonly Uint8Array[], seeks: number): void => {
  entries.sort(order);
  const expected = entries.map(describeEntry);
  expect(tree.count).toBe(entries.length);
  expect(upwards(tree)).toEqual(expected);
  expect(downwards(tree).reverse()).toEqual(expected);
  const position = new TreePosition();
  for (let i = 0; i < seeks; i++) {
    const key = rng.pick(keys);
    const seq = rng.chance(0.3) ? NEWEST : rng.pick(entries).seq + rng.range(-1, 1);
    let from = 0;
    let to = entries.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (order(entries[middle]!, put(key, seq)) < 0) from = middle + 1;
      else to = middle;
    }
    const at = entries[from];
    tree.seek(position, key, 0, key.length, seq);
    expect(position.entry === 0 ? undefined : describeAt(tree, position.entry)).toEqual(at && describeEntry(at));
    const found = tree.find(key, seq);
    const isSame = at !== undefined && compareKeys(at.key, key) === 0;
    expect(found === 0 ? undefined : describeAt(tree, found)).toEqual(isSame ? describeEntry(at) : undefined);
  }
};

/** Ways to make keys that are hard in different places: the words, their skips, versions, lengths. */
const KEYS: Record<string, (rng: Rng) => Uint8Array[]> = {
  'keys that are prefixes of each other': (rng) => hardKeys(rng, 300),
  'few keys with many versions': (rng) => hardKeys(rng, 4),
  'numbers behind a long common beginning': (rng) =>
    Array.from({ length: 2000 }, () => utf8(`user:profile:${String(rng.int(5000)).padStart(12, '0')}`)),
  'several long beginnings, and keys outside of them': (rng) =>
    Array.from({ length: 2000 }, () => {
      const stem = rng.pick([
        'tenant-a/users/',
        'tenant-a/orders/',
        'tenant-b/users/',
        '',
        'tenant-a/usersz',
        '\0\0\0',
      ]);
      return utf8(stem + String(rng.int(300)).padStart(rng.pick([1, 9]), '0'));
    }),
  'random bytes': (rng) => Array.from({ length: 2500 }, () => rng.bytes(rng.pick([3, 8, 16]))),
  'zeros of every length': (rng) =>
    Array.from({ length: 200 }, (_, i) => new Uint8Array(i % 70).fill(rng.chance(0.05) ? 1 : 0)),
};

for (const [name, makeKeys] of Object.entries(KEYS)) {
  test(`keeps entries in order, finds versions, takes entries back: ${name}`, async () => {
    const seed = seedFromEnv();
    await withSeed(seed, () => {
      const rng = new Rng(seed);
      const keys = makeKeys(rng);
      const tree = growingTree();
      let entries: Entry[] = [];
      let seq = 2 ** 32 - 1500;
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 1500; i++) {
          seq += rng.range(1, 3);
          const entry: Entry = {
            key: rng.pick(keys),
            seq,
            kind: rng.pick([1, 2]),
            expiresAtMs: rng.chance(0.2) ? rng.range(1, 2 ** 50) : 0,
            value: rng.bytes(rng.int(40)),
          };
          entries.push(entry);
          insert(tree, entry);
        }
        check(tree, entries, rng, keys, 300);
        const share = rng.pick([0.2, 0.98]);
        const left = entries.filter((entry) => {
          if (!rng.chance(share)) return true;
          tree.remove(entry.key, 0, entry.key.length, entry.seq);
          return false;
        });
        entries = left;
        if (entries.length > 0) check(tree, entries, rng, keys, 100);
      }
    });
  });
}

test('ascending and descending inserts, and runs in the middle, end up in order', () => {
  const rng = new Rng(1);
  const number = (i: number): Uint8Array => utf8(String(i).padStart(16, '0'));
  const directions: Record<string, number[]> = {
    up: Array.from({ length: 20_000 }, (_, i) => i),
    down: Array.from({ length: 5000 }, (_, i) => 5000 - i),
    runs: Array.from({ length: 5000 }, (_, i) => (i % 5) * 10_000 + i),
  };
  const bytes: Record<string, number> = {};
  for (const [name, numbers] of Object.entries(directions)) {
    const tree = growingTree();
    const entries = numbers.map((i, at) => put(number(i), at + 1));
    for (const entry of entries) insert(tree, entry);
    check(
      tree,
      entries,
      rng,
      entries.map(({ key }) => key),
      200,
    );
    bytes[name] = tree.usedBytes / numbers.length;
  }
  // Full leaves: 12 bytes a slot beside the entry's 20 and its data's 20.
  expect(bytes.up).toBeLessThan(54);
});

test('a key is not taken for its neighbours: two groups whose inner nodes each skip a beginning of their own', () => {
  const tree = growingTree();
  const name = (stem: string, i: number): Uint8Array => utf8(stem + String(i).padStart(12, '0'));
  // Ascending inserts fill nodes: the first 65 leaves of 64 are the first inner node, which is wholly of the first group.
  const numbers: [string, number][] = [];
  for (let i = 0; i < 64 * 65; i++) numbers.push(['group-aaaaaaaa/', i]);
  for (let i = 0; i < 64 * 65 * 6; i++) numbers.push(['group-bbbbbbbb/', 1000 + i]);
  for (let i = 0; i < 1000; i++) numbers.push(['group-bbbbbbbb/', (i * 619) % 1000]);
  for (const stem of [
    'group-aaaaaaaa/~',
    'group-aaaaaaab',
    'group-b',
    'group-bbbbbbbb/',
    'group-bbbbbbbc',
    'zzz',
    'a',
    '',
  ]) {
    for (let i = 0; i < 10; i++) numbers.push([stem, i * 7]);
  }
  const entries = numbers.map(([stem, i], at) => put(name(stem, i), at + 1));
  for (const entry of entries) insert(tree, entry);
  check(
    tree,
    entries,
    new Rng(4),
    entries.map(({ key }) => key),
    2000,
  );
});

test('takes keys of 64 KiB that differ in their last byte', () => {
  const tree = growingTree();
  const entries = Array.from({ length: 100 }, (_, i) => {
    const key = new Uint8Array(65_535).fill(7);
    key[65_534] = (i * 37) % 100;
    return put(key, i + 1);
  });
  for (const entry of entries) insert(tree, entry);
  check(
    tree,
    entries,
    new Rng(2),
    entries.map(({ key }) => key),
    50,
  );
});

test('another thread finds the same: all there is lies in the memory', () => {
  const rng = new Rng(3);
  const tree = growingTree();
  const entries = Array.from({ length: 3000 }, (_, i) => put(rng.bytes(9), i + 1));
  for (const entry of entries) insert(tree, entry);
  check(
    MemtableTree.attach(tree.memory),
    entries,
    rng,
    entries.map(({ key }) => key),
    50,
  );
});

test('the same inserts build the same bytes', () => {
  const build = (): Uint8Array => {
    const rng = new Rng(7);
    const tree = growingTree();
    for (let seq = 1; seq < 1000; seq++) insert(tree, put(rng.bytes(9), seq, rng.bytes(5)));
    return new Uint8Array(tree.memory).slice();
  };
  expect(Buffer.compare(build(), build())).toBe(0);
});

test('values come out of shared memory', () => {
  const tree = growingTree();
  insert(tree, put(utf8('k'), 1, new Uint8Array(100)));
  expect(tree.copyValue(tree.find(utf8('k'), 1)).buffer).toBeInstanceOf(ArrayBuffer);
});

test('a source keeps its place while entries come and go around it', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, () => {
    const rng = new Rng(seed);
    const keys = hardKeys(rng, 400);
    const tree = growingTree();
    let entries: Entry[] = [];
    let seq = 0;
    const source = new MemtableSource(tree);
    const stand = (): Entry | undefined =>
      source.valid
        ? put(source.keyBytes.slice(source.keyStart, source.keyStart + source.keyLength), source.seq)
        : undefined;
    for (let i = 0; i < 1500; i++) {
      const at = stand();
      for (let j = rng.int(4); j > 0; j--) {
        const entry = put(rng.pick(keys), ++seq);
        insert(tree, entry);
        entries.push(entry);
      }
      if (rng.chance(0.2)) {
        // Sometimes the very entry it stands on.
        const gone =
          rng.chance(0.3) && at !== undefined ? at : rng.pick(entries.length > 0 ? entries : [put(utf8('x'), 0)]);
        tree.remove(gone.key, 0, gone.key.length, gone.seq);
        entries = entries.filter((entry) => entry.seq !== gone.seq);
      }
      const move = rng.int(8);
      let expected: Entry | undefined;
      if (move === 0 || at === undefined) {
        const key = rng.pick(keys);
        source.seek(key, NEWEST);
        expected = entries.filter((entry) => order(entry, put(key, NEWEST)) >= 0).sort(order)[0];
      } else if (move < 5) {
        source.next();
        expected = entries.filter((entry) => order(entry, at) > 0).sort(order)[0];
      } else {
        source.previous();
        expected = entries
          .filter((entry) => order(entry, at) < 0)
          .sort(order)
          .at(-1);
      }
      expect(source.valid ? [hex(stand()!.key), source.seq] : undefined).toEqual(
        expected && [hex(expected.key), expected.seq],
      );
      if (source.valid) expect(hex(source.value())).toBe(hex(utf8('v')));
    }
  });
});
