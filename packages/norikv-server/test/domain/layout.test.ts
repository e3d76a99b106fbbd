// Replicas and leaders are even to within one, whatever the number of nodes.
import { expect, test } from 'vitest';
import { initialLayout } from '../../src/domain/layout.js';

const SHARDS = 1024;
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `node-${i}`);
const spread = (counts: Map<string, number>, nodes: readonly string[]): number => {
  const all = nodes.map((node) => counts.get(node) ?? 0);
  return Math.max(...all) - Math.min(...all);
};

test.each(Array.from({ length: 24 }, (_, i) => i + 1))('%i nodes carry as much as each other', (count) => {
  const nodes = names(count);
  const replicas = Math.min(3, count);
  const layout = initialLayout(nodes, SHARDS, replicas);
  expect(layout).toHaveLength(SHARDS);
  const leads = new Map<string, number>();
  const carries = new Map<string, number>();
  for (const shard of layout) {
    expect(new Set(shard).size).toBe(replicas);
    leads.set(shard[0]!, (leads.get(shard[0]!) ?? 0) + 1);
    for (const node of shard) carries.set(node, (carries.get(node) ?? 0) + 1);
  }
  expect(spread(leads, nodes)).toBeLessThanOrEqual(1);
  expect(spread(carries, nodes)).toBeLessThanOrEqual(1);
});

test('what a dead node led is taken over by all others alike', () => {
  const nodes = names(5);
  const next = new Map<string, number>();
  for (const [first, second] of initialLayout(nodes, SHARDS, 3)) {
    if (first === 'node-2') next.set(second!, (next.get(second!) ?? 0) + 1);
  }
  expect(next.size).toBe(4);
  expect(spread(next, [...next.keys()])).toBeLessThanOrEqual(2);
});

test('the order in which nodes are named does not matter', () => {
  expect(initialLayout(['a', 'b', 'c'], 64, 2)).toEqual(initialLayout(['c', 'a', 'b'], 64, 2));
});
