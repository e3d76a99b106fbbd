// What of a store is durable in tables, and what of its log is therefore not needed any more.
//
// When the storage seals a memtable it asks for the marks of all shards that have changed: at that moment they describe
// exactly what is in memory and below. Beside the marks the shards' indexes and times are remembered under the seal's
// number. Once the seal is durable, the log may be cut there, and compaction may drop what expired by those times.
import { ByteWriter } from '../domain/byte-writer.js';
import { GROUP_COUNT_MAX } from '../domain/placement.js';
import type { StorageHooks } from '../ports/storage.js';
import type { Shard } from './shard.js';

interface Sealed {
  readonly group: number;
  readonly index: number;
  readonly timeMs: number;
}

/** Follows the seals of one store. */
export class Durability implements StorageHooks {
  readonly #shards: readonly (Shard | undefined)[];
  readonly #durableTimesMs = new Float64Array(GROUP_COUNT_MAX);
  readonly #durableIndexes = new Float64Array(GROUP_COUNT_MAX);
  /** Seals that are not durable yet, by number, oldest first. */
  readonly #seals = new Map<number, readonly Sealed[]>();

  /** @param shards by group; the store's own array */
  constructor(shards: readonly (Shard | undefined)[]) {
    this.#shards = shards;
  }

  /** Takes note of a shard as its durable mark describes it. */
  restored(shard: Shard): void {
    this.#durableTimesMs[shard.group] = shard.timeMs;
    this.#durableIndexes[shard.group] = shard.index;
  }

  /** Up to where a group's log is contained in durable tables. */
  durableIndex(group: number): number {
    return this.#durableIndexes[group]!;
  }

  shardTimeMs(group: number): number {
    return this.#shards[group]?.timeMs ?? 0;
  }

  durableShardTimesMs(): Float64Array {
    return this.#durableTimesMs.slice();
  }

  collectMarks(seal: number): [group: number, mark: Uint8Array][] {
    const marks: [number, Uint8Array][] = [];
    const sealed: Sealed[] = [];
    const writer = new ByteWriter(256);
    for (const shard of this.#shards) {
      if (shard === undefined || !shard.dirty) continue;
      shard.dirty = false;
      writer.reset();
      shard.encodeMark(writer);
      marks.push([shard.group, writer.view().slice()]);
      sealed.push({ group: shard.group, index: shard.index, timeMs: shard.timeMs });
    }
    this.#seals.set(seal, sealed);
    return marks;
  }

  onDurable(seal: number): void {
    for (const [number, sealed] of this.#seals) {
      if (number > seal) continue;
      this.#seals.delete(number);
      for (const { group, index, timeMs } of sealed) {
        this.#durableTimesMs[group] = timeMs;
        this.#durableIndexes[group] = index;
      }
    }
  }
}
