// The cursor of the public surface: over a merge of everything that was there when it was opened, it shows each key once,
// in its newest version visible to it, and hides deleted and (unless asked to show them) expired ones.
//
// Going up, the merge stands on the current entry. Going down, versions of a key come oldest first, so that the merge has
// moved past all of them before the newest is known: the entry is kept aside. Turning round seeks anew from the key.
import { compareKeys, compareRange, keyAfter } from './bytes.js';
import type { KeyRange } from './cursor-bounds.js';
import { Hold, type HoldList } from './holds.js';
import type { KeyMap } from './key-map.js';
import { KIND_PUT } from './limits.js';
import type { MergingCursor } from './merging-cursor.js';
import { RangeProbe, type RangeTombstones } from './range-tombstones.js';
import type { Source } from './source.js';
import type { Cursor } from './types.js';

const NO_BYTES = new Uint8Array(0);
const NEWEST = Number.MAX_SAFE_INTEGER;
/** After so many entries in a row that a range tombstone hides it is worth a search to get behind all of them. */
const SKIP_AFTER = 16;

/** What a cursor needs of the engine. */
export interface CursorHost {
  /** How the keys shown are stored. */
  readonly keys: KeyMap;
  /** What hides entries by range; undefined: nothing does. */
  readonly ranges: RangeTombstones | undefined;
  /** The time at which a key is read; undefined: expired entries are shown. */
  readonly readNowMs: ((key: Uint8Array) => number) | undefined;
  /** Turns what reading threw into the engine's error. */
  readonly failed: (error: unknown) => Error;
  /** What keeps the sources of the merge: once it is closed, by whomever, so is the cursor. */
  readonly hold: Hold;
}

/** Keeps what a cursor reads from being reclaimed. */
export class CursorHold extends Hold {
  readonly kind = 'cursor';
  readonly #held: readonly { release(): void }[];

  /** @param held retained for the cursor; released when it is closed */
  constructor(list: HoldList, seq: number, held: readonly { release(): void }[]) {
    super(list, seq);
    this.#held = held;
  }

  protected letGo(): void {
    for (const each of this.#held) each.release();
  }
}

/** {@link Cursor} over a merge; not positioned until its first move. */
export class RangeCursor implements Cursor {
  readonly #merge: MergingCursor;
  readonly #range: KeyRange;
  readonly #reverse: boolean;
  readonly #seq: number;
  readonly #host: CursorHost;
  readonly #hold: Hold;
  readonly #probe: RangeProbe | undefined;
  /** The range as it is until the next positioning: its end in the cursor's direction may be nearer. */
  #lower: Uint8Array;
  #upper: Uint8Array | undefined;
  #valid = false;
  /** True while the merge goes up and stands on the current entry. */
  #goesUp = true;
  /** Key of the current entry, or of the one whose older versions are to be skipped. */
  #key: Uint8Array = NO_BYTES;
  #keyLength = 0;
  #value: Uint8Array | undefined;
  #expiresAtMs = 0;
  /** Entries in a row that a range tombstone has hidden. */
  #hidden = 0;
  #version = 0;
  #keyCopy: Uint8Array | undefined;

  constructor(merge: MergingCursor, range: KeyRange, reverse: boolean, seq: number, host: CursorHost) {
    this.#merge = merge;
    this.#range = range;
    this.#lower = range.lower;
    this.#upper = range.upper;
    this.#reverse = reverse;
    this.#seq = seq;
    this.#host = host;
    this.#probe = host.ranges && new RangeProbe(host.ranges);
    this.#hold = host.hold;
  }

  get valid(): boolean {
    return this.#valid && this.#hold.isOpen;
  }

  get key(): Uint8Array {
    return (this.#keyCopy ??= this.#host.keys.toKey(this.#key, this.#keyLength));
  }

  get value(): Uint8Array {
    if (this.#value === undefined) {
      if (!this.valid) return NO_BYTES;
      this.#value = this.#merge.top.value();
    }
    return this.#value;
  }

  get expiresAtMs(): number {
    return this.#expiresAtMs;
  }

  get version(): number {
    return this.#version;
  }

  next(): void {
    if (this.valid) this.#run(this.#reverse ? this.#stepDown : this.#stepUp);
  }

  previous(): void {
    if (this.valid) this.#run(this.#reverse ? this.#stepUp : this.#stepDown);
  }

  first(): void {
    if (!this.#hold.isOpen) return;
    this.#endAt(undefined);
    this.#run(this.#reverse ? this.#toUpperEnd : this.#toLowerEnd);
  }

  last(): void {
    if (!this.#hold.isOpen) return;
    this.#endAt(undefined);
    this.#run(this.#reverse ? this.#toLowerEnd : this.#toUpperEnd);
  }

  seek(key: Uint8Array, end?: Uint8Array): void {
    if (!this.#hold.isOpen) return;
    const { keys } = this.#host;
    const stored = keys.toStored(key);
    this.#endAt(end && keys.toStored(end));
    const { lower, upper } = this.#range;
    if (this.#reverse) {
      const isOutside = upper !== undefined && compareKeys(stored, upper) >= 0;
      this.#run(isOutside ? this.#toUpperEnd : this.#toAtOrBefore, stored);
    } else this.#run(compareKeys(stored, lower) <= 0 ? this.#toLowerEnd : this.#toAtOrAfter, stored);
  }

  #endAt(end: Uint8Array | undefined): void {
    const { lower, upper } = this.#range;
    if (this.#reverse) this.#lower = end === undefined || compareKeys(end, lower) < 0 ? lower : keyAfter(end);
    else this.#upper = end === undefined || (upper !== undefined && compareKeys(upper, end) < 0) ? upper : end;
  }

  close(): void {
    this.#hold.close();
    this.#valid = false;
  }

  #run(move: (key: Uint8Array) => void, key: Uint8Array = NO_BYTES): void {
    this.#keyCopy = undefined;
    this.#valid = false;
    try {
      move.call(this, key);
    } catch (error) {
      throw this.#host.failed(error);
    }
  }

  #toLowerEnd(): void {
    const { lower } = this.#range;
    if (lower.length === 0) this.#merge.first();
    else this.#merge.seek(lower, NEWEST, this.#upper);
    this.#settleUp(false);
  }

  #toUpperEnd(): void {
    const { upper } = this.#range;
    if (upper === undefined) this.#merge.last();
    else this.#merge.seekBefore(upper);
    this.#settleDown();
  }

  #toAtOrAfter(key: Uint8Array): void {
    this.#merge.seek(key, NEWEST, this.#upper);
    this.#settleUp(false);
  }

  #toAtOrBefore(key: Uint8Array): void {
    this.#merge.seekBefore(keyAfter(key));
    this.#settleDown();
  }

  #stepUp(): void {
    if (this.#goesUp) {
      this.#merge.advance();
      this.#settleUp(true);
    } else {
      // No entry has sequence number 0, so that this lands behind every version of the key.
      this.#merge.seek(this.#key.subarray(0, this.#keyLength), 0, this.#upper);
      this.#settleUp(false);
    }
  }

  #stepDown(): void {
    if (this.#goesUp) this.#merge.seekBefore(this.#key.slice(0, this.#keyLength));
    this.#settleDown();
  }

  /** Moves up to the next entry to show; `skip`: past further versions of the key kept. */
  #settleUp(skip: boolean): void {
    this.#goesUp = true;
    const merge = this.#merge;
    const upper = this.#upper;
    let skipping = skip;
    for (; merge.valid; this.#advance()) {
      const top = merge.top;
      if (skipping && this.#isKept(top)) continue;
      if (
        upper !== undefined &&
        compareRange(top.keyBytes, top.keyStart, top.keyLength, upper, 0, upper.length, 0) >= 0
      ) {
        return;
      }
      if (top.seq > this.#seq) continue;
      this.#keep(top);
      skipping = true;
      if (this.#isLive(top)) {
        this.#value = undefined;
        this.#expiresAtMs = top.expiresAtMs;
        this.#version = top.seq;
        this.#valid = true;
        return;
      }
    }
  }

  /** Moves down to the next entry to show and keeps it; the merge then stands below all its versions. */
  #settleDown(): void {
    this.#goesUp = false;
    const merge = this.#merge;
    const lower = this.#lower;
    let haveKey = false;
    let live = false;
    for (; merge.valid; this.#advance()) {
      const top = merge.top;
      if (haveKey && !this.#isKept(top)) {
        if (live) break;
        haveKey = false;
      }
      if (compareRange(top.keyBytes, top.keyStart, top.keyLength, lower, 0, lower.length, 0) < 0) break;
      if (top.seq > this.#seq) continue;
      if (!haveKey) this.#keep(top);
      haveKey = true;
      live = this.#isLive(top);
      if (live) {
        this.#value = top.value();
        this.#expiresAtMs = top.expiresAtMs;
        this.#version = top.seq;
      }
    }
    this.#valid = live;
  }

  /** One entry on; within a range that is deleted, where the current source has nothing newer, behind all of it. */
  #advance(): void {
    if (this.#hidden < SKIP_AFTER || !this.#skipRange()) this.#merge.advance();
  }

  #skipRange(): boolean {
    this.#hidden = 0;
    const { ranges } = this.#host;
    const merge = this.#merge;
    const { top } = merge;
    const interval = this.#probe!.moveTo(top.keyBytes, top.keyStart, top.keyLength);
    if (ranges === undefined || ranges.newestIn(interval, this.#seq) <= top.newestSeq) return false;
    const end = this.#goesUp ? (ranges.endOf(interval) ?? this.#upper) : ranges.startOf(interval);
    if (end === undefined) return false;
    merge.skipTop(end);
    return true;
  }

  #isLive(top: Source): boolean {
    if (top.kind !== KIND_PUT) return false;
    if (this.#probe?.hides(top.keyBytes, top.keyStart, top.keyLength, top.seq, this.#seq)) {
      this.#hidden++;
      return false;
    }
    this.#hidden = 0;
    const { expiresAtMs } = top;
    const { readNowMs } = this.#host;
    if (expiresAtMs === 0 || readNowMs === undefined) return true;
    return expiresAtMs > readNowMs(top.keyBytes.slice(top.keyStart, top.keyStart + top.keyLength));
  }

  #keep(top: Source): void {
    const { keyBytes, keyStart, keyLength } = top;
    if (this.#key.length < keyLength) this.#key = new Uint8Array(Math.max(64, keyLength * 2));
    const kept = this.#key;
    for (let i = 0; i < keyLength; i++) kept[i] = keyBytes[keyStart + i]!;
    this.#keyLength = keyLength;
  }

  #isKept(top: Source): boolean {
    const length = this.#keyLength;
    return top.keyLength === length && compareRange(top.keyBytes, top.keyStart, length, this.#key, 0, length, 0) === 0;
  }
}
