// Where shards live. A Raft group carries one shard; group 0 is the cluster's meta group, so group id = shard + 1.
// Which node has which replica is in the state of the meta group.

/** Virtual shards of a cluster, fixed at bootstrap. */
export const SHARD_COUNT = 1024;

/** The group in which the cluster agrees on nodes and placement. */
export const META_GROUP = 0;

/** Replicas of each shard, where there are so many nodes. */
export const REPLICATION_FACTOR = 3;

/** Groups of a store at most: all shards and the meta group. */
export const GROUP_COUNT_MAX = SHARD_COUNT + 1;

/** The group that replicates a shard. */
export const groupOfShard = (shard: number): number => shard + 1;
