// What a scan reads on this node: which groups may be read here now, and their keys. Each group is read in short runs by one
// cursor that is placed anew for each, so that a page costs a seek per group and no more than a run of keys in memory. Of a short
// page most groups have no key: once it could be filled, nothing is read of a group but whether it has a nearer one (scan-nearest). Small
// values are kept from the run if most of them are going to be needed; others are read when their turn comes. All of it is the state at one moment.
import type { Clock } from 'nori-io';
import { asNodeError, type NodeError } from '../domain/node-error.js';
import type { ReadConsistency } from '../ports/kv.js';
import type { StorageCursor, StoredValue } from '../ports/storage.js';
import type { RunItem, ScanRun } from './scan-heap.js';
import { NearestKeys } from './scan-nearest.js';
import { compareKeys, isBeyond, type ScanRange } from './scan-range.js';
import type { ScanSlicer } from './scan-slicer.js';
import type { Store } from './store.js';

/** Values up to this are kept while their key waits for its turn; a run ends at a larger one. */
const KEPT_VALUE_BYTES_MAX = 2048;
/** Bytes of a run. */
const RUN_BYTES_MAX = 64 * 1024;

/** A group, and the store that has it. */
export interface GroupSource {
  readonly store: Store;
  readonly group: number;
}

/**
 * Those of the groups that this node leads, once what is applied of them holds all that was acknowledged before the call. The others
 * are left out; so are those that cannot tell within `patienceMs`.
 */
export const readableGroups = async (
  sources: readonly GroupSource[],
  consistency: ReadConsistency,
  patienceMs: number,
  clock: Clock,
): Promise<{ readonly sources: readonly GroupSource[]; readonly failure: NodeError | undefined }> => {
  if (consistency === 'stale_ok') return { sources, failure: undefined };
  const readable: GroupSource[] = [];
  const waits: Promise<void>[] = [];
  let failure: NodeError | undefined;
  for (const source of sources) {
    const { store, group } = source;
    if (consistency === 'lease' && store.hasLease(group)) readable.push(source);
    else {
      waits.push(
        store.readBarrier(group).then(
          () => void readable.push(source),
          (error: unknown) => {
            failure = asNodeError(error);
          },
        ),
      );
    }
  }
  if (waits.length === 0) return { sources: readable, failure };
  await new Promise<void>((resolve) => {
    const timer = clock.setTimer(Math.max(0, Math.min(patienceMs, TIMER_MS_MAX)), resolve, { unref: true });
    void Promise.all(waits).then(() => {
      timer.cancel();
      resolve();
    });
  });
  // A replica that was taken away meanwhile has nothing to read any more.
  return { sources: readable.filter(({ store, group }) => store.leads(group)), failure };
};

const TIMER_MS_MAX = 0x7fff_ffff;

/** How groups are to be read. */
export interface GroupReading {
  readonly range: ScanRange;
  readonly consistency: ReadConsistency;
  /** On the node's monotonic clock; Infinity: none. */
  readonly deadlineMs: number;
  /** Keys that are wanted of all groups together. */
  readonly limit: number;
  readonly clock: Clock;
  readonly slicer: ScanSlicer;
}

/** Reads the groups of one page. */
export class GroupReader {
  readonly reading: GroupReading;
  readonly #cursors = new Map<Store, StorageCursor>();
  readonly #sources: readonly GroupSource[];
  /** Undefined: there are too few groups to fill a page with the first key of each. */
  readonly #nearest: NearestKeys | undefined;
  /** Keys of a run. */
  readonly runKeys: number;
  readonly keepsValues: boolean;

  /** The state that is read is that of now. */
  constructor(sources: readonly GroupSource[], reading: GroupReading) {
    this.reading = reading;
    // Nothing is to be found where nothing was ever applied.
    this.#sources = sources.filter(({ store, group }) => store.isActive(group));
    const perGroup = reading.limit / Math.max(1, this.#sources.length);
    this.runKeys = Math.ceil(perGroup * 1.25) + (perGroup < 1 ? 0 : 1);
    this.keepsValues = perGroup > 0.5;
    // One more than the page has room for: whether there is a further page is to be known.
    const wanted = reading.limit + 1;
    if (wanted < this.#sources.length) this.#nearest = new NearestKeys(wanted, reading.range.reverse);
    for (const { store } of this.#sources) {
      if (!this.#cursors.has(store)) this.#cursors.set(store, store.storage.cursor(reading.range.reverse));
    }
  }

  /** The first run of each group that has any key in the range, up to {@link GroupReader.completeTo}. */
  async runs(): Promise<ScanRun[]> {
    const { slicer } = this.reading;
    const runs: ScanRun[] = [];
    for (const { store, group } of this.#sources) {
      const run = GroupRun.open(this, store, group, this.#cursors.get(store)!);
      if (run !== undefined) {
        runs.push(run);
        this.#nearest?.add(run.items);
      }
      const pause = slicer.pause();
      if (pause !== undefined) await pause;
    }
    return runs;
  }

  /** The runs hold every key up to this one, and not all behind it; undefined: they hold all. */
  get completeTo(): Uint8Array | undefined {
    return this.#nearest?.last;
  }

  close(): void {
    for (const cursor of this.#cursors.values()) cursor.close();
  }
}

class GroupRun implements ScanRun {
  items: RunItem[] = [];
  at = 0;
  exhausted = false;
  readonly #reader: GroupReader;
  readonly #store: Store;
  readonly #group: number;
  readonly #cursor: StorageCursor;

  private constructor(reader: GroupReader, store: Store, group: number, cursor: StorageCursor) {
    this.#reader = reader;
    this.#store = store;
    this.#group = group;
    this.#cursor = cursor;
  }

  /** The run of a group; undefined: there is no key in the range that may be needed. */
  static open(reader: GroupReader, store: Store, group: number, cursor: StorageCursor): GroupRun | undefined {
    const { lower, upper, lowerExclusive, upperExclusive, reverse } = reader.reading.range;
    const from = reverse ? upper : lower;
    cursor.seek(group, from, reader.completeTo);
    if (!cursor.valid) return undefined;
    const run = new GroupRun(reader, store, group, cursor);
    run.#fill(reverse ? upperExclusive : lowerExclusive, from);
    return run.items.length > 0 ? run : undefined;
  }

  refill(): boolean {
    const after = this.items.at(-1)?.key;
    this.#cursor.seek(this.#group, after, this.#reader.completeTo);
    this.#fill(true, after);
    return true;
  }

  /**
   * Values that were not kept are read from the state that the run was read from. Those that have expired are looked up anew, since they may have
   * been renewed before their shard's time went past that.
   */
  current({ key }: RunItem): StoredValue | undefined | Promise<StoredValue | undefined> {
    const { consistency, deadlineMs } = this.#reader.reading;
    const cursor = this.#cursor;
    cursor.seek(this.#group, key);
    if (cursor.valid && compareKeys(cursor.key(), key) === 0) {
      if (!this.#isExpired(cursor.expiresAtMs)) return cursor.entry();
    }
    if (consistency === 'stale_ok') return undefined;
    return this.#store.readLive(this.#group, key, deadlineMs);
  }

  #isExpired(expiresAtMs: number): boolean {
    if (expiresAtMs === 0) return false;
    return expiresAtMs <= Math.max(this.#reader.reading.clock.now(), this.#store.shardTimeMs(this.#group));
  }

  /** Reads the next keys, from where the cursor was placed; `from` itself only if it is not `exclusive`. */
  #fill(exclusive: boolean, from: Uint8Array | undefined): void {
    const { runKeys, keepsValues } = this.#reader;
    const { range, slicer, consistency, deadlineMs } = this.#reader.reading;
    const cursor = this.#cursor;
    const items: RunItem[] = [];
    let bytes = 0;
    let isLast = false;
    let expiredMs = 0;
    for (; cursor.valid; cursor.next()) {
      const key = cursor.key();
      if (isBeyond(key, range)) break;
      if (exclusive && from !== undefined && compareKeys(key, from) === 0) continue;
      const { expiresAtMs } = cursor;
      if (this.#isExpired(expiresAtMs)) {
        expiredMs = Math.max(expiredMs, expiresAtMs);
        items.push({ key, stored: undefined, isExpired: true });
      } else if (keepsValues) {
        const stored = cursor.entry();
        const isLarge = stored.value.length > KEPT_VALUE_BYTES_MAX;
        items.push({ key, stored: isLarge ? undefined : stored });
        bytes += stored.value.length;
        isLast = isLarge || bytes >= RUN_BYTES_MAX;
      } else items.push({ key, stored: undefined });
      isLast ||= items.length === runKeys;
      // The cursor does not go on: the next run begins with a seek.
      if (isLast) break;
    }
    this.items = items;
    this.at = 0;
    this.exhausted = !isLast;
    slicer.read(bytes);
    // Keys that have expired will be looked up: the time of their shard is moved on meanwhile.
    if (expiredMs > this.#store.shardTimeMs(this.#group) && consistency !== 'stale_ok') {
      this.#store.commitTime(this.#group, expiredMs, deadlineMs, () => {});
    }
  }
}
