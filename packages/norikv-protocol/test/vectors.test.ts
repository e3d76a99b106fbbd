import { expect, test } from 'vitest';
import { hashTagOf, KEY_HASH_NAME, loadKeyHasher } from '../src/index.js';
import published from '../vectors.json' with { type: 'json' };

test('the published vectors are what this implementation computes', async () => {
  const hasher = await loadKeyHasher();
  expect(published.name).toBe(KEY_HASH_NAME);
  expect(published.vectors.length).toBeGreaterThan(200);
  for (const { key: hex, hash, shards } of published.vectors) {
    const key = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    expect(hasher.hash(hashTagOf(key)).toString(), hex).toBe(hash);
    for (const [count, shard] of Object.entries(shards)) expect(hasher.shardOf(key, Number(count)), hex).toBe(shard);
  }
});
