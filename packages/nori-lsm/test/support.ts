// What the tests share: a clock whose wall time is set by hand, random options, a model of the database.
import { systemClock, type TimerHandle } from 'nori-io';
import type { Rng } from 'nori-testkit';
import { compareKeys } from '../src/bytes.js';
import type { Cursor, LsmOptions } from '../src/index.js';

/** Real timers and turns, wall time by hand. */
export class TestClock {
  nowMs = 1_700_000_000_000;
  now = (): number => this.nowMs;
  monotonic = (): number => systemClock.monotonic();
  setTimer = systemClock.setTimer.bind(systemClock);
  nextTurn = systemClock.nextTurn.bind(systemClock);
}

/** A {@link TestClock} whose timers of a second and more wait for {@link JumpingClock.jump}; shorter ones are real. */
export class JumpingClock extends TestClock {
  readonly #timers = new Set<{ readonly dueMs: number; readonly fn: () => void }>();
  #jumpedMs = 0;

  override monotonic = (): number => systemClock.monotonic() + this.#jumpedMs;
  override setTimer = (delayMs: number, fn: () => void, options?: { readonly unref?: boolean }): TimerHandle => {
    if (delayMs < 1000) return systemClock.setTimer(delayMs, fn, options);
    const timer = { dueMs: this.nowMs + delayMs, fn };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  };

  /** Long timers that wait. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Moves wall and monotonic time on, and calls what has become due. */
  jump(ms: number): void {
    this.nowMs += ms;
    this.#jumpedMs += ms;
    for (const timer of [...this.#timers]) {
      if (timer.dueMs > this.nowMs || !this.#timers.delete(timer)) continue;
      timer.fn();
    }
  }
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);

/** Options that make everything happen early. */
export const smallOptions = (rng: Rng): Omit<LsmOptions, 'dir'> => {
  const l0Trigger = rng.range(1, 4);
  return {
    memtableBytes: rng.pick([1024, 2048, 4096, 16_384]),
    memtablesMax: rng.range(2, 4),
    blockCacheBytes: rng.pick([0, 4096, 1 << 20]),
    l0Trigger,
    l0Stop: l0Trigger + rng.range(0, 3),
    levelBytesBase: rng.pick([1024, 4096, 16_384]),
    levelRatio: rng.range(2, 4),
    tableBytes: rng.pick([1024, 2048, 8192]),
    blockBytes: rng.pick([64, 256, 4096]),
    bloomBitsPerKey: rng.pick([0, 10]),
    walSegmentBytesMax: rng.pick([4096, 16_384]),
  };
};

/** Keys that are hard to order: prefixes of each other, zeros, 0xff, long common beginnings. */
export const hardKeys = (rng: Rng, count: number): Uint8Array[] => {
  const stems = [utf8(''), utf8('user:0000000'), new Uint8Array([0, 0]), new Uint8Array([255, 255]), rng.bytes(70)];
  const found = new Map<string, Uint8Array>();
  while (found.size < count) {
    const stem = rng.pick(stems);
    const tail = rng.chance(0.3)
      ? Uint8Array.from({ length: rng.int(4) }, () => rng.pick([0, 1, 255]))
      : rng.bytes(rng.int(5));
    const key = new Uint8Array([...stem, ...tail]);
    found.set(hex(key), key);
  }
  return [...found.values()];
};

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** What a database should hold. */
export class Model {
  readonly entries: Map<string, { readonly value: string; readonly expiresAtMs: number }>;

  constructor(entries: Model['entries'] = new Map()) {
    this.entries = entries;
  }

  put(key: Uint8Array, value: Uint8Array, expiresAtMs = 0): void {
    this.entries.set(hex(key), { value: hex(value), expiresAtMs });
  }

  delete(key: Uint8Array): void {
    this.entries.delete(hex(key));
  }

  get(key: Uint8Array, nowMs: number): string | undefined {
    const entry = this.entries.get(hex(key));
    return entry !== undefined && (entry.expiresAtMs === 0 || entry.expiresAtMs > nowMs) ? entry.value : undefined;
  }

  copy(): Model {
    return new Model(new Map(this.entries));
  }

  /** Live entries in order, as hex. */
  list(nowMs: number): [key: string, value: string][] {
    return [...this.entries]
      .filter(([, { expiresAtMs }]) => expiresAtMs === 0 || expiresAtMs > nowMs)
      .map(([key, { value }]): [string, string] => [key, value])
      .sort(([a], [b]) => compareKeys(Buffer.from(a, 'hex'), Buffer.from(b, 'hex')));
  }
}

/** All a cursor shows, as hex. */
export const listCursor = (cursor: Cursor): [string, string][] => {
  const found: [string, string][] = [];
  for (; cursor.valid; cursor.next()) found.push([hex(cursor.key), hex(cursor.value)]);
  cursor.close();
  return found;
};

/** Runs `body`; if it fails, the error tells the seed to run it again with. */
export const withSeed = async (seed: number, body: () => Promise<void> | void): Promise<void> => {
  try {
    await body();
  } catch (error) {
    throw new Error(`Failed with NORI_SEED=${seed}: ${(error as Error).stack}`, { cause: error });
  }
};
