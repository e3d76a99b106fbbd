// Operations that are applied together or not at all. Holds references, column by column, so that filling one
// allocates nothing per operation. The owner must not change keys and values before the batch has been applied.
import { LsmError } from './errors.js';
import { checkEntrySize, fittedRange, KIND_PUT, KIND_RANGE_TOMBSTONE, KIND_TOMBSTONE } from './limits.js';

const NO_VALUE = new Uint8Array(0);

/** A reusable list of puts, deletes and deletes of ranges; within one batch the last operation on a key wins. */
export class WriteBatch {
  /** Columns, `count` long; for the engine and for tests. */
  readonly keys: Uint8Array[] = [];
  readonly values: Uint8Array[] = [];
  readonly kinds: number[] = [];
  readonly expiries: number[] = [];
  #count = 0;
  #bytes = 0;

  /** How many operations it holds. */
  get count(): number {
    return this.#count;
  }

  /** Sum of the lengths of its keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds a put. `expiresAtMs` is absolute (0: never).
   * @throws LsmError `LSM_KEY_TOO_LARGE`, `LSM_VALUE_TOO_LARGE`, `LSM_INVALID_ARGUMENT`
   */
  put(key: Uint8Array, value: Uint8Array, expiresAtMs = 0): this {
    checkEntrySize(key.length, value.length);
    if (!(expiresAtMs >= 0 && expiresAtMs <= Number.MAX_SAFE_INTEGER && Number.isInteger(expiresAtMs))) {
      throw new LsmError(
        'LSM_INVALID_ARGUMENT',
        `An expiry must be a whole number of milliseconds, got ${expiresAtMs}.`,
      );
    }
    this.#push(key, value, KIND_PUT, expiresAtMs);
    return this;
  }

  /** Adds a delete of `key`, whether it exists or not. */
  delete(key: Uint8Array): this {
    checkEntrySize(key.length, 0);
    this.#push(key, NO_VALUE, KIND_TOMBSTONE, 0);
    return this;
  }

  /** Adds a delete of all keys from `start` on and before `end` (empty: to the last key). An empty range adds nothing. */
  deleteRange(start: Uint8Array, end: Uint8Array): this {
    const fitting = fittedRange(start, end);
    if (fitting !== undefined) this.#push(...fitting, KIND_RANGE_TOMBSTONE, 0);
    return this;
  }

  /** Empties it, keeping its memory for the next use. */
  clear(): void {
    this.keys.length = this.values.length = this.kinds.length = this.expiries.length = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #push(key: Uint8Array, value: Uint8Array, kind: number, expiresAtMs: number): void {
    this.keys.push(key);
    this.values.push(value);
    this.kinds.push(kind);
    this.expiries.push(expiresAtMs);
    this.#count++;
    this.#bytes += key.length + value.length;
  }
}
