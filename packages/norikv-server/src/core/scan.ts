// One page of an ordered scan over all shards (rule 10). Shards are hashed, so neighbours in key order lie in different
// groups: the page is a merge of all groups that hold anything. Each group is read in short runs by one cursor that is
// placed anew for each, so that a page costs a seek per group and no more than a run of keys in memory; small values are
// kept from the run, large ones are read when their turn comes. Work is cut into slices that let other work in between.
import type { Clock } from 'nori-io';
import { LIMITS } from 'norikv-protocol';
import { NodeError } from '../domain/node-error.js';
import type { Version } from '../domain/version.js';
import type { ScanPage, ScanQuery } from '../ports/kv.js';
import type { StorageCursor, StoredValue } from '../ports/storage.js';
import type { Router } from './router.js';
import type { Store } from './store.js';
import { keyProblem } from './validation.js';

const SLICE_MS = 2;
/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 16;
/** Values up to this are kept while their key waits for its turn; a run ends at a larger one. */
const KEPT_VALUE_BYTES_MAX = 2048;
/** Bytes of a run. */
const RUN_BYTES_MAX = 64 * 1024;
/** Bytes read between two looks at the clock. */
const BYTES_PER_LOOK = 1024 * 1024;

/** The range of a query, resolved: both ends inclusive or exclusive, and where reading begins. */
interface Range {
  readonly lower: Uint8Array | undefined;
  readonly lowerExclusive: boolean;
  readonly upper: Uint8Array | undefined;
  readonly upperExclusive: boolean;
  readonly reverse: boolean;
}

interface RunItem {
  readonly key: Uint8Array;
  /** Undefined: large, or expired, to be read when its turn comes. */
  readonly stored: StoredValue | undefined;
}

/** The next keys of one group, in scan order. */
interface Run {
  readonly store: Store;
  readonly group: number;
  items: RunItem[];
  at: number;
  /** No key beyond the last item. */
  exhausted: boolean;
}

interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly version: Version;
}

/**
 * Reads one page.
 * @throws NodeError `INVALID_ARGUMENT`, `DEADLINE_EXCEEDED`, `CANCELLED`
 */
export const scanPage = async (
  query: ScanQuery,
  router: Router,
  stores: readonly Store[],
  clock: Clock,
): Promise<ScanPage> => {
  const limit = pageLimit(query.limit);
  const range = rangeOf(query);
  const slicer = new Slicer(query, clock);
  const sources = sourcesOf(query, router, stores);
  await barriers(sources, query);
  const cursors = new Map<Store, StorageCursor>();
  for (const { store } of sources) if (!cursors.has(store)) cursors.set(store, store.storage.cursor(range.reverse));
  try {
    const runKeys = Math.ceil((limit * 1.25) / Math.max(1, sources.length)) + 1;
    const heap = new RunHeap(range.reverse);
    const page: PageContext = { limit, range, runKeys, cursors, slicer, clock, query };
    for (const source of sources) {
      const run: Run = { ...source, items: [], at: 0, exhausted: false };
      fill(run, undefined, page);
      if (run.items.length > 0) heap.push(run);
      await slicer.pause();
    }
    return await merge(heap, page);
  } finally {
    for (const cursor of cursors.values()) cursor.close();
  }
};

/** What the steps of one page share. */
interface PageContext {
  readonly limit: number;
  readonly range: Range;
  readonly runKeys: number;
  readonly cursors: ReadonlyMap<Store, StorageCursor>;
  readonly slicer: Slicer;
  readonly clock: Clock;
  readonly query: ScanQuery;
}

const merge = async (heap: RunHeap, page: PageContext): Promise<ScanPage> => {
  const { limit, slicer, query } = page;
  const entries: Entry[] = [];
  let bytes = 0;
  for (let run = heap.top(); run !== undefined; run = heap.top()) {
    const { key, stored: kept } = run.items[run.at]!;
    const stored = kept ?? (await current(run, key, query));
    if (stored !== undefined) {
      const entryBytes = key.length + stored.value.length;
      if (entries.length === limit || (entries.length > 0 && bytes + entryBytes > LIMITS.scanPageBytesMax)) {
        return { entries, nextToken: encodeToken(entries[entries.length - 1]!.key) };
      }
      entries.push({ key, value: stored.value, version: { term: stored.term, index: stored.index } });
      bytes += entryBytes;
    }
    run.at++;
    if (run.at === run.items.length && !run.exhausted) fill(run, key, page);
    if (run.at === run.items.length) heap.pop();
    else heap.sink();
    await slicer.pause();
  }
  return { entries, nextToken: NO_TOKEN };
};

/** The value of a key when its turn comes. */
const current = (run: Run, key: Uint8Array, query: ScanQuery): Promise<StoredValue | undefined> =>
  query.consistency === 'stale_ok'
    ? Promise.resolve(run.store.readStale(run.group, key))
    : run.store.readLive(run.group, key, query.deadlineMs);

/**
 * Reads the next keys of a run's group, after `after` or from the beginning of the range. Keys that have expired are looked
 * up anew when their turn comes, since they may have been renewed; their shard's time is moved on meanwhile.
 */
const fill = (run: Run, after: Uint8Array | undefined, page: PageContext): void => {
  const { range, runKeys, slicer, clock, query } = page;
  const { store, group } = run;
  const { reverse } = range;
  const cursor = page.cursors.get(store)!;
  const nowMs = Math.max(clock.now(), store.shardTimeMs(group));
  run.items = [];
  run.at = 0;
  const from = after ?? (reverse ? range.upper : range.lower);
  const fromExclusive = after !== undefined || (reverse ? range.upperExclusive : range.lowerExclusive);
  let bytes = 0;
  let isLast = false;
  let expiredMs = 0;
  for (cursor.seek(group, from); !isLast && cursor.valid; cursor.next()) {
    const key = cursor.key();
    if (isBeyond(key, range)) break;
    if (fromExclusive && from !== undefined && compare(key, from) === 0) continue;
    const stored = cursor.entry();
    const isExpired = stored.expiresAtMs > 0 && stored.expiresAtMs <= nowMs;
    const isLarge = stored.value.length > KEPT_VALUE_BYTES_MAX;
    if (isExpired) expiredMs = Math.max(expiredMs, stored.expiresAtMs);
    run.items.push({ key, stored: isExpired || isLarge ? undefined : stored });
    bytes += stored.value.length;
    isLast = isLarge || bytes >= RUN_BYTES_MAX || run.items.length === runKeys;
  }
  run.exhausted = !isLast;
  slicer.read(bytes);
  if (expiredMs > store.shardTimeMs(group) && query.consistency !== 'stale_ok') {
    store.commitTime(group, expiredMs, query.deadlineMs, () => {});
  }
};

const isBeyond = (key: Uint8Array, range: Range): boolean => {
  const end = range.reverse ? range.lower : range.upper;
  if (end === undefined) return false;
  const order = range.reverse ? compare(end, key) : compare(key, end);
  return order > 0 || (order === 0 && (range.reverse ? range.lowerExclusive : range.upperExclusive));
};

/** The groups a query has to look into. */
const sourcesOf = (query: ScanQuery, router: Router, stores: readonly Store[]): { store: Store; group: number }[] => {
  const only = router.groupOfPrefix(query.prefix);
  if (only !== undefined) return [{ store: router.storeOf(only), group: only }];
  return stores.flatMap((store) => Array.from(store.activeGroups(), (group) => ({ store, group })));
};

const barriers = async (sources: readonly { store: Store; group: number }[], query: ScanQuery): Promise<void> => {
  const { consistency } = query;
  if (consistency === 'stale_ok') return;
  const waits: Promise<void>[] = [];
  for (const { store, group } of sources) {
    if (consistency === 'linearizable' || !store.hasLease(group)) waits.push(store.readBarrier(group));
  }
  if (waits.length > 0) await Promise.all(waits);
};

const pageLimit = (limit: number): number => {
  if (!Number.isInteger(limit) || limit < 0 || limit > LIMITS.scanLimitMax) {
    throw new NodeError(
      'INVALID_ARGUMENT',
      `The scan limit is ${limit}; it must be a whole number from 1 to ${LIMITS.scanLimitMax}, or 0 for ${LIMITS.scanLimitDefault}.`,
    );
  }
  return limit === 0 ? LIMITS.scanLimitDefault : limit;
};

/** Narrows prefix, bounds and token to one range. */
const rangeOf = (query: ScanQuery): Range => {
  const { prefix, start, end, reverse } = query;
  for (const bound of [prefix, start, end]) {
    const problem = bound !== undefined && bound.length > 0 ? keyProblem(bound) : undefined;
    if (problem !== undefined) throw problem;
  }
  let lower = start;
  let lowerExclusive = query.startExclusive;
  let upper = end;
  let upperExclusive = !query.endInclusive;
  if (prefix.length > 0) {
    if (lower === undefined || compare(lower, prefix) < 0) {
      lower = prefix;
      lowerExclusive = false;
    }
    const after = prefixEnd(prefix);
    if (after !== undefined && (upper === undefined || compare(after, upper) <= 0)) {
      upper = after;
      upperExclusive = true;
    }
  }
  if (query.token.length > 0) {
    const last = decodeToken(query.token);
    if (reverse) {
      upper = last;
      upperExclusive = true;
    } else {
      lower = last;
      lowerExclusive = true;
    }
  }
  return { lower, lowerExclusive, upper, upperExclusive, reverse };
};

/** The least key greater than every key with the prefix; undefined if there is none. */
const prefixEnd = (prefix: Uint8Array): Uint8Array | undefined => {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const end = prefix.slice(0, length);
  end[length - 1]!++;
  return end;
};

const NO_TOKEN = new Uint8Array(0);
const TOKEN_FORMAT = 1;

/** A token is the last key of the page before, behind a format byte. */
const encodeToken = (lastKey: Uint8Array): Uint8Array => {
  const token = new Uint8Array(lastKey.length + 1);
  token[0] = TOKEN_FORMAT;
  token.set(lastKey, 1);
  return token;
};

const decodeToken = (token: Uint8Array): Uint8Array => {
  if (token[0] !== TOKEN_FORMAT || token.length < 2 || token.length > LIMITS.keyBytesMax + 1) {
    throw new NodeError('INVALID_ARGUMENT', 'The scan token is not one this node gave; start the scan again.');
  }
  return token.subarray(1);
};

const compare = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);

/** Lets other work in once a slice of time is used up, and ends the scan when its caller has gone. */
class Slicer {
  readonly #query: ScanQuery;
  readonly #clock: Clock;
  #sliceStartMs: number;
  #steps = 0;
  #bytes = 0;

  constructor(query: ScanQuery, clock: Clock) {
    this.#query = query;
    this.#clock = clock;
    this.#sliceStartMs = clock.monotonic();
  }

  /** Counts bytes that were read since the last look at the clock. */
  read(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Called after each step; undefined: go on. */
  pause(): Promise<void> | undefined {
    if (++this.#steps < STEPS_PER_LOOK && this.#bytes < BYTES_PER_LOOK) return undefined;
    this.#steps = 0;
    this.#bytes = 0;
    return this.#look();
  }

  async #look(): Promise<void> {
    const now = this.#clock.monotonic();
    if (now - this.#sliceStartMs < SLICE_MS) return;
    if (this.#query.signal?.aborted === true) throw new NodeError('CANCELLED', 'The scan was cancelled.');
    if (now >= this.#query.deadlineMs) {
      throw new NodeError('DEADLINE_EXCEEDED', 'The deadline passed before the page was complete; ask for fewer keys.');
    }
    await new Promise<void>((resolve) => this.#clock.nextTurn(resolve));
    this.#sliceStartMs = this.#clock.monotonic();
  }
}

/** A binary heap of runs by the key each stands at. Keys of different groups are never equal. */
class RunHeap {
  readonly #runs: Run[] = [];
  readonly #sign: number;

  constructor(reverse: boolean) {
    this.#sign = reverse ? -1 : 1;
  }

  top(): Run | undefined {
    return this.#runs[0];
  }

  push(run: Run): void {
    const runs = this.#runs;
    let at = runs.length;
    runs.push(run);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(run, runs[parent]!)) break;
      runs[at] = runs[parent]!;
      at = parent;
    }
    runs[at] = run;
  }

  /** Removes the top. */
  pop(): void {
    const last = this.#runs.pop()!;
    if (this.#runs.length === 0) return;
    this.#runs[0] = last;
    this.sink();
  }

  /** Puts the top, whose key has changed, in its place. */
  sink(): void {
    const runs = this.#runs;
    const run = runs[0]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= runs.length) break;
      if (child + 1 < runs.length && this.#before(runs[child + 1]!, runs[child]!)) child++;
      if (!this.#before(runs[child]!, run)) break;
      runs[at] = runs[child]!;
      at = child;
    }
    runs[at] = run;
  }

  #before(a: Run, b: Run): boolean {
    return compare(a.items[a.at]!.key, b.items[b.at]!.key) * this.#sign < 0;
  }
}
