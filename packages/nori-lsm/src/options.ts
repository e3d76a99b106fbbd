// Options with their defaults, checked once.
import { type Clock, type Compression, codecFor, type FileSystem, nodeFileSystem, systemClock } from 'nori-io';
import { type Meter, noopMeter } from 'nori-observe';
import { type CompactionFilterSpec, filterSpec } from './compaction-filter.js';
import { LsmError } from './errors.js';
import type { TaskExecutor } from './executor.js';
import { inlineExecutor } from './inline-executor.js';
import { LEVELS } from './limits.js';
import type { Durability, ExpirySource, LsmOptions } from './types.js';
import { workerExecutor } from './worker-executor.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const DURABILITIES: readonly Durability[] = ['sync', 'batch', 'os', 'none'];

/** Complete options. */
export interface ResolvedOptions {
  readonly dir: string;
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly meter: Meter;
  readonly createIfMissing: boolean;
  readonly errorIfExists: boolean;
  readonly readOnly: boolean;
  readonly memtableBytes: number;
  readonly memtablesMax: number;
  readonly blockCacheBytes: number;
  readonly l0Trigger: number;
  readonly l0Stop: number;
  readonly levelBytesBase: number;
  readonly levelRatio: number;
  readonly tableBytes: number;
  readonly compactionBytesPerSecond: number | undefined;
  readonly paceBackground: boolean;
  /** For each level. */
  readonly compression: readonly Compression[];
  readonly blockBytes: number;
  readonly bloomBitsPerKey: number;
  readonly autoCompact: boolean;
  readonly wal: boolean;
  readonly walSegmentBytesMax: number;
  readonly durability: Durability;
  readonly executor: TaskExecutor;
  readonly collectMarks: (() => Iterable<readonly [number, Uint8Array]>) | undefined;
  readonly onDurable: ((sealSequence: number) => void) | undefined;
  readonly expiry: ExpirySource;
  readonly compactionFilter: CompactionFilterSpec | undefined;
  readonly lock: boolean;
}

/** @throws LsmError `LSM_INVALID_OPTIONS` naming the option and what is allowed */
export const resolveOptions = (options: LsmOptions): ResolvedOptions => {
  const fs = options.fs ?? nodeFileSystem;
  const clock = options.clock ?? systemClock;
  const wal = options.wal ?? true;
  if (typeof options.dir !== 'string' || options.dir === '') throw invalid('dir must name a directory');
  if (wal && options.collectMarks !== undefined) throw invalid('collectMarks needs wal: false');
  const readOnly = options.readOnly ?? false;
  if (readOnly) checkReadOnly(options);
  const l0Trigger = integer(options, 'l0Trigger', 8, 1, 1_000);
  // The arena is made of 32-bit words.
  const memtableBytes = Math.ceil(integer(options, 'memtableBytes', 32 * MIB, KIB, 1024 * MIB) / 4) * 4;
  return Object.freeze({
    dir: options.dir,
    fs,
    clock,
    meter: options.meter ?? noopMeter,
    createIfMissing: options.createIfMissing ?? true,
    errorIfExists: options.errorIfExists ?? false,
    readOnly,
    memtableBytes,
    memtablesMax: integer(options, 'memtablesMax', 3, 2, 64),
    blockCacheBytes: integer(options, 'blockCacheBytes', 64 * MIB, 0, Number.MAX_SAFE_INTEGER),
    l0Trigger,
    l0Stop: integer(options, 'l0Stop', Math.max(12, l0Trigger + 4), l0Trigger, 10_000),
    levelBytesBase: integer(options, 'levelBytesBase', l0Trigger * memtableBytes, KIB, Number.MAX_SAFE_INTEGER),
    levelRatio: integer(options, 'levelRatio', 10, 2, 100),
    tableBytes: integer(options, 'tableBytes', 8 * MIB, KIB, 1024 * MIB),
    compactionBytesPerSecond:
      options.compactionBytesPerSecond === undefined
        ? undefined
        : integer(options, 'compactionBytesPerSecond', 0, KIB, Number.MAX_SAFE_INTEGER),
    paceBackground: options.paceBackground ?? false,
    compression: resolveCompression(options.compression ?? 'none'),
    blockBytes: integer(options, 'blockBytes', 4 * KIB, 64, 16 * MIB),
    bloomBitsPerKey: integer(options, 'bloomBitsPerKey', 10, 0, 64),
    autoCompact: !readOnly && (options.autoCompact ?? true),
    wal,
    walSegmentBytesMax: integer(options, 'walSegmentBytesMax', 64 * MIB, 4 * KIB, 1024 * MIB),
    durability: checkDurability(options.durability ?? (wal ? 'batch' : 'none'), wal),
    executor:
      options.executor ?? (fs === nodeFileSystem && !readOnly ? workerExecutor() : inlineExecutor(fs, { clock })),
    collectMarks: options.collectMarks,
    onDurable: options.onDurable,
    expiry: options.expiry ?? { readNowMs: () => clock.now(), durableNowMs: () => clock.now() },
    compactionFilter: options.compactionFilter && filterSpec(options.compactionFilter),
    lock: options.lock ?? true,
  });
};

/** @throws LsmError if there is no such mode, or the database has no log that could keep it */
export const checkDurability = (durability: Durability, wal: boolean): Durability => {
  if (!DURABILITIES.includes(durability)) {
    throw new LsmError(
      'LSM_INVALID_ARGUMENT',
      `durability must be one of ${DURABILITIES.join(', ')}, not ${durability}.`,
    );
  }
  if (!wal && durability !== 'none') {
    throw new LsmError('LSM_INVALID_ARGUMENT', `Without its own log (wal: false) durability can only be none.`);
  }
  return durability;
};

/** Refused here rather than by the first flush. */
const resolveCompression = (choice: Compression | readonly Compression[]): readonly Compression[] => {
  const choices = typeof choice === 'string' ? [choice] : choice;
  if (choices.length === 0 || choices.length > LEVELS) {
    throw invalid(`compression must be one, or 1 to ${LEVELS}, from L0 on, not ${choices.length}`);
  }
  for (const each of choices) {
    try {
      codecFor(each);
    } catch (error) {
      throw new LsmError('LSM_INVALID_OPTIONS', `compression ${each} cannot be used: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  return Array.from({ length: LEVELS }, (_, level) => choices[Math.min(level, choices.length - 1)]!);
};

/** What is never written cannot be asked for what writing gives. */
const checkReadOnly = (options: LsmOptions): void => {
  for (const name of ['errorIfExists', 'collectMarks', 'onDurable'] as const) {
    const value = options[name];
    if (value !== undefined && value !== false) throw invalid(`${name} does not go with readOnly`);
  }
};

type NumberOption = {
  [Name in keyof LsmOptions]-?: LsmOptions[Name] extends number | undefined ? Name : never;
}[keyof LsmOptions];

const integer = (options: LsmOptions, name: NumberOption, fallback: number, min: number, max: number): number => {
  const value = options[name] ?? fallback;
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(`${name} must be an integer from ${min} to ${max}, not ${value}`);
};

const invalid = (what: string): LsmError => new LsmError('LSM_INVALID_OPTIONS', `${what}.`);
