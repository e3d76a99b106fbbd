// Which shards a page of a scan still has to hear of. A shard is settled by whoever led it and read it, or by most of the replicas that
// its group began with, if they never had anything of it: a leader would have needed the vote of one of them. What they say is
// true of the moment of the call, since they were asked after it.
import { ShardSet } from '../domain/scan-part.js';
import type { ShardPeers } from '../ports/shard-peers.js';

export class ScanCoverage {
  readonly open: ShardSet;
  readonly #peers: ShardPeers;
  /** By shard: which of its founders never had it, as bits by position. */
  readonly #blank: Uint32Array;
  #openCount = 0;

  constructor(shards: Iterable<number>, shardCount: number, peers: ShardPeers) {
    this.open = ShardSet.ofSize(shardCount);
    this.#peers = peers;
    this.#blank = new Uint32Array(shardCount);
    for (const shard of shards) {
      this.open.add(shard);
      this.#openCount++;
    }
  }

  /** Shards that nobody has spoken for. */
  get openCount(): number {
    return this.#openCount;
  }

  /** Somebody speaks for a shard. False: somebody has before, and the page has room for one. */
  serve(shard: number): boolean {
    if (!this.open.has(shard)) return false;
    this.open.delete(shard);
    this.#openCount--;
    return true;
  }

  /** A node says that it never had anything of a shard. */
  blank(shard: number, nodeId: string): void {
    if (!this.open.has(shard)) return;
    const founders = this.#peers.foundersOf(shard);
    const at = founders.indexOf(nodeId);
    if (at < 0) return;
    this.#blank[shard]! |= 1 << at;
    let votes = 0;
    for (let bits = this.#blank[shard]!; bits !== 0; bits &= bits - 1) votes++;
    if (votes > founders.length / 2) this.serve(shard);
  }
}
