// Parts of a page from other nodes: who may speak for a shard, what happens when two do, and when nobody does.
import fc from 'fast-check';
import { systemClock } from 'nori-io';
import { loadKeyHasher } from 'norikv-protocol';
import { beforeAll, expect, test } from 'vitest';
import { Router } from '../../src/core/router.js';
import type { ScanContext } from '../../src/core/scan.js';
import { ScanCoverage } from '../../src/core/scan-coverage.js';
import { ScanGathering } from '../../src/core/scan-gathering.js';
import { mergeRuns } from '../../src/core/scan-merge.js';
import { ScanSlicer } from '../../src/core/scan-slicer.js';
import type { Store } from '../../src/core/store.js';
import {
  decodePartAnswer,
  decodePartRequest,
  encodePartAnswer,
  encodePartRequest,
  type PartAnswer,
  type PartRequest,
  ShardSet,
} from '../../src/domain/scan-part.js';
import { scanQuery, text, utf8 } from './fixture.js';

const SHARDS = 16;
let router: Router;

/** This node leads nothing, and has had everything. */
const idle = {
  mayLead: () => false,
  leads: () => false,
  isBlank: () => false,
  isActive: () => true,
} as unknown as Store;

beforeAll(async () => {
  router = new Router(await loadKeyHasher(), SHARDS, new Array<Store>(SHARDS + 1).fill(idle));
});

const shardOf = (key: string): number => router.groupOf(utf8(key)) - 1;
const shards = (...numbers: readonly number[]): ShardSet => {
  const set = ShardSet.ofSize(SHARDS);
  for (const number of numbers) set.add(number);
  return set;
};
const all = Array.from({ length: SHARDS }, (_, shard) => shard);

const answer = (keys: readonly string[], change: Partial<PartAnswer> = {}): PartAnswer => ({
  served: shards(),
  blank: shards(),
  resume: undefined,
  entries: [...keys]
    .sort()
    .map((key) => ({ key: utf8(key), value: utf8(`value of ${key}`), version: { term: 3, index: 7 } })),
  ...change,
});

type Script = (request: PartRequest, count: number) => PartAnswer | Error | undefined;

/** Gathers from nodes that answer as scripted (undefined: not at all); resolves with what the page is. */
const gather = async (scripts: Readonly<Record<string, Script>>, deadlineInMs = 10_000) => {
  const counts = new Map<string, number>();
  const context: ScanContext = {
    router,
    clock: systemClock,
    peers: {
      nodeId: 'n1',
      reachable: () => Object.keys(scripts),
      hostsOf: () => ['n1', 'n2', 'n3'],
      foundersOf: () => ['n1', 'n2', 'n3'],
      scanPart: async (nodeId, request) => {
        const count = (counts.get(nodeId) ?? 0) + 1;
        counts.set(nodeId, count);
        const part = scripts[nodeId]!(decodePartRequest(request), count);
        if (part instanceof Error) throw part;
        return part === undefined ? new Promise<never>(() => {}) : encodePartAnswer(part);
      },
    },
  };
  const query = scanQuery({ deadlineMs: systemClock.monotonic() + deadlineInMs });
  const coverage = new ScanCoverage(all, SHARDS, context.peers);
  const range = { lower: undefined, lowerExclusive: false, upper: undefined, upperExclusive: false, reverse: false };
  const question = { ...range, consistency: 'lease', limit: 100, bytesMax: 1_000_000 } as const;
  const gathering = new ScanGathering(context, query, question, coverage);
  try {
    gathering.ask();
    const runs = await gathering.finish();
    const merged = await mergeRuns(runs, false, { entries: 100, bytes: 1e6 }, new ScanSlicer(query, systemClock));
    return {
      keys: merged.entries.map(({ key }) => text(key)),
      resume: merged.resume && text(merged.resume),
      counts,
    };
  } finally {
    gathering.close();
  }
};

test('requests and answers survive the way', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 20 });
  const set = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bits) => new ShardSet(bits));
  const request: fc.Arbitrary<PartRequest> = fc.record({
    shards: set,
    consistency: fc.constantFrom('lease', 'linearizable', 'stale_ok'),
    reverse: fc.boolean(),
    limit: fc.integer({ min: 1, max: 10_000 }),
    bytesMax: fc.nat(),
    timeoutMs: fc.nat(),
    lower: bytes,
    lowerExclusive: fc.boolean(),
    upper: fc.constant(undefined),
    upperExclusive: fc.constant(false),
  });
  const version = fc.record({ term: fc.maxSafeNat(), index: fc.maxSafeNat() });
  const entries = fc.array(fc.record({ key: bytes, value: fc.uint8Array({ maxLength: 50 }), version }));
  const part = fc.record({ served: set, blank: set, resume: fc.option(bytes, { nil: undefined }), entries });
  fc.assert(
    fc.property(request, part, (asked, answered) => {
      expect(decodePartRequest(encodePartRequest(asked))).toEqual(asked);
      expect(decodePartAnswer(encodePartAnswer(answered))).toEqual(answered);
      const encoded = encodePartAnswer(answered);
      for (let cut = 0; cut < encoded.length; cut++) {
        expect(() => decodePartAnswer(encoded.subarray(0, cut))).toThrow(RangeError);
      }
    }),
    { numRuns: 50 },
  );
});

test('a set of shards has what was added to it, in order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 1023 })), (numbers) => {
      const set = ShardSet.ofSize(1024);
      for (const number of numbers) set.add(number);
      expect([...set]).toEqual([...numbers].sort((a, b) => a - b));
    }),
  );
});

test('parts are merged in order, and the page ends where one of them does', async () => {
  const even = shards(...all.filter((shard) => shard % 2 === 0));
  const odd = shards(...all.filter((shard) => shard % 2 === 1));
  const keys = Array.from({ length: 20 }, (_, i) => `k${String(i).padStart(2, '0')}`);
  const [evens, odds] = [0, 1].map((rest) => keys.filter((key) => shardOf(key) % 2 === rest));
  const whole = await gather({
    n2: () => answer(evens!, { served: even }),
    n3: () => answer(odds!, { served: odd }),
  });
  expect(whole).toMatchObject({ keys, resume: undefined });
  const some = odds!.slice(0, 3);
  const cut = await gather({
    n2: () => answer(evens!, { served: even }),
    n3: () => answer(some, { served: odd, resume: utf8(some[2]!) }),
  });
  expect(cut).toMatchObject({ keys: keys.filter((key) => key <= some[2]!), resume: some[2] });
});

test('a shard that nobody led is empty when most of its founders never had it, not when one of them did not', async () => {
  const rest = all.slice(1);
  const found = await gather({
    n2: () => answer([], { served: shards(...rest), blank: shards(0) }),
    n3: (_request, count) => answer([], { blank: count < 3 ? shards() : shards(0) }),
  });
  expect(found.keys).toEqual([]);
  expect(found.counts.get('n3')).toBe(3);
  await expect(
    gather(
      {
        n2: () => answer([], { served: shards(...rest), blank: shards(0) }),
        n4: () => answer([], { blank: shards(0) }),
      },
      200,
    ),
  ).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});

test('of a shard that two nodes have read, the first counts', async () => {
  const keys = Array.from({ length: 30 }, (_, i) => `k${String(i).padStart(2, '0')}`);
  const half = all.slice(0, 8);
  const [lower, upper] = [true, false].map((isLower) => keys.filter((key) => shardOf(key) < 8 === isLower));
  const [, ...others] = lower!;
  const found = await gather({
    n2: () => answer(lower!, { served: shards(...half) }),
    // It led all of them a moment later, when one key was gone and another had come.
    n3: () => answer([...others, ...upper!], { served: shards(...all) }),
  });
  expect(found.keys).toEqual(keys);
});

test('a node that does not answer holds nobody up whose shards others lead by now', async () => {
  const half = shards(...all.slice(0, 8));
  const found = await gather({
    n2: () => undefined,
    n3: (_request, count) => answer([], { served: count === 1 ? half : shards(...all) }),
  });
  expect(found.keys).toEqual([]);
  expect(found.counts.get('n2')).toBe(1);
});

test('what is asked for again is only what is still open', async () => {
  const asked: number[][] = [];
  await gather({
    n2: (request, count) => {
      asked.push([...request.shards]);
      return count === 1 ? answer([], { served: shards(...all.slice(0, 14)) }) : answer([], { served: request.shards });
    },
  });
  expect(asked).toEqual([all, [14, 15]]);
});

test('a failure says which shards, and why', async () => {
  await expect(gather({ n2: () => new Error('n2 is broken') }, 100)).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    message: expect.stringMatching(/16 of the shards, shard 0 among them.*n2 is broken/),
  });
});
