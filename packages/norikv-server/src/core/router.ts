// From a key to the store that serves its shard. Group to store is a look-up, so that a node may have several stores.
import { hashTagOf, type KeyHasher } from 'norikv-protocol';
import { groupOfShard } from '../domain/placement.js';
import type { Store } from './store.js';

/** Finds the group and the store of a key. */
export class Router {
  readonly #hasher: KeyHasher;
  readonly #storeOfGroup: readonly Store[];
  readonly shardCount: number;

  /** @param storeOfGroup the store of each group, by group id */
  constructor(hasher: KeyHasher, shardCount: number, storeOfGroup: readonly Store[]) {
    this.#hasher = hasher;
    this.#storeOfGroup = storeOfGroup;
    this.shardCount = shardCount;
  }

  /** The group that replicates the key's shard. */
  groupOf(key: Uint8Array): number {
    return groupOfShard(this.#hasher.shardOf(key, this.shardCount));
  }

  storeOf(group: number): Store {
    return this.#storeOfGroup[group]!;
  }

  /** The only group that can hold keys with this prefix, if the prefix contains a whole hash tag. */
  groupOfPrefix(prefix: Uint8Array): number | undefined {
    return hashTagOf(prefix) === prefix ? undefined : this.groupOf(prefix);
  }
}
