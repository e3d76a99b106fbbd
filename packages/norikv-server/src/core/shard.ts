// One shard's state machine: applies log entries, in order, to the storage. Everything a replica decides (conditions,
// duplicates, versions, expiry) is decided here, from the entry and the applied state alone.
import { ByteReader } from '../domain/byte-reader.js';
import type { ByteWriter } from '../domain/byte-writer.js';
import { ClientOutcomes, type Outcome } from '../domain/client-outcomes.js';
import type { Command } from '../domain/command.js';
import { decodeGroupConfig, encodeGroupConfig, type GroupConfig } from '../domain/group-config.js';
import { asNodeError, NodeError } from '../domain/node-error.js';
import type { WriteIdentity, WriteOperation } from '../domain/operation.js';
import type { EntryPosition } from '../ports/replicated-log.js';
import type { Storage, StoredValue } from '../ports/storage.js';

/**
 * What became of a request: its outcome; that it was refused as a retry nobody can answer; or that the stored bytes
 * its conditions depend on cannot be read, in which case nothing was done and no outcome is kept.
 */
export type Verdict = Outcome | 'below_floor' | 'unknown' | NodeError;

const MARK_FORMAT = 2;
/** Of nodes that did not replicate: without a configuration. */
const MARK_FORMAT_ALONE = 1;
const EXISTED: readonly boolean[] = [true];
const DID_NOT_EXIST: readonly boolean[] = [false];

/** The applied state of one shard besides its keys. */
export class Shard {
  readonly group: number;
  term = 0;
  /** Index of the last applied entry. */
  index = 0;
  /** Who replicates the shard; undefined: who did when its group was made. */
  config: GroupConfig | undefined;
  /** The shard's time: that of the last applied entry. */
  timeMs = 0;
  /** True if the mark has changed since it was last collected. */
  dirty = false;
  #outcomes = new ClientOutcomes();

  constructor(group: number) {
    this.group = group;
  }

  /**
   * Applies an entry of time `entryTimeMs`; gives a verdict for each of its commands.
   * The position moves after the storage has the entry, so that a mark collected meanwhile describes what was before.
   */
  apply(entry: EntryPosition, entryTimeMs: number, commands: readonly Command[], storage: Storage): Verdict[] {
    const timeMs = Math.max(entryTimeMs, this.timeMs);
    const verdicts: Verdict[] = [];
    const fresh: { readonly identity: WriteIdentity; readonly outcome: Outcome }[] = [];
    for (const { identity, operations } of commands) {
      const admission = identity === undefined ? 'new' : this.#outcomes.admit(identity, timeMs);
      if (admission !== 'new') {
        verdicts.push(admission);
        continue;
      }
      const outcome = decide(operations, entry, timeMs, storage);
      verdicts.push(outcome);
      if (identity !== undefined && !(outcome instanceof NodeError)) fresh.push({ identity, outcome });
    }
    storage.commit();
    for (const { identity, outcome } of fresh) this.#outcomes.record(identity, outcome);
    this.term = entry.term;
    this.index = entry.index;
    this.timeMs = timeMs;
    this.dirty = true;
    return verdicts;
  }

  /** Everything up to there is applied, entries included that are not the shard's: of elections, of changes of replicas. */
  moveTo(term: number, index: number, config: GroupConfig): void {
    this.term = term;
    this.index = index;
    this.config = config;
    this.dirty = true;
  }

  /** Appends the shard's mark (docs/formats/shard-mark.md). */
  encodeMark(to: ByteWriter): void {
    to.u8(MARK_FORMAT);
    to.varint(this.term);
    to.varint(this.index);
    to.varint(this.timeMs);
    to.u8(this.config === undefined ? 0 : 1);
    if (this.config !== undefined) encodeGroupConfig(this.config, to);
    this.#outcomes.encode(to);
  }

  /** @throws RangeError if the bytes are not a mark. */
  static fromMark(group: number, mark: Uint8Array): Shard {
    const from = new ByteReader(mark);
    const format = from.u8();
    if (format !== MARK_FORMAT && format !== MARK_FORMAT_ALONE)
      throw new RangeError(`shard mark format ${format} is not known`);
    const shard = new Shard(group);
    shard.term = from.varint();
    shard.index = from.varint();
    shard.timeMs = from.varint();
    if (format === MARK_FORMAT && from.u8() === 1) shard.config = decodeGroupConfig(from);
    shard.#outcomes = ClientOutcomes.decode(from);
    return shard;
  }
}

/** Decides a request whose outcome is not known yet, and stages its writes if its conditions hold. */
const decide = (
  operations: readonly WriteOperation[],
  entry: EntryPosition,
  timeMs: number,
  storage: Storage,
): Outcome | NodeError => {
  const { group, term, index } = entry;
  const single = operations.length === 1;
  const existed: boolean[] = [];
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i]!;
    if (operation.kind === 'put' && !operation.ifAbsent && operation.ifVersion === undefined) {
      if (!single) existed.push(true);
      continue;
    }
    let current: StoredValue | undefined;
    try {
      current = live(storage.get(group, operation.key), timeMs);
    } catch (error) {
      return asNodeError(error);
    }
    const failure = conditionFailure(operation, current);
    if (failure !== undefined) {
      return {
        status: failure,
        term: current?.term ?? 0,
        index: current?.index ?? 0,
        existed: [],
        failedOperation: i,
        timeMs,
      };
    }
    existed.push(operation.kind === 'put' || current !== undefined);
  }
  for (const operation of operations) {
    if (operation.kind === 'put') {
      const expiresAtMs = operation.ttlMs > 0 ? timeMs + operation.ttlMs : 0;
      storage.stagePut(group, operation.key, operation.value, term, index, expiresAtMs);
    } else if (!single || existed[0]) {
      storage.stageDelete(group, operation.key);
    }
  }
  const found = !single ? existed : existed[0] === false ? DID_NOT_EXIST : EXISTED;
  return { status: 'done', term, index, existed: found, failedOperation: 0, timeMs };
};

/** A stored value unless it has expired by `timeMs`. */
const live = (stored: StoredValue | undefined, timeMs: number): StoredValue | undefined =>
  stored === undefined || (stored.expiresAtMs > 0 && stored.expiresAtMs <= timeMs) ? undefined : stored;

const conditionFailure = (
  operation: WriteOperation,
  current: StoredValue | undefined,
): 'already_exists' | 'version_mismatch' | undefined => {
  if (operation.ifAbsent && current !== undefined) return 'already_exists';
  const { ifVersion } = operation;
  if (ifVersion === undefined) return undefined;
  const holds = current !== undefined && current.term === ifVersion.term && current.index === ifVersion.index;
  return holds ? undefined : 'version_mismatch';
};
