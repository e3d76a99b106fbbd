// A caller's say in what a compaction keeps. Compactions run in threads of their own, which functions cannot be sent to: what is given is the
// module that exports them.
import { callbackError, LsmError } from './errors.js';

/** Which function of which module decides. Plain data: it crosses to another thread. */
export interface CompactionFilterOptions {
  /** `file:` URL of the module, or whatever `import()` of this runtime understands. */
  readonly module: string | URL;
  /** Name of the export. Default `default`. */
  readonly exportName?: string;
  /** Handed to the function; must be cloneable (`structuredClone`). */
  readonly data?: unknown;
}

/** As it travels with a task. */
export interface CompactionFilterSpec {
  readonly module: string;
  readonly exportName: string;
  readonly data: unknown;
}

/** An entry about which a filter decides. Its bytes must not be changed, and are good until the filter returns. */
export interface CompactionFilterEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Absolute expiry in milliseconds; 0: never. */
  readonly expiresAtMs: number;
  /** Name of the keyspace; empty: the default one. */
  readonly keyspace: string;
}

/** `keep`, `drop` (as if it had been deleted), or the value that is to be in place of the one that is there. */
export type CompactionFilterDecision = 'keep' | 'drop' | Uint8Array;

/**
 * Decides about one entry: called for the newest version that the compaction has of a key, if no snapshot sees it that was open when the
 * compaction began. Synchronous.
 */
export type CompactionFilter = (entry: CompactionFilterEntry) => CompactionFilterDecision;

/** What the module exports: called once for each compaction. */
export type CompactionFilterFactory = (context: {
  readonly data: unknown;
  /** Level that is written. */
  readonly outputLevel: number;
}) => CompactionFilter;

/** The options as plain data. @throws LsmError `LSM_INVALID_OPTIONS` */
export const filterSpec = ({ module, exportName, data }: CompactionFilterOptions): CompactionFilterSpec => {
  const url = String(module);
  if (url === '') throw new LsmError('LSM_INVALID_OPTIONS', 'compactionFilter.module must name a module.');
  try {
    structuredClone(data);
  } catch (cause) {
    throw new LsmError('LSM_INVALID_OPTIONS', 'compactionFilter.data must be cloneable.', { cause });
  }
  return { module: url, exportName: exportName ?? 'default', data };
};

/** Loads a filter. @throws LsmError `LSM_INTERNAL` with what the module threw */
export const loadFilter = async (spec: CompactionFilterSpec, outputLevel: number): Promise<CompactionFilter> => {
  const { module, exportName, data } = spec;
  try {
    const exports = (await import(module)) as Readonly<Record<string, unknown>>;
    const factory = exports[exportName];
    if (typeof factory !== 'function') throw new TypeError(`${module} exports no function ${exportName}`);
    const filter: unknown = (factory as CompactionFilterFactory)({ data, outputLevel });
    if (typeof filter !== 'function') throw new TypeError(`${exportName} of ${module} returned no function`);
    return guarded(filter as CompactionFilter);
  } catch (thrown) {
    throw callbackError('compactionFilter', thrown);
  }
};

const guarded =
  (filter: CompactionFilter): CompactionFilter =>
  (entry) => {
    let decision: CompactionFilterDecision;
    try {
      decision = filter(entry);
    } catch (thrown) {
      throw callbackError('compactionFilter', thrown);
    }
    if (decision === 'keep' || decision === 'drop' || decision instanceof Uint8Array) return decision;
    throw callbackError('compactionFilter', new TypeError(`it returned ${String(decision)}`));
  };
