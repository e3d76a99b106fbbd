// Takes prebuilt tables into the tree, in one moment, without writing their entries anew.
//
//   tables linked into the directory, looked at ─ compactions wait ─ writes wait ─ memtables in the way are flushed ─
//   one sequence number for all ─ manifest edit: tables, replaced range, marks ─ visible ─ writes and compactions go on
//
// What fails leaves nothing. If it is the write of the manifest, what that has left on the disk is not known until the next one: then the
// files stay, and a crash before it may bring the tables about, all or none.
import type { Wal } from 'nori-wal';
import type { Engine } from './engine.js';
import { LsmError } from './errors.js';
import { deletedRange } from './gather.js';
import { ingestEdit, type PreparedTable, prepareTables, removeFiles } from './ingest-tables.js';
import type { KeyMap } from './key-map.js';
import { LEVELS } from './limits.js';
import type { ManifestEdit } from './manifest-edit.js';
import type { ResolvedOptions } from './options.js';
import type { Tree } from './tree.js';
import type { IngestOptions, IngestReport } from './types.js';
import type { WriteQueue } from './write-queue.js';

/** The database that takes the tables. */
export interface IngestTarget {
  /** The keyspace that takes them. */
  readonly keys: KeyMap;
  /** Throws if nobody wants the tables any more. */
  assertWanted?(): void;
  /** What else is to change in the manifest in the same moment. */
  readonly also?: ManifestEdit;
  readonly options: ResolvedOptions;
  readonly tree: Tree;
  readonly engine: Engine;
  readonly wal: Wal | undefined;
  readonly queue: WriteQueue | undefined;
  /** Takes the next sequence numbers and tells the first. */
  takeSequence(count: number): number;
}

/** See the top of the file, and `Lsm.ingest`. */
export const ingest = async (
  target: IngestTarget,
  paths: readonly string[],
  options: IngestOptions,
): Promise<IngestReport> => {
  const { fs, dir } = target.options;
  const { level } = options;
  if (level !== undefined && !(Number.isInteger(level) && level >= 0 && level < LEVELS)) {
    throw new LsmError('LSM_INVALID_ARGUMENT', `level must be an integer from 0 to ${LEVELS - 1}, not ${level}.`);
  }
  const marks = Array.from(options.marks ?? [], ([id, mark]) => [id, mark.slice()] as const);
  if (marks.length > 0 && target.options.wal) throw new LsmError('LSM_INVALID_ARGUMENT', 'marks need wal: false.');
  const { keys } = target;
  const replace = options.replace === undefined ? undefined : deletedRange(options.replace, keys);
  const { background } = target.engine;
  const tables = await prepareTables(paths, { background, keys, isVerified: options.verify ?? false });
  const step = { tables, replace, level, marks, isInstalling: false };
  let report: IngestReport | undefined;
  try {
    await target.engine.compactor.alone(() =>
      withoutWrites(target, async () => {
        report = await install(target, step);
      }),
    );
  } catch (error) {
    if (!step.isInstalling) {
      const numbers = tables.map(({ number }) => number);
      await removeFiles(fs, dir, numbers);
    }
    throw error;
  }
  return report!;
};

interface IngestStep {
  readonly tables: readonly PreparedTable[];
  /** First and end key, as stored. */
  readonly replace: readonly [start: Uint8Array, end: Uint8Array] | undefined;
  readonly level: number | undefined;
  readonly marks: readonly (readonly [number, Uint8Array])[];
  isInstalling: boolean;
}

/** Runs `work` while nothing is written. */
const withoutWrites = async ({ queue, engine }: IngestTarget, work: () => Promise<void>): Promise<void> => {
  if (queue !== undefined) return queue.alone(work);
  engine.stall.hold(true);
  try {
    await work();
  } finally {
    engine.stall.hold(false);
  }
};

const install = async (target: IngestTarget, step: IngestStep): Promise<IngestReport> => {
  const { tree, engine, wal } = target;
  const { tables, replace, marks } = step;
  target.assertWanted?.();
  const isInTheWay = tables.some(({ properties }) =>
    engine.memtablesHold(properties.smallestKey, properties.largestKey),
  );
  // Marks tell of all that was applied.
  if (replace !== undefined || marks.length > 0 || isInTheWay) await engine.flush();
  // A crash must not lose what was written before, and leave this.
  else await wal?.sync();
  const first = target.takeSequence(2);
  const sequence = first + 1;
  const replaced = replace && { seq: first, start: replace[0], end: replace[1] };
  const edit = {
    ...ingestEdit(tree, { tables, sequence, replaced, level: step.level }),
    ...(engine.isFlushed ? { flushedSeq: sequence } : {}),
    marks,
    ...target.also,
  };
  step.isInstalling = true;
  await tree.install(edit, () => engine.ingested(sequence, edit.addedRanges ?? []));
  await engine.background.forgetRanges();
  engine.background.changed();
  return {
    sequence,
    tables: tables.length,
    entries: tables.reduce((sum, { properties }) => sum + properties.entries, 0),
    bytes: tables.reduce((sum, { properties }) => sum + properties.fileBytes, 0),
    levels: Array.from(
      { length: LEVELS },
      (_, level) => (edit.added ?? []).filter((each) => each.level === level).length,
    ),
  };
};
