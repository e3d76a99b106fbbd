// Conditions of writes: a key must be absent, or its entry must have been made by a certain write. They are judged in the order of the
// calls, at the moment at which a call's operations would be applied, against all that was written before.
import { invalid, LsmError } from './errors.js';
import type { KeyMap } from './key-map.js';
import { KIND_PUT } from './limits.js';
import type { LogRecord } from './log-record.js';
import type { WriteConditions } from './types.js';

/** What a condition asks for is a version: the sequence number of the write that made an entry; 0: there is no entry. */
export interface Condition {
  /** As it is stored. */
  readonly key: Uint8Array;
  readonly version: number;
  /** Of its keyspace: what the caller calls the key. */
  readonly keys: KeyMap;
}

/** What judging needs of the engine. */
export interface JudgedState {
  /** Version of what a reader of `key` finds now; 0 if that is nothing. */
  versionOf(key: Uint8Array): number;
  /** Whether an entry of `key` with this expiry (0: never) is expired for a reader. */
  isExpired(key: Uint8Array, expiresAtMs: number): boolean;
}

const latin1 = new TextDecoder('latin1');
const SHOWN_BYTES_MAX = 40;

/** The condition that a write to `key` (as stored) states; undefined if it states none. @throws LsmError `LSM_INVALID_ARGUMENT` */
export const conditionOf = (key: Uint8Array, conditions: WriteConditions, keys: KeyMap): Condition | undefined => {
  const { ifAbsent, ifVersion } = conditions;
  if (ifAbsent !== undefined && typeof ifAbsent !== 'boolean')
    throw invalid(`ifAbsent must be a boolean, not ${ifAbsent}`);
  if (ifVersion === undefined && 'ifVersion' in conditions) {
    // From an entry that was not there, as a rule: a write without condition is the last thing that is wanted then.
    throw invalid('ifVersion is given, but undefined. 0 stands for a key that is absent');
  }
  if (ifVersion === undefined) return ifAbsent ? { key, version: 0, keys } : undefined;
  if (ifAbsent) throw invalid('ifAbsent and ifVersion exclude each other');
  if (!Number.isSafeInteger(ifVersion) || ifVersion < 0) {
    throw invalid(`ifVersion must be a version, as getEntry and cursors tell them, or 0, not ${ifVersion}`);
  }
  return { key, version: ifVersion, keys };
};

/** Judges calls one after the other, of which some may write to what others ask for before anything is applied. */
export class Judge {
  readonly #state: JudgedState;
  /** What the calls so far that may go on are going to write. */
  readonly #pending = new Map<string, { readonly version: number; readonly expiresAtMs: number }>();
  /** Whether the last condition was judged by such a write. */
  foundPending = false;

  constructor(state: JudgedState) {
    this.#state = state;
  }

  /** @throws LsmError `LSM_CONDITION_FAILED` with the first key whose condition does not hold; whatever reading throws */
  check(conditions: readonly Condition[]): void {
    for (const { key, version, keys } of conditions) {
      const found = this.#versionOf(key);
      if (found !== version) throw conditionFailed(keys.toKey(key, key.length), version, found);
    }
  }

  /**
   * Counts the operations of a call that may go on; the first of them gets sequence number `firstSeq`. Behind ranges that it deletes
   * nothing must be judged.
   */
  count(record: LogRecord, firstSeq: number): void {
    let seq = firstSeq;
    record.visit((key, kind, expiresAtMs) => {
      this.#pending.set(latin1.decode(key), { version: kind === KIND_PUT ? seq : 0, expiresAtMs });
      seq++;
    });
  }

  #versionOf(key: Uint8Array): number {
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(latin1.decode(key));
    this.foundPending = pending !== undefined;
    if (pending === undefined) return this.#state.versionOf(key);
    return this.#state.isExpired(key, pending.expiresAtMs) ? 0 : pending.version;
  }
}

const conditionFailed = (key: Uint8Array, version: number, found: number): LsmError => {
  const what = found === 0 ? 'is absent' : `has version ${found}`;
  const wanted = version === 0 ? 'absent' : `of version ${version}`;
  const message = `Nothing was written: key ${shown(key)} ${what}, and was to be ${wanted}. Read it again and decide anew.`;
  return new LsmError('LSM_CONDITION_FAILED', message, { key });
};

/** A key in a message: as text if it is plain, else in hexadecimal digits. */
const shown = (key: Uint8Array): string => {
  const begin = key.subarray(0, SHOWN_BYTES_MAX);
  const isPlain = begin.every((byte) => byte >= 0x20 && byte < 0x7f);
  const text = isPlain
    ? JSON.stringify(latin1.decode(begin))
    : `0x${Array.from(begin, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
  return key.length > SHOWN_BYTES_MAX ? `${text}… (${key.length} bytes)` : text;
};
