import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fixture, openFixture, put, remove, scanAll, scanQuery, utf8 } from './fixture.js';

let fixture: Fixture;
const model = new Map<string, string>();

beforeAll(async () => {
  fixture = await openFixture();
  const { node } = fixture;
  for (let i = 0; i < 600; i++) {
    const key = `${'abc'[i % 3]}${(i * 37) % 211}`;
    const value = `value ${i}`.padEnd(i % 50 === 0 ? 5000 : 10, '.');
    model.set(key, value);
    await put(node, key, value);
    if (i % 11 === 0) {
      model.delete(key);
      await remove(node, key);
    }
  }
  for (let i = 0; i < 20; i++) {
    model.set(`{tag}${i}`, `${i}`);
    await put(node, `{tag}${i}`, `${i}`);
  }
});
afterAll(() => fixture.store.close({ flush: false }));

const expected = (keep: (key: string) => boolean, reverse = false): [string, string][] => {
  const rows = [...model].filter(([key]) => keep(key)).sort(([a], [b]) => (a < b ? -1 : 1));
  return reverse ? rows.reverse() : rows;
};

describe('a scan', () => {
  test('gives every key of every shard in order, page after page', async () => {
    for (const limit of [13, 100, 10_000]) {
      expect(await scanAll(fixture.node, { limit })).toEqual(expected(() => true));
      expect(await scanAll(fixture.node, { limit, reverse: true })).toEqual(expected(() => true, true));
    }
  });

  test('equals the model for any prefix and bounds', async () => {
    const bound = fc.option(
      fc.oneof(
        fc.constantFrom(...model.keys()),
        fc.string({ unit: fc.constantFrom('a', 'b', '1', '9'), minLength: 1, maxLength: 4 }),
      ),
      { nil: undefined },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          prefix: fc.constantFrom('', 'a', 'b1', 'c20', '{', '{tag}', '{tag}1', 'zzz'),
          start: bound,
          end: bound,
          startExclusive: fc.boolean(),
          endInclusive: fc.boolean(),
          reverse: fc.boolean(),
          limit: fc.constantFrom(0, 3, 50),
        }),
        async ({ prefix, start, end, startExclusive, endInclusive, reverse, limit }) => {
          const found = await scanAll(fixture.node, {
            prefix: utf8(prefix),
            start: start === undefined ? undefined : utf8(start),
            end: end === undefined ? undefined : utf8(end),
            startExclusive,
            endInclusive,
            reverse,
            limit,
          });
          const inRange = (key: string) =>
            key.startsWith(prefix) &&
            (start === undefined || (startExclusive ? key > start : key >= start)) &&
            (end === undefined || (endInclusive ? key <= end : key < end));
          expect(found).toEqual(expected(inRange, reverse));
        },
      ),
      { numRuns: 150 },
    );
  });

  test('ends a page at a megabyte', async () => {
    const { node } = fixture;
    for (let i = 0; i < 5; i++) await put(node, `{big}${i}`, 'x'.repeat(400_000));
    const page = await node.scan(scanQuery({ prefix: utf8('{big}') }));
    expect(page.entries.map(({ value }) => value.length)).toEqual([400_000, 400_000]);
    expect((await scanAll(node, { prefix: utf8('{big}') })).length).toBe(5);
    for (let i = 0; i < 5; i++) await remove(node, `{big}${i}`);
  });

  test('refuses limits and tokens that are none', async () => {
    const { node } = fixture;
    await expect(node.scan(scanQuery({ limit: 10_001 }))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(node.scan(scanQuery({ token: utf8('zzz') }))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
