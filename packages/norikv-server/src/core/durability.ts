// What of a store is durable in tables, and what of its log is therefore not needed any more.
//
// When the storage seals a memtable it asks for the marks of all shards that have changed: at that moment they describe
// exactly what is in memory and below. Beside the marks the log's position and the shards' times are remembered under
// the seal's number. Once the seal is durable, the log is cut there, and compaction may drop what expired by those times.
import { ByteWriter } from '../domain/byte-writer.js';
import { GROUP_COUNT_MAX } from '../domain/placement.js';
import type { ReplicatedLog } from '../ports/replicated-log.js';
import type { StorageHooks } from '../ports/storage.js';
import type { Shard } from './shard.js';

interface Seal {
  readonly logPosition: number;
  readonly timesMs: ReadonlyMap<number, number>;
}

/** Follows the seals of one store. */
export class Durability implements StorageHooks {
  readonly #shards: readonly (Shard | undefined)[];
  readonly #log: ReplicatedLog;
  readonly #durableTimesMs = new Float64Array(GROUP_COUNT_MAX);
  /** Seals that are not durable yet, by number, oldest first. */
  readonly #seals = new Map<number, Seal>();

  /** @param shards by group; the store's own array */
  constructor(shards: readonly (Shard | undefined)[], log: ReplicatedLog) {
    this.#shards = shards;
    this.#log = log;
  }

  /** Takes note of a shard as its durable mark describes it. */
  restored(shard: Shard): void {
    this.#durableTimesMs[shard.group] = shard.timeMs;
  }

  shardTimeMs(group: number): number {
    return this.#shards[group]?.timeMs ?? 0;
  }

  durableShardTimesMs(): Float64Array {
    return this.#durableTimesMs.slice();
  }

  collectMarks(seal: number): [group: number, mark: Uint8Array][] {
    const marks: [number, Uint8Array][] = [];
    const timesMs = new Map<number, number>();
    const writer = new ByteWriter(256);
    for (const shard of this.#shards) {
      if (shard === undefined || !shard.dirty) continue;
      shard.dirty = false;
      writer.reset();
      shard.encodeMark(writer);
      marks.push([shard.group, writer.view().slice()]);
      timesMs.set(shard.group, shard.timeMs);
    }
    this.#seals.set(seal, { logPosition: this.#log.appliedPosition(), timesMs });
    return marks;
  }

  onDurable(seal: number): void {
    let logPosition = 0;
    for (const [number, { logPosition: position, timesMs }] of this.#seals) {
      if (number > seal) continue;
      this.#seals.delete(number);
      logPosition = Math.max(logPosition, position);
      for (const [group, timeMs] of timesMs) this.#durableTimesMs[group] = timeMs;
    }
    // A log that cannot be cut only grows; the next seal tries again.
    if (logPosition > 0) this.#log.truncate(logPosition).catch(() => {});
  }
}
