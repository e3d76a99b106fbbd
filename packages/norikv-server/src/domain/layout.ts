// Which nodes get the replicas of which shard when a cluster is made. Nodes stand on a ring in the order of a hash of their names;
// shard s is led by the node at position s, and the other replicas follow at offsets that change with each turn of the ring, so that
// what a dead node led is taken over by all others, not by its neighbour alone. Leaders and replicas are even to within one.

/** FNV-1a, 32 bits: where a node stands on the ring. */
const ringHash = (name: string): number => {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
};

const byRing = (a: string, b: string): number => ringHash(a) - ringHash(b) || (a < b ? -1 : 1);

/**
 * The nodes of each shard's replicas, the one that shall lead first.
 * @param nodeIds distinct, at least one
 * @param replicas of each shard; at most as many as there are nodes
 */
export const initialLayout = (nodeIds: readonly string[], shards: number, replicas: number): string[][] => {
  const ring = [...nodeIds].sort(byRing);
  const size = ring.length;
  const layout: string[][] = [];
  const turns = Math.floor(shards / size);
  // Replicas of the last turn, which may be cut short: who leads there is known before.
  const load = ring.map((_, position) => (position < shards % size ? 1 : 0));
  for (let shard = 0; shard < shards; shard++) {
    const turn = Math.floor(shard / size);
    const positions = [shard % size];
    for (let i = 0; positions.length < replicas; i++) {
      // In the last turn the least loaded go first.
      const next =
        turn < turns ? (shard + 1 + ((turn + i) % (size - 1))) % size : leastLoaded(load, positions, shard % size);
      positions.push(next);
      if (turn >= turns) load[next]!++;
    }
    layout.push(positions.map((position) => ring[position]!));
  }
  return layout;
};

/** The position with the fewest replicas that is not taken, the next one on the ring first. */
const leastLoaded = (load: readonly number[], taken: readonly number[], from: number): number => {
  let best = -1;
  for (let step = 1; step < load.length; step++) {
    const position = (from + step) % load.length;
    if (taken.includes(position)) continue;
    if (best < 0 || load[position]! < load[best]!) best = position;
  }
  return best;
};
