// Random options for a database: everything that changes how it works, and nothing that changes what it promises.

import type { Clock, Compression } from 'nori-io';
import type { Rng } from 'nori-testkit';
import type { Durability, ExpirySource, KeyspaceSettings, LsmOptions } from '../../src/index.js';

/** What a run keeps from one opening to the next. */
export interface FixedOptions {
  readonly wal: boolean;
  readonly clock: Clock;
}

/** Options that make everything happen early. */
export const randomOptions = (rng: Rng, { wal, clock }: FixedOptions): Omit<LsmOptions, 'dir' | 'fs'> => {
  const l0Trigger = rng.range(1, 5);
  const durabilities: readonly Durability[] = wal ? ['sync', 'batch', 'os', 'none'] : ['none'];
  const expiry = rng.pick([undefined, undefined, expiryByPrefix(clock, rng.pick([0, 30, 65_536]))]);
  return {
    wal,
    clock,
    memtableBytes: rng.pick([1024, 2048, 4096, 16_384, 262_144]),
    memtablesMax: rng.range(2, 5),
    blockCacheBytes: rng.pick([0, 1024, 4096, 1 << 20]),
    l0Trigger,
    paceBackground: rng.range(0, 1) === 1,
    l0Stop: l0Trigger + rng.range(0, 3),
    ...rng.pick([{}, { levelBytesBase: rng.pick([1024, 4096, 16_384, 1 << 20]) }]),
    // Never so slow that a run waits for it.
    ...rng.pick([{}, {}, { compactionBytesPerSecond: rng.pick([1e8, 1e9]) }]),
    levelRatio: rng.range(2, 10),
    tableBytes: rng.pick([1024, 2048, 8192, 1 << 20]),
    blockBytes: rng.pick([64, 256, 4096]),
    bloomBitsPerKey: rng.pick([0, 1, 10, 20]),
    walSegmentBytesMax: rng.pick([4096, 16_384, 1 << 20]),
    ...rng.pick([
      {},
      { compression: rng.pick<LsmOptions['compression'] & {}>(['none', 'lz4', 'deflate', ['none', 'lz4', 'deflate']]) },
    ]),
    autoCompact: rng.chance(0.85),
    durability: rng.pick(durabilities),
    ...(expiry === undefined ? {} : { expiry }),
  };
};

/** Everything expires by the clock for readers, and for compactions up to a prefix. */
const expiryByPrefix = (clock: Clock, prefixes: number): ExpirySource => ({
  readNowMs: () => clock.now(),
  durableNowMs: () => ({ prefixBytes: 2, nowMs: new Float64Array(prefixes).fill(clock.now()) }),
});

/** Settings of a keyspace that change how its tables look. */
export const randomSettings = (rng: Rng): KeyspaceSettings => ({
  ...rng.pick([{}, { compression: rng.pick<Compression>(['none', 'lz4', 'deflate']) }]),
  ...rng.pick([{}, { blockBytes: rng.pick([64, 1024]) }]),
  ...rng.pick([{}, { bloomBitsPerKey: rng.pick([0, 12]) }]),
});
