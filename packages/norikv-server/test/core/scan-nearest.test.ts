// Short pages over many shards: of most groups nothing is read but that they have no nearer key. What is given must be what reading all
// of them gives, whatever expires on the way.
import fc from 'fast-check';
import { Rng, seedFromEnv } from 'nori-testkit';
import { loadKeyHasher } from 'norikv-protocol';
import { afterEach, expect, test } from 'vitest';
import { Router } from '../../src/core/router.js';
import { mergeRuns } from '../../src/core/scan-merge.js';
import { NearestKeys } from '../../src/core/scan-nearest.js';
import { readPart } from '../../src/core/scan-part.js';
import { compareKeys } from '../../src/core/scan-range.js';
import { ScanSlicer } from '../../src/core/scan-slicer.js';
import { GROUP_COUNT_MAX, SHARD_COUNT } from '../../src/domain/placement.js';
import { ShardSet } from '../../src/domain/scan-part.js';
import type { ReadConsistency } from '../../src/ports/kv.js';
import type { StorageCursor } from '../../src/ports/storage.js';
import { type Fixture, HeldClock, openFixture, put, scanQuery, text, utf8 } from './fixture.js';

let fixture: Fixture | undefined;
afterEach(async () => {
  await fixture?.store.close({ flush: false });
  fixture = undefined;
});

test('the nearest keys are the first of all, in either direction, without those that have expired', () => {
  const key = fc.uint8Array({ minLength: 1, maxLength: 3 });
  const item = fc.record({ key, isExpired: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(fc.array(item, { maxLength: 4 })),
      fc.integer({ min: 1, max: 6 }),
      fc.boolean(),
      (runs, n, reverse) => {
        const order = (a: Uint8Array, b: Uint8Array) => compareKeys(a, b) * (reverse ? -1 : 1);
        const nearest = new NearestKeys(n, reverse);
        for (const run of runs) {
          const items = run.map((each) => ({
            key: each.key,
            stored: undefined,
            ...(each.isExpired && { isExpired: true as const }),
          }));
          nearest.add(items.sort((a, b) => order(a.key, b.key)));
        }
        const live = runs.flat().filter(({ isExpired }) => !isExpired);
        expect(nearest.last).toEqual(live.map((each) => each.key).sort(order)[n - 1]);
      },
    ),
  );
});

test('a merge says nothing of keys behind the one that its runs are complete to', async () => {
  const value = { value: utf8('v'), term: 1, index: 1, expiresAtMs: 0 };
  const run = (...keys: string[]) => ({
    items: keys.map((key) => ({ key: utf8(key), stored: key === 'c' ? undefined : value })),
    at: 0,
    exhausted: true,
    current: () => undefined,
    refill: () => true,
  });
  const slicer = new ScanSlicer({ deadlineMs: Number.POSITIVE_INFINITY, signal: undefined }, new HeldClock());
  const merge = async (reverse: boolean, keys: string[], completeTo?: string) => {
    const limits = { entries: 3, bytes: 1000 };
    const runs = keys.map((each) => run(...each));
    const { entries, resume } = await mergeRuns(
      runs,
      reverse,
      limits,
      slicer,
      completeTo === undefined ? undefined : utf8(completeTo),
    );
    return [entries.map(({ key }) => text(key)).join(''), resume === undefined ? undefined : text(resume)];
  };
  // There was a `c`, which is there no more: another group may have a key between `e` and `f`.
  expect(await merge(false, ['ae', 'cf'], 'e')).toEqual(['ae', 'e']);
  expect(await merge(true, ['fc', 'ea'], 'e')).toEqual(['fe', 'e']);
  expect(await merge(false, ['ae', 'c'], 'e')).toEqual(['ae', 'e']);
  expect(await merge(false, ['ae', 'cf'])).toEqual(['aef', undefined]);
});

/** Wall time moves on by itself after so many looks at it. */
class JumpingClock extends HeldClock {
  looks = Number.POSITIVE_INFINITY;

  override now(): number {
    if (this.looks-- === 0) this.jumpWallTime(1000);
    return super.now();
  }
}

test('pages of any length give every key that lives, while others expire under the scan', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const clock = new JumpingClock();
  fixture = await openFixture({ clock });
  const { node, store } = fixture;
  const keys = Array.from({ length: 700 }, (_, i) => `k${String((i * 7919) % 100_000).padStart(5, '0')}`).sort();
  const expiresMs = new Map<string, number>();
  const putAll = async () => {
    clock.looks = Number.POSITIVE_INFINITY;
    const nowMs = clock.now();
    for (const key of rng.shuffle(keys)) {
      // Most expire, and many of them at once.
      const ttlMs = rng.chance(0.2) ? 0 : 1000 * (1 + rng.int(4));
      expiresMs.set(key, ttlMs === 0 ? Number.POSITIVE_INFINITY : nowMs + ttlMs);
      await put(node, key, key, { ttlMs });
    }
  };
  const cut: string[] = [];
  const cursor = store.storage.cursor.bind(store.storage);
  store.storage.cursor = (reverse: boolean): StorageCursor => {
    const opened = cursor(reverse);
    const seek = opened.seek.bind(opened);
    let isCut = false;
    opened.seek = (group, key, before) => {
      if (before !== undefined) {
        cut.push(text(before));
        isCut = true;
      } else if (isCut && rng.chance(0.1)) {
        // The value of a key whose turn has come: it, and others that the page was to be filled with, may have expired now.
        clock.jumpWallTime(1000);
      }
      seek(group, key, before);
    };
    return opened;
  };
  const consistencies: readonly ReadConsistency[] = ['lease', 'stale_ok'];
  for (let round = 0; round < 80; round++) {
    if (round % 10 === 0) await putAll();
    const reverse = rng.chance(0.5);
    const limit = rng.pick([1, 1, 2, 5, 40]);
    const start = rng.int(keys.length);
    const range = keys.slice(start, start + 1 + rng.int(60));
    const consistency = rng.pick(consistencies);
    const where = `seed ${seed}, round ${round}, from ${range[0]} limit ${limit} ${consistency}${reverse ? ' down' : ''}`;
    clock.looks = Number.POSITIVE_INFINITY;
    const beforeMs = clock.now();
    clock.looks = rng.int(60);
    const found: string[] = [];
    let token: Uint8Array = new Uint8Array(0);
    do {
      const query = {
        start: utf8(range[0]!),
        end: utf8(range.at(-1)!),
        endInclusive: true,
        reverse,
        limit,
        consistency,
        token,
      };
      const page = await node.scan(scanQuery(query));
      expect(page.entries.length, where).toBeLessThanOrEqual(limit);
      for (const { key } of page.entries) found.push(text(key));
      token = page.nextToken;
    } while (token.length > 0);
    clock.looks = Number.POSITIVE_INFINITY;
    const afterMs = clock.now();
    if (reverse) range.reverse();
    const livedOn = range.filter((key) => expiresMs.get(key)! > afterMs);
    const mayShow = range.filter((key) => expiresMs.get(key)! > beforeMs);
    expect(
      found.filter((key) => livedOn.includes(key)),
      where,
    ).toEqual(livedOn);
    expect(
      mayShow.filter((key) => found.includes(key)),
      where,
    ).toEqual(found);
  }
  // It was not all for nothing.
  expect(cut.length).toBeGreaterThan(1000);
}, 120_000);

test('a part is the first of all keys, and says whether there are more', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const clock = new HeldClock();
  fixture = await openFixture({ clock });
  const { node, store } = fixture;
  const keys = Array.from({ length: 300 }, (_, i) => `k${String(i * 3).padStart(4, '0')}`);
  for (const key of rng.shuffle([...keys])) await put(node, key, `value of ${key}`);
  await store.flush();
  const router = new Router(await loadKeyHasher(), SHARD_COUNT, new Array(GROUP_COUNT_MAX).fill(store));
  const peers = {
    nodeId: 'n1',
    reachable: () => [],
    hostsOf: () => ['n1'],
    foundersOf: () => ['n1'],
    scanPart: () => Promise.reject(new Error('there are no other nodes')),
  };
  const shards = ShardSet.ofSize(SHARD_COUNT);
  for (let shard = 0; shard < SHARD_COUNT; shard++) shards.add(shard);
  for (let round = 0; round < 100; round++) {
    const reverse = rng.chance(0.5);
    const limit = rng.pick([1, 2, 3, 20, 150, 299, 300, 400]);
    const [lower, upper] = [rng.int(900), rng.int(900)]
      .sort((a, b) => a - b)
      .map((n) => `k${String(n).padStart(4, '0')}`) as [string, string];
    const bounds = { lowerExclusive: rng.chance(0.5), upperExclusive: rng.chance(0.5) };
    const part = await readPart(
      {
        shards,
        consistency: 'lease',
        reverse,
        limit,
        bytesMax: 1 << 20,
        timeoutMs: 10_000,
        lower: utf8(lower),
        upper: utf8(upper),
        ...bounds,
      },
      { router, peers, clock },
    );
    const all = keys.filter((key) => {
      const isAfter = bounds.lowerExclusive ? key > lower : key >= lower;
      return isAfter && (bounds.upperExclusive ? key < upper : key <= upper);
    });
    if (reverse) all.reverse();
    const where = `seed ${seed}, round ${round}`;
    expect(
      part.entries.map(({ key, value }) => `${text(key)}: ${text(value)}`),
      where,
    ).toEqual(all.slice(0, limit).map((key) => `${key}: value of ${key}`));
    expect(part.resume && text(part.resume), where).toBe(all.length > limit ? all[limit - 1] : undefined);
  }
});
