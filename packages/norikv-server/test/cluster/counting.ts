// Counters of three kinds, each of which shows when a write that was sent again was carried out again. Every caller writes until it
// knows the outcome; a count is right if no write was lost and none was done twice.
import { type NoriClient, NoriError, type Version } from 'norikv-client';
import { expect } from 'vitest';
import { freshValue, textOfVersion } from './store-client.js';

/** Longer than any misfortune: every write ends with an outcome that is known. */
const PATIENCE_MS = 120_000;
const options = { timeoutMs: PATIENCE_MS };

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);
const codeOf = (error: unknown): string => (error instanceof NoriError ? error.code : String(error));

/** Why a condition did not hold; anything else is thrown. */
const conditionFailed = (error: unknown): true => {
  const code = codeOf(error);
  if (code === 'VERSION_MISMATCH' || code === 'ALREADY_EXISTS') return true;
  throw error;
};

/** A number that is read and written on condition of its version: a write that is done twice by way of a retry fails its own condition. */
export class NumberCounter {
  readonly #key: string;
  #done = 0;

  constructor(name: string) {
    this.#key = `${name}/number`;
  }

  async increment(client: NoriClient): Promise<void> {
    for (;;) {
      const found = await client.get(this.#key, options);
      const condition = found === undefined ? { ifAbsent: true } : { ifVersion: found.version };
      try {
        await client.put(this.#key, String(Number(text(found?.value) ?? 0) + 1), { ...condition, ...options });
        this.#done++;
        return;
      } catch (error) {
        // For certain nothing was written: others were faster.
        conditionFailed(error);
      }
    }
  }

  async check(client: NoriClient): Promise<void> {
    const found = await client.get(this.#key, { consistency: 'linearizable', ...options });
    expect(Number(text(found?.value) ?? 0), this.#key).toBe(this.#done);
  }
}

/** Slots that are taken in order, without reading: who finds its own value in a slot that it was refused has been there before. */
export class SlotCounter {
  readonly #name: string;
  readonly #taken = new Map<number, string>();
  #next = 0;

  constructor(name: string) {
    this.#name = `${name}/slots`;
  }

  #key(slot: number): string {
    // Of one shard each.
    return `{${this.#name}}${slot}`;
  }

  async increment(client: NoriClient): Promise<void> {
    const value = freshValue();
    for (let slot = this.#next; ; slot++) {
      try {
        await client.put(this.#key(slot), value, { ifAbsent: true, ...options });
      } catch (error) {
        if (conditionFailed(error)) continue;
      }
      expect(this.#taken.has(slot), `${this.#key(slot)} was given away twice`).toBe(false);
      this.#taken.set(slot, value);
      this.#next = Math.max(this.#next, slot + 1);
      return;
    }
  }

  async check(client: NoriClient): Promise<void> {
    const found: string[] = [];
    for (let slot = 0; ; slot++) {
      const one = await client.get(this.#key(slot), { consistency: 'linearizable', ...options });
      if (one === undefined) break;
      found.push(text(one.value)!);
    }
    expect(found, this.#name).toEqual(found.map((_, slot) => this.#taken.get(slot)));
    expect(this.#taken.size, this.#name).toBe(found.length);
  }
}

/**
 * A key that one caller alone writes, deletes and writes again, blindly: an answer must tell of this write, which is done once. Done
 * twice, a write leaves another version than it was answered with, and a delete finds nothing to delete.
 */
export class ToggledKey {
  readonly #key: string;
  #last: { readonly value: string; readonly version: Version } | undefined;

  constructor(name: string) {
    this.#key = `${name}/toggled`;
  }

  async increment(client: NoriClient): Promise<void> {
    if (this.#last !== undefined) {
      const { deleted } = await client.delete(this.#key, options);
      expect(deleted, `${this.#key} was there to be deleted`).toBe(true);
    }
    for (const value of [freshValue(), freshValue()]) {
      const { version } = await client.put(this.#key, value, options);
      this.#last = { value, version };
    }
    await this.check(client);
  }

  async check(client: NoriClient): Promise<void> {
    if (this.#last === undefined) return;
    const { value, version } = this.#last;
    const found = await client.get(this.#key, { consistency: 'linearizable', ...options });
    const seen = found === undefined ? 'nothing' : `${text(found.value)} ${textOfVersion(found.version)}`;
    expect(seen, this.#key).toBe(`${value} ${textOfVersion(version)}`);
  }
}
