// A caller of the store: one call at a time through the real client. What it saw goes to a history that the checker of nori-testkit
// judges. A write counts as not done when the client says so, whatever the reason: only OUTCOME_UNKNOWN leaves it open.

import { FAILED, type Operation, type RegisterInput, type RegisterOutput, UNKNOWN } from 'nori-testkit';
import { type Consistency, type GetResult, type NoriClient, NoriError, type Version } from 'norikv-client';

export type StoreOperation = Operation<RegisterInput, RegisterOutput>;

let values = 0;
/** A value that nobody has written. */
export const freshValue = (): string => `v${++values}`;

/** Errors that stand for the state of the cluster. All others are defects. */
const EXPECTED: ReadonlySet<string> = new Set([
  'COMMIT_TIMEOUT',
  'DEADLINE_EXCEEDED',
  'NOT_LEADER',
  'OUTCOME_UNKNOWN',
  'QUORUM_UNAVAILABLE',
  'RESOURCE_EXHAUSTED',
  'UNAVAILABLE',
]);

export const textOfVersion = ({ term, index }: Version): string => `${term}.${index}`;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What all callers of a test share. */
export class Notes {
  /** Of each value that was seen, its version: always the same. */
  readonly #versions = new Map<string, string>();
  /** Failures by code. */
  readonly failures = new Map<string, number>();
  /** Answers that cannot be, whatever the order. */
  readonly wrong: string[] = [];

  sawVersion(value: string, version: Version): void {
    const known = this.#versions.get(value);
    const seen = textOfVersion(version);
    if (known === undefined) this.#versions.set(value, seen);
    else if (known !== seen) this.wrong.push(`${value} had version ${known} and has ${seen}`);
  }

  failed(error: unknown): string {
    if (!(error instanceof NoriError)) throw error;
    if (!EXPECTED.has(error.code)) {
      const last = error.details.attempts.at(-1);
      throw new Error(`A call failed with ${error.code}: ${error.message} ${JSON.stringify(last)}`, { cause: error });
    }
    this.failures.set(error.code, (this.failures.get(error.code) ?? 0) + 1);
    return error.code;
  }
}

/** What a caller knows of a key: for compare-and-set. */
interface Known {
  readonly value: string;
  readonly version: Version;
}

export class StoreClient {
  readonly #answered: StoreOperation[] = [];
  /** The write that is under way. */
  #underWay: StoreOperation | undefined;
  readonly #client: NoriClient;
  readonly #notes: Notes;
  readonly #process: number;
  readonly #known = new Map<string, Known | undefined>();
  timeoutMs = 6000;

  /** @param process its number in the history; scans take those from `process * 1000` on */
  constructor(client: NoriClient, notes: Notes, process: number) {
    this.#client = client;
    this.#notes = notes;
    this.#process = process;
  }

  /** What it saw; a write that is under way counts as one of unknown outcome. */
  get history(): StoreOperation[] {
    return this.#underWay === undefined ? this.#answered : [...this.#answered, this.#underWay];
  }

  /** Resolves with the value, null when there is none, undefined when it could not be read. */
  async get(key: string, consistency: Consistency = 'lease'): Promise<string | null | undefined> {
    const callAt = performance.now();
    let found: GetResult | undefined;
    try {
      found = await this.#client.get(key, { consistency, timeoutMs: this.timeoutMs });
    } catch (error) {
      this.#notes.failed(error);
      this.#record({ f: 'get', key }, FAILED, callAt);
      return undefined;
    }
    const value = this.#saw(key, found);
    this.#record({ f: 'get', key }, value, callAt);
    return value ?? null;
  }

  /** Resolves with whether it was written; undefined: nobody knows. */
  async put(key: string, value = freshValue()): Promise<boolean | undefined> {
    return this.#write({ f: 'put', key, value }, async () => {
      const { version } = await this.#client.put(key, value, { timeoutMs: this.timeoutMs });
      this.#notes.sawVersion(value, version);
      this.#known.set(key, { value, version });
      return undefined;
    });
  }

  /** Writes if the key is as this caller has last seen it. Resolves with whether it was written; undefined: nobody knows. */
  async compareAndSet(key: string, value = freshValue()): Promise<boolean | undefined> {
    if (!this.#known.has(key)) await this.get(key);
    const known = this.#known.get(key);
    return this.#write({ f: 'cas', key, expected: known?.value, value }, async () => {
      const condition = known === undefined ? { ifAbsent: true } : { ifVersion: known.version };
      try {
        const { version } = await this.#client.put(key, value, { ...condition, timeoutMs: this.timeoutMs });
        this.#notes.sawVersion(value, version);
        this.#known.set(key, { value, version });
        return true;
      } catch (error) {
        const code = error instanceof NoriError ? error.code : '';
        if (code !== 'VERSION_MISMATCH' && code !== 'ALREADY_EXISTS') throw error;
        this.#known.delete(key);
        return false;
      }
    });
  }

  async delete(key: string): Promise<boolean | undefined> {
    return this.#write({ f: 'delete', key }, async () => {
      const { deleted } = await this.#client.delete(key, { timeoutMs: this.timeoutMs });
      this.#known.set(key, undefined);
      return deleted;
    });
  }

  /** Reads all keys with a prefix, few enough for one page: each of `keys` counts as read within the call and the return, there or not. */
  async scan(prefix: string, keys: readonly string[], consistency: Consistency = 'lease'): Promise<boolean> {
    const callAt = performance.now();
    const found = new Map<string, GetResult>();
    let before = '';
    try {
      for await (const entry of this.#client.scan({ prefix, consistency, timeoutMs: this.timeoutMs })) {
        const key = text(entry.key);
        if (key <= before || !keys.includes(key))
          this.#notes.wrong.push(`a scan of ${prefix} has ${key} after ${before}`);
        before = key;
        found.set(key, entry);
      }
    } catch (error) {
      this.#notes.failed(error);
      return false;
    }
    keys.forEach((key, i) => {
      const value = this.#saw(key, found.get(key));
      this.#record({ f: 'get', key }, value, callAt, this.#process * 1000 + i);
    });
    return true;
  }

  #saw(key: string, found: GetResult | undefined): string | undefined {
    if (found === undefined) {
      this.#known.set(key, undefined);
      return undefined;
    }
    const value = text(found.value);
    this.#notes.sawVersion(value, found.version);
    this.#known.set(key, { value, version: found.version });
    return value;
  }

  async #write(input: RegisterInput, call: () => Promise<RegisterOutput>): Promise<boolean | undefined> {
    const callAt = performance.now();
    this.#underWay = { process: this.#process, input, output: UNKNOWN, callAt };
    try {
      const output = await call();
      this.#record(input, output, callAt);
      return output !== false || input.f === 'delete';
    } catch (error) {
      this.#known.delete(input.key);
      const isUnknown = this.#notes.failed(error) === 'OUTCOME_UNKNOWN';
      this.#record(input, isUnknown ? UNKNOWN : FAILED, callAt);
      return isUnknown ? undefined : false;
    } finally {
      this.#underWay = undefined;
    }
  }

  #record(input: RegisterInput, output: StoreOperation['output'], callAt: number, process = this.#process): void {
    this.#answered.push({ process, input, output, callAt, returnAt: performance.now() });
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
