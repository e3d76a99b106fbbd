// What one record of the manifest says, and the state that all of them make together. Encoding: manifest-codec.ts.
import { LsmError } from './errors.js';
import type { KeyspaceMeta } from './keyspaces.js';
import { LEVELS } from './limits.js';
import type { RangeTombstone } from './range-tombstones.js';
import type { TableMeta } from './table-meta.js';

/** Where a table came to or went from. */
export interface AddedTable {
  readonly level: number;
  readonly meta: TableMeta;
}
export interface RemovedTable {
  readonly level: number;
  readonly number: number;
}

/** A change of the tree. What is left out stays as it is. */
export interface ManifestEdit {
  /** Numbers from here on have never been used for a file. */
  readonly nextNumber?: number;
  /** Every entry up to this sequence number is in a table. */
  readonly flushedSeq?: number;
  /** Sequence numbers up to this one have been used, perhaps beyond the last entry. */
  readonly usedSeq?: number;
  /** Position in the own log of the last record that is wholly in tables. */
  readonly logPosition?: number;
  /** Whether keys are stored so that there can be keyspaces, see key-map.ts. */
  readonly mappedKeys?: boolean;
  /** Largest number that a keyspace has ever had. */
  readonly lastKeyspace?: number;
  /** New keyspaces, and those whose settings are new. */
  readonly keyspaces?: readonly KeyspaceMeta[];
  /** Numbers of keyspaces that are no more. */
  readonly removedKeyspaces?: readonly number[];
  /** Whether the database keeps its own log. */
  readonly ownLog?: boolean;
  readonly added?: readonly AddedTable[];
  readonly removed?: readonly RemovedTable[];
  readonly marks?: readonly (readonly [id: number, mark: Uint8Array])[];
  readonly addedRanges?: readonly RangeTombstone[];
  /** Sequence numbers of range tombstones. */
  readonly removedRanges?: readonly number[];
}

/** Everything the manifest says. */
export class ManifestState {
  nextNumber = 1;
  flushedSeq = 0;
  usedSeq = 0;
  logPosition: number | undefined;
  ownLog = true;
  mappedKeys = false;
  lastKeyspace = 0;
  /** Number → keyspace. */
  readonly keyspaces = new Map<number, KeyspaceMeta>();
  readonly marks = new Map<number, Uint8Array>();
  /** Sequence number → range tombstone. */
  readonly ranges = new Map<number, RangeTombstone>();
  /** Per level: number → table. */
  readonly levels: readonly Map<number, TableMeta>[] = Array.from({ length: LEVELS }, () => new Map());

  /** Applies an edit. @throws LsmError `LSM_CORRUPT_MANIFEST` if it contradicts the state; nothing is changed then */
  apply(edit: ManifestEdit): void {
    this.check(edit);
    if (edit.nextNumber !== undefined) this.nextNumber = Math.max(this.nextNumber, edit.nextNumber);
    if (edit.flushedSeq !== undefined) this.flushedSeq = Math.max(this.flushedSeq, edit.flushedSeq);
    if (edit.usedSeq !== undefined) this.usedSeq = Math.max(this.usedSeq, edit.usedSeq);
    if (edit.logPosition !== undefined) this.logPosition = edit.logPosition;
    if (edit.mappedKeys !== undefined) this.mappedKeys = edit.mappedKeys;
    if (edit.lastKeyspace !== undefined) this.lastKeyspace = Math.max(this.lastKeyspace, edit.lastKeyspace);
    for (const id of edit.removedKeyspaces ?? []) this.keyspaces.delete(id);
    for (const keyspace of edit.keyspaces ?? []) this.keyspaces.set(keyspace.id, keyspace);
    if (edit.ownLog !== undefined) this.ownLog = edit.ownLog;
    for (const { level, number } of edit.removed ?? []) this.levels[level]!.delete(number);
    for (const { level, meta } of edit.added ?? []) this.levels[level]!.set(meta.number, meta);
    for (const [id, mark] of edit.marks ?? []) this.marks.set(id, mark);
    for (const seq of edit.removedRanges ?? []) this.ranges.delete(seq);
    for (const range of edit.addedRanges ?? []) this.ranges.set(range.seq, range);
  }

  copy(): ManifestState {
    const copy = new ManifestState();
    copy.apply(this.snapshot());
    return copy;
  }

  /** The one edit that makes this state out of nothing. */
  snapshot(): ManifestEdit {
    const added: AddedTable[] = [];
    this.levels.forEach((tables, level) => {
      for (const meta of tables.values()) added.push({ level, meta });
    });
    return {
      nextNumber: this.nextNumber,
      flushedSeq: this.flushedSeq,
      ...(this.usedSeq === 0 ? {} : { usedSeq: this.usedSeq }),
      ...(this.logPosition === undefined ? {} : { logPosition: this.logPosition }),
      ownLog: this.ownLog,
      ...(this.mappedKeys ? { mappedKeys: true } : {}),
      ...(this.lastKeyspace === 0 ? {} : { lastKeyspace: this.lastKeyspace }),
      keyspaces: [...this.keyspaces.values()],
      added,
      marks: [...this.marks],
      addedRanges: [...this.ranges.values()],
    };
  }

  /** @throws LsmError `LSM_CORRUPT_MANIFEST` if the edit contradicts the state */
  check(edit: ManifestEdit): void {
    for (const { id, name } of edit.keyspaces ?? []) {
      const others = [...this.keyspaces.values()].filter((other) => !edit.removedKeyspaces?.includes(other.id));
      if (others.some((other) => other.name === name && other.id !== id)) {
        throw contradiction(`adds a second keyspace ${JSON.stringify(name)}`);
      }
    }
    const gone = new Set<number>();
    for (const { level, number } of edit.removed ?? []) {
      if (!this.levels[level]?.has(number))
        throw contradiction(`removes table ${number}, which is not in level ${level}`);
      gone.add(number);
    }
    for (const { level, meta } of edit.added ?? []) {
      if (level < 0 || level >= LEVELS) throw contradiction(`adds table ${meta.number} to level ${level}`);
      const isThere = this.levels.some((tables) => tables.has(meta.number));
      if (isThere && !gone.has(meta.number)) throw contradiction(`adds table ${meta.number} a second time`);
    }
  }
}

const contradiction = (what: string): LsmError =>
  new LsmError('LSM_CORRUPT_MANIFEST', `A record of the manifest ${what}.`);
