// What the manifest of a rebuilt database says beside its tables: what an older one said, as far as there is one, and what tables and log
// still tell of the rest.
//
// - Sequence numbers go on behind the largest one that was found anywhere, and one more is left out: it marks the place in a log that a
//   crash may leave here, so that nothing of it is taken again.
// - Range tombstones: those of the older manifest, and those in the log.
// - Keyspaces: those of the older manifest. A number that it does not know of and that is larger than all it has known, or any if there is
//   none, becomes a keyspace named `recovered-N`.
import { LOG_DIR } from '../directory.js';
import type { KeyspaceMeta } from '../keyspaces.js';
import type { ManifestEdit, ManifestState } from '../manifest-edit.js';
import type { Examination } from './examine.js';
import type { LogTables } from './log-tables.js';
import type { KeyFinding } from './look-at-keys.js';

/** What was found on the way. */
export interface Recovered {
  readonly keys: KeyFinding;
  readonly log: LogTables | undefined;
}

/** All of the manifest but tables and file numbers, and the keyspaces whose names are lost. */
export const recoveredState = (
  found: Examination,
  { keys, log }: Recovered,
): { readonly edit: ManifestEdit; readonly keyspaces: readonly KeyspaceMeta[] } => {
  const old = found.manifest.found?.state;
  const ranges = [...(old?.ranges.values() ?? []), ...(log?.ranges ?? [])];
  const newest = Math.max(
    old?.flushedSeq ?? 0,
    old?.usedSeq ?? 0,
    log?.endSeq ?? 0,
    ...found.tables.map(({ largestSeq, sequence }) => Math.max(largestSeq, sequence)),
    ...ranges.map(({ seq }) => seq),
  );
  const keyspaces = recoveredKeyspaces(old, keys.keyspaces);
  const mappedKeys = old?.mappedKeys ?? keys.hasMappedKeys;
  const largestKeyspace = Math.max(found.log.largestKeyspace, ...keys.keyspaces);
  return {
    keyspaces,
    edit: {
      ...(old === undefined ? {} : withoutTables(old)),
      ownLog: old?.ownLog ?? found.names.includes(LOG_DIR),
      mappedKeys,
      flushedSeq: newest + 1,
      usedSeq: newest + 1,
      keyspaces: [...(old?.keyspaces.values() ?? []), ...keyspaces],
      lastKeyspace: mappedKeys ? Math.max(old?.lastKeyspace ?? 0, largestKeyspace) : 0,
      addedRanges: ranges,
    },
  };
};

const withoutTables = (state: ManifestState): ManifestEdit => {
  const { added: _, logPosition: __, ...rest } = state.snapshot();
  return rest;
};

/** Keyspaces for numbers whose names are lost. What the older manifest has known and has no more was dropped. */
const recoveredKeyspaces = (old: ManifestState | undefined, numbers: readonly number[]): KeyspaceMeta[] => {
  if (old?.mappedKeys === false) return [];
  const taken = new Set([...(old?.keyspaces.values() ?? [])].map(({ name }) => name));
  return numbers
    .filter((id) => id > (old?.lastKeyspace ?? 0))
    .map((id) => {
      let name = `recovered-${id}`;
      while (taken.has(name)) name += '+';
      return { id, name, settings: {} };
    });
};
