// Keys and values that every store gets. main.go of the client of etcd makes the same.
import { randomFillSync } from 'node:crypto';
import { loadKeyHasher, SHARD_COUNT_DEFAULT } from 'norikv-protocol';

/** Key number `index`. */
export const keyAt = (index) => `bench:${String(index).padStart(12, '0')}`;

/** `count` values that cannot be compressed. */
export const valuesOf = (count, bytes) => Array.from({ length: count }, () => randomFillSync(Buffer.alloc(bytes)));

/** Numbers of keys, one in each of NoriKV's shards. */
export const keysOfAllShards = async () => {
  const hasher = await loadKeyHasher();
  const found = new Map();
  for (let index = 0; found.size < SHARD_COUNT_DEFAULT; index++) {
    const shard = hasher.shardOf(new TextEncoder().encode(keyAt(index)), SHARD_COUNT_DEFAULT);
    if (!found.has(shard)) found.set(shard, index);
  }
  return [...found.values()];
};
