// The client as applications use it. Methods check and translate; the dispatcher does the rest.
import { type KeyHasher, loadKeyHasher } from 'norikv-protocol';
import { Dispatcher } from './dispatcher.js';
import { errorText, invalidArgument, NoriError } from './errors.js';
import { Operation, type OperationRow } from './operation.js';
import { checkSignal, checkTimeout, type NoriClientOptions, resolveOptions } from './options.js';
import { batchRows, checkAtomic, deleteRow, getRow, putRow, toConsistency } from './requests.js';
import { scan } from './scan.js';
import type {
  BatchOperation,
  BatchOptions,
  BatchResult,
  Bytes,
  ClientStats,
  ClusterView,
  DeleteOptions,
  DeleteResult,
  GetOptions,
  GetResult,
  OperationOptions,
  PutOptions,
  PutResult,
  ScanEntry,
  ScanOptions,
} from './types.js';
import { ClusterWatch } from './watch.js';

const NO_OPTIONS = Object.freeze({});

/**
 * A client of one NoriKV cluster. One instance serves a whole process: operations of many callers travel together.
 *
 * Every operation settles by its deadline (`timeoutMs`), queued or not, connected or not; every failure is a
 * {@link NoriError}. Writes are retried safely: the node applies each at most once.
 */
export class NoriClient implements AsyncDisposable {
  readonly #dispatcher: Dispatcher;
  readonly #hasher: KeyHasher;

  private constructor(dispatcher: Dispatcher, hasher: KeyHasher) {
    this.#dispatcher = dispatcher;
    this.#hasher = hasher;
  }

  /**
   * Connects to a cluster. Resolves with the first endpoint that answers; those that do not are tried again later.
   *
   * @throws NoriError `UNAVAILABLE` if no endpoint can be reached, `CLUSTER_MISMATCH` if one belongs to another cluster
   * or maps keys to shards in a way this client does not know, `INVALID_ARGUMENT` for bad options
   */
  static async connect(options: NoriClientOptions): Promise<NoriClient> {
    const resolved = resolveOptions(options);
    const hasher = await loadKeyHasher();
    const dispatcher = new Dispatcher(resolved);
    try {
      await dispatcher.start();
    } catch (error) {
      dispatcher.close();
      throw error;
    }
    return new NoriClient(dispatcher, hasher);
  }

  /**
   * Writes a value.
   *
   * @throws NoriError `ALREADY_EXISTS` or `VERSION_MISMATCH` if its condition does not hold, `OUTCOME_UNKNOWN` if it may
   * or may not have been applied by its deadline
   */
  put(key: Bytes, value: Bytes, options: PutOptions = NO_OPTIONS): Promise<PutResult> {
    return this.#write(() => putRow(key, value, options), options) as Promise<PutResult>;
  }

  /** Reads a value; undefined if there is no such key. Every call asks the node: nothing is cached. */
  get(key: Bytes, options: GetOptions = NO_OPTIONS): Promise<GetResult | undefined> {
    try {
      const operation = new Operation(getRow(key), false, toConsistency(options.consistency));
      return this.#submit(operation, this.#shardOf(operation.key), options) as Promise<GetResult | undefined>;
    } catch (error) {
      return Promise.reject(asNoriError(error));
    }
  }

  /** Reads many values, in the order of `keys`. Each is read for itself; the first that fails fails the call. */
  getMany(keys: readonly Bytes[], options: GetOptions = NO_OPTIONS): Promise<(GetResult | undefined)[]> {
    if (!Array.isArray(keys)) return Promise.reject(invalidArgument('getMany takes an array of keys'));
    return Promise.all(keys.map((key: Bytes) => this.get(key, options)));
  }

  /** Deletes a key. @throws NoriError `VERSION_MISMATCH`, `OUTCOME_UNKNOWN` as for {@link put} */
  delete(key: Bytes, options: DeleteOptions = NO_OPTIONS): Promise<DeleteResult> {
    return this.#write(() => deleteRow(key, options.ifVersion), options) as Promise<DeleteResult>;
  }

  /**
   * Writes several keys; results in the order of `operations`. By default all happen together or none does, which needs
   * keys of one shard (`CROSS_SHARD` otherwise). With `atomic: false` each stands for itself; if one fails, the call
   * fails with that error, and `details.results` says what became of each.
   */
  async batch(operations: readonly BatchOperation[], options: BatchOptions = NO_OPTIONS): Promise<BatchResult[]> {
    const { atomic } = options;
    if (atomic !== undefined && typeof atomic !== 'boolean') throw invalidArgument('atomic must be true or false');
    const rows = batchRows(operations);
    if (rows.length === 0) return [];
    if (atomic === false) return this.#batchSeparately(rows, options);
    const shard = checkAtomic(rows, (key) => this.#shardOf(key));
    const operation = new Operation(rows[0]!, true, 0, rows);
    return this.#submit(operation, shard, options) as Promise<BatchResult[]>;
  }

  async #batchSeparately(rows: readonly OperationRow[], options: OperationOptions): Promise<BatchResult[]> {
    const settled = await Promise.allSettled(
      rows.map((row) => this.#write(() => row, options) as Promise<BatchResult>),
    );
    const results = settled.map((each) => (each.status === 'fulfilled' ? each.value : asNoriError(each.reason)));
    const failed = results.filter((result) => result instanceof NoriError);
    const [first] = failed;
    if (first === undefined) return results as BatchResult[];
    const message = `${failed.length} of ${rows.length} operations failed; the first: ${first.message}`;
    throw new NoriError(first.code, message, { ...first.details, results }, { cause: first });
  }

  /**
   * Iterates over keys in byte order. Each key is linearizable within its page; there is no snapshot across pages.
   * Leaving the loop ends the scan. Use the iterator for one loop only.
   */
  scan(options: ScanOptions = NO_OPTIONS): AsyncGenerator<ScanEntry, void, undefined> {
    return scan(this.#dispatcher, options, (key) => this.#shardOf(key));
  }

  /** Iterates over the views of the cluster: the one of now, then each newer one. Ends when the client closes. */
  watchCluster(options: { readonly signal?: AbortSignal } = NO_OPTIONS): AsyncIterableIterator<ClusterView> {
    return new ClusterWatch(this.#dispatcher, checkSignal(options.signal));
  }

  /** Counts since the client was made, levels and connections of now. */
  stats(): ClientStats {
    return this.#dispatcher.stats();
  }

  /**
   * Rejects what is pending (`CLIENT_CLOSED`; writes that were sent: `OUTCOME_UNKNOWN`), then ends all connections, after
   * which the client keeps no timer or socket alive. Idempotent. Await your operations first if you want their results.
   */
  async close(): Promise<void> {
    this.#dispatcher.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #write(makeRow: () => OperationRow, options: OperationOptions): Promise<unknown> {
    try {
      const operation = new Operation(makeRow(), true, 0);
      return this.#submit(operation, this.#shardOf(operation.key), options);
    } catch (error) {
      return Promise.reject(asNoriError(error));
    }
  }

  #submit(operation: Operation, shard: number, { timeoutMs, signal }: OperationOptions): Promise<unknown> {
    const dispatcher = this.#dispatcher;
    operation.shard = shard;
    const timeout = timeoutMs === undefined ? dispatcher.options.timeoutMs : checkTimeout(timeoutMs);
    return dispatcher.submit(operation, timeout, checkSignal(signal));
  }

  #shardOf(key: Uint8Array): number {
    return this.#hasher.shardOf(key, this.#dispatcher.map.shardCount);
  }
}

const asNoriError = (error: unknown): NoriError =>
  error instanceof NoriError ? error : new NoriError('INTERNAL', errorText(error), {}, { cause: error });
