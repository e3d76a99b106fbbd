// Rumours that are to be passed on. Those that were sent least often go first, among equals the oldest; each is dropped after its
// number of transmissions.
import type { Rumour } from './messages.js';

/** No rumour is smaller. */
const RUMOUR_BYTES_MIN = 5;

interface Entry {
  readonly key: string;
  readonly rumour: Rumour;
  readonly bytes: number;
  sends: number;
}

export class RumourQueue {
  /** By number of transmissions. */
  readonly #tiers: Set<Entry>[] = [];
  readonly #byKey = new Map<string, Entry>();
  #bytes = 0;

  get size(): number {
    return this.#byKey.size;
  }

  /** Bytes of all that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Puts a rumour in; one with the same key is replaced. */
  put(key: string, rumour: Rumour, bytes: number): void {
    this.drop(key);
    const entry: Entry = { key, rumour, bytes, sends: 0 };
    this.#byKey.set(key, entry);
    this.#bytes += bytes;
    this.#tier(0).add(entry);
  }

  drop(key: string): void {
    const entry = this.#byKey.get(key);
    if (entry === undefined) return;
    this.#byKey.delete(key);
    this.#bytes -= entry.bytes;
    this.#tiers[entry.sends]?.delete(entry);
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** Adds to `out` what fits into `room` bytes and counts a transmission of each; returns the bytes that are left. */
  take(room: number, countMax: number, limit: number, out: Rumour[]): number {
    const taken: Entry[] = [];
    let left = room;
    search: for (const tier of this.#tiers) {
      for (const entry of tier) {
        if (left < RUMOUR_BYTES_MIN || taken.length >= countMax) break search;
        if (entry.bytes > left) continue;
        taken.push(entry);
        left -= entry.bytes;
      }
    }
    for (const entry of taken) {
      out.push(entry.rumour);
      this.#tiers[entry.sends]?.delete(entry);
      entry.sends++;
      if (entry.sends >= limit) {
        this.#byKey.delete(entry.key);
        this.#bytes -= entry.bytes;
      } else {
        this.#tier(entry.sends).add(entry);
      }
    }
    return left;
  }

  #tier(sends: number): Set<Entry> {
    while (this.#tiers.length <= sends) this.#tiers.push(new Set());
    return this.#tiers[sends]!;
  }
}
