// Writes one table from front to back: entries in, data blocks out; index, filter, properties and footer follow at the end.
//
//   create → add … add → finish    the table is complete, and durable once its directory is synced
//                      ↘ abandon   the file is gone
//
// One writer is for one caller at a time. `add` is synchronous and does not allocate per entry; in the asynchronous variant its
// output is written in the background, so await `drain` when `needsDrain` says that the file cannot keep up.
import { compressWithSize, crc32c, type File, type FileSystem, varintSize, writeU32LE, writeVarint } from 'nori-io';
import { BloomFilterBuilder } from './bloom-filter.js';
import { copyBytes, copyView } from './compare.js';
import { SSTableError } from './errors.js';
import { type BlockHandle, encodeFooter } from './footer.js';
import {
  BLOCK_TRAILER_BYTES,
  COMPRESSION_NONE,
  FOOTER_BYTES,
  KEY_BYTES_MAX,
  KIND_HAS_EXPIRY,
  KIND_PUT,
  KIND_TOMBSTONE,
  VALUE_BYTES_MAX,
} from './format.js';
import { IndexBuilder } from './index-block.js';
import { hashKey, KeyHash } from './key-hash.js';
import { encodeProperties } from './properties-block.js';
import { TableOutput } from './table-output.js';
import type { EntryKind, TableProperties } from './types.js';
import { resolveWriterOptions, type SSTableWriterOptions, type WriterSettings } from './writer-options.js';

const ENTRY_HEADER_BYTES_MAX = 29;
const RESTARTS_INITIAL = 64;

/** Builds a table. */
export class SSTableWriter {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #settings: WriterSettings;
  readonly #file: File;
  readonly #output: TableOutput;
  readonly #isSync: boolean;
  readonly #index: IndexBuilder;
  readonly #filter: BloomFilterBuilder | undefined;
  readonly #hash = new KeyHash();
  #isFileClosed = false;
  #state: 'open' | 'finishing' | 'finished' | 'abandoned' = 'open';

  // The data block being built: begins at #blockStart in the output's buffer, unless #blockEntries is 0.
  #blockStart = 0;
  #blockEntries = 0;
  #restarts = new Uint32Array(RESTARTS_INITIAL);
  #restartCount = 0;

  #lastKey = new Uint8Array(256);
  #lastKeyLength = 0;
  #lastSeq = 0;

  #entries = 0;
  #keys = 0;
  #tombstones = 0;
  #expiring = 0;
  #keyBytes = 0;
  #valueBytes = 0;
  #smallestKey = new Uint8Array(0);
  #smallestSeq = Number.MAX_SAFE_INTEGER;
  #largestSeq = 0;
  #earliestExpiryMs = Number.MAX_SAFE_INTEGER;
  #latestExpiryMs = 0;

  private constructor(options: SSTableWriterOptions, settings: WriterSettings, file: File, isSync: boolean) {
    this.#fs = options.fs;
    this.#path = options.path;
    this.#settings = settings;
    this.#file = file;
    this.#isSync = isSync;
    this.#output = new TableOutput(file, isSync);
    this.#index = new IndexBuilder(settings.indexPartitionBytes);
    if (settings.bloomBitsPerKey > 0) this.#filter = new BloomFilterBuilder(settings.bloomBitsPerKey);
  }

  /**
   * Creates the file, which must not exist (`IO_EXISTS`).
   * @throws SSTableError `SSTABLE_INVALID_OPTION`, `SSTABLE_UNSUPPORTED_COMPRESSION`; IoError
   */
  static async create(options: SSTableWriterOptions): Promise<SSTableWriter> {
    const settings = resolveWriterOptions(options);
    return new SSTableWriter(options, settings, await options.fs.open(options.path, 'create'), false);
  }

  /** As {@link SSTableWriter.create}, on the calling thread; `add` then writes on the calling thread too. For workers. */
  static createSync(options: SSTableWriterOptions): SSTableWriter {
    const settings = resolveWriterOptions(options);
    return new SSTableWriter(options, settings, options.fs.openSync(options.path, 'create'), true);
  }

  /**
   * Adds an entry behind all added before: by key ascending (bytewise), then by `seq` descending. `key` and `value` are copied
   * and may be views that change afterwards. `expiresAtMs` 0 means never. After an error the entry was not added.
   * @throws SSTableError `SSTABLE_OUT_OF_ORDER`, `SSTABLE_LIMIT_EXCEEDED`, `SSTABLE_CLOSED`; IoError of an earlier write
   */
  add(key: Uint8Array, seq: number, kind: EntryKind, expiresAtMs: number, value: Uint8Array): void {
    const at = this.#beginEntry(key, seq, kind, expiresAtMs, value.length);
    copyBytes(this.#output.buffer, at, value, 0, value.length);
    this.#endEntry(key.length, seq, kind, at, value.length);
  }

  /** As {@link SSTableWriter.add}, of a value that lies at `valueStart` of larger memory, and without a view made for it. */
  addFrom(
    key: Uint8Array,
    seq: number,
    kind: EntryKind,
    expiresAtMs: number,
    memory: DataView,
    valueStart: number,
    valueLength: number,
  ): void {
    if (!(valueStart >= 0 && valueLength >= 0 && valueStart + valueLength <= memory.byteLength)) {
      throw new RangeError(`No value of ${valueLength} bytes can be at ${valueStart} of ${memory.byteLength} bytes`);
    }
    const at = this.#beginEntry(key, seq, kind, expiresAtMs, valueLength);
    copyView(this.#output.view, at, memory, valueStart, valueLength);
    this.#endEntry(key.length, seq, kind, at, valueLength);
  }

  /** Checks an entry and writes all of it but its value; returns where in the output's buffer that goes. */
  #beginEntry(key: Uint8Array, seq: number, kind: EntryKind, expiresAtMs: number, valueLength: number): number {
    this.#assertOpen();
    const keyLength = key.length;
    this.#checkEntry(keyLength, seq, kind, expiresAtMs, valueLength);

    const lastKey = this.#lastKey;
    const lastKeyLength = this.#lastKeyLength;
    const lengthMin = keyLength < lastKeyLength ? keyLength : lastKeyLength;
    let common = 0;
    while (common < lengthMin && key[common] === lastKey[common]) common++;
    const isSameKey = common === keyLength && common === lastKeyLength && this.#entries > 0;
    if (isSameKey) {
      if (seq >= this.#lastSeq) throw this.#outOfOrder();
    } else if (common === keyLength ? this.#entries > 0 : common < lastKeyLength && key[common]! < lastKey[common]!) {
      throw this.#outOfOrder();
    }

    let isRestart = this.#blockEntries % this.#settings.restartInterval === 0;
    let shared = isRestart ? 0 : common;
    if (this.#blockEntries > 0) {
      const restartBytes = 4 * (this.#restartCount + (isRestart ? 2 : 1));
      const entryBytes = entrySize(shared, keyLength - shared, valueLength, seq, expiresAtMs);
      const blockBytes = this.#output.length - this.#blockStart + entryBytes + restartBytes;
      if (blockBytes > this.#settings.blockBytes) {
        if (isSameKey) this.#finishBlock(lastKey, lastKeyLength, this.#lastSeq);
        else if (common + 1 < lastKeyLength && common + 1 < keyLength) this.#finishBlock(key, common + 1, 0);
        else this.#finishBlock(lastKey, lastKeyLength, 0);
        isRestart = true;
        shared = 0;
      }
    }
    if (this.#blockEntries === 0) this.#blockStart = this.#output.length;
    if (isRestart) this.#addRestart();

    const output = this.#output;
    output.reserve(ENTRY_HEADER_BYTES_MAX + keyLength + valueLength);
    const buffer = output.buffer;
    let at = writeVarint(buffer, output.length, shared);
    at = writeVarint(buffer, at, keyLength - shared);
    at = writeVarint(buffer, at, valueLength);
    if (expiresAtMs === 0) {
      buffer[at++] = kind;
      at = writeVarint(buffer, at, seq);
    } else {
      buffer[at++] = kind | KIND_HAS_EXPIRY;
      at = writeVarint(buffer, at, seq);
      at = writeVarint(buffer, at, expiresAtMs);
      this.#countExpiry(expiresAtMs);
    }
    copyBytes(buffer, at, key, shared, keyLength);
    if (!isSameKey) this.#beginKey(key, common);
    return at + keyLength - shared;
  }

  /** Takes an entry into account whose value lies at `at` in the output's buffer. */
  #endEntry(keyLength: number, seq: number, kind: EntryKind, at: number, valueLength: number): void {
    this.#output.length = at + valueLength;
    this.#blockEntries++;
    this.#lastSeq = seq;
    if (seq < this.#smallestSeq) this.#smallestSeq = seq;
    if (seq > this.#largestSeq) this.#largestSeq = seq;
    if (kind === KIND_TOMBSTONE) this.#tombstones++;
    this.#keyBytes += keyLength;
    this.#valueBytes += valueLength;
    this.#entries++;
  }

  /** Entries added so far. */
  get entries(): number {
    return this.#entries;
  }

  /** About how large the file would be if it were finished now, in bytes. */
  get estimatedFileBytes(): number {
    const filterBytes = this.#filter ? this.#filter.sizeBytes + BLOCK_TRAILER_BYTES : 0;
    const indexBytes = this.#index.sizeBytes + BLOCK_TRAILER_BYTES;
    return this.#output.position + filterBytes + indexBytes + FOOTER_BYTES;
  }

  /** True while much output waits for the file (asynchronous variant): await {@link SSTableWriter.drain} before adding more. */
  get needsDrain(): boolean {
    return this.#output.needsDrain;
  }

  /** Waits until output handed to the file is written. Rejects with the IoError of a write that failed. */
  drain(): Promise<void> {
    return this.#output.drain();
  }

  /**
   * Completes the table: writes the rest, syncs the data, closes the file. The name becomes durable with the sync of its
   * directory, which is the caller's. After an error, call {@link SSTableWriter.abandon}.
   */
  async finish(): Promise<TableProperties> {
    this.#assertOpen();
    this.#state = 'finishing';
    const properties = this.#writeTail();
    await this.#output.write();
    await this.#file.datasync();
    this.#isFileClosed = true;
    await this.#file.close();
    this.#state = 'finished';
    return properties;
  }

  /** As {@link SSTableWriter.finish}, on the calling thread; only for a writer made by `createSync`. */
  finishSync(): TableProperties {
    this.#assertOpen();
    if (!this.#isSync) {
      throw new SSTableError(
        'SSTABLE_INVALID_OPTION',
        'finishSync needs a writer made by createSync. Await finish instead',
      );
    }
    this.#state = 'finishing';
    const properties = this.#writeTail();
    this.#output.writeSync();
    this.#file.datasyncSync();
    this.#isFileClosed = true;
    this.#file.closeSync();
    this.#state = 'finished';
    return properties;
  }

  /** Gives up: closes and removes the file. Does nothing if the table was finished or abandoned before. */
  async abandon(): Promise<void> {
    if (this.#state === 'finished' || this.#state === 'abandoned') return;
    this.#state = 'abandoned';
    await this.#output.settled();
    try {
      if (!this.#isFileClosed) await this.#file.close();
    } finally {
      await this.#fs.unlink(this.#path);
    }
  }

  /** Abandons the table unless it was finished. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.abandon();
  }

  #checkEntry(keyLength: number, seq: number, kind: number, expiresAtMs: number, valueLength: number): void {
    if (keyLength > KEY_BYTES_MAX) throw limitExceeded(`A key has ${keyLength} bytes, ${KEY_BYTES_MAX} is the limit`);
    if (valueLength > VALUE_BYTES_MAX) {
      throw limitExceeded(`A value has ${valueLength} bytes, ${VALUE_BYTES_MAX} is the limit`);
    }
    if (!Number.isSafeInteger(seq) || seq < 0)
      throw limitExceeded(`seq must be an integer from 0 to 2^53 - 1, it is ${seq}`);
    if (expiresAtMs !== 0 && (!Number.isSafeInteger(expiresAtMs) || expiresAtMs < 0)) {
      throw limitExceeded(`expiresAtMs must be an integer from 0 to 2^53 - 1, it is ${expiresAtMs}`);
    }
    if (kind !== KIND_PUT && kind !== KIND_TOMBSTONE) throw limitExceeded(`kind must be 1 or 2, it is ${kind}`);
  }

  #beginKey(key: Uint8Array, common: number): void {
    if (this.#keys === 0) this.#smallestKey = key.slice();
    this.#keys++;
    if (this.#filter) this.#filter.add(hashKey(key, this.#hash));
    if (key.length > this.#lastKey.length) {
      const grown = new Uint8Array(2 * key.length);
      grown.set(this.#lastKey.subarray(0, common));
      this.#lastKey = grown;
    }
    copyBytes(this.#lastKey, common, key, common, key.length);
    this.#lastKeyLength = key.length;
  }

  #countExpiry(expiresAtMs: number): void {
    this.#expiring++;
    if (expiresAtMs < this.#earliestExpiryMs) this.#earliestExpiryMs = expiresAtMs;
    if (expiresAtMs > this.#latestExpiryMs) this.#latestExpiryMs = expiresAtMs;
  }

  #addRestart(): void {
    if (this.#restartCount === this.#restarts.length) {
      const grown = new Uint32Array(2 * this.#restartCount);
      grown.set(this.#restarts);
      this.#restarts = grown;
    }
    this.#restarts[this.#restartCount++] = this.#output.length - this.#blockStart;
  }

  // Ends the data block; the separator is separatorKey[0..separatorLength), separatorSeq.
  #finishBlock(separatorKey: Uint8Array, separatorLength: number, separatorSeq: number): void {
    const output = this.#output;
    output.reserve(4 * (this.#restartCount + 1) + BLOCK_TRAILER_BYTES);
    for (let i = 0; i < this.#restartCount; i++) {
      writeU32LE(output.buffer, output.length, this.#restarts[i]!);
      output.length += 4;
    }
    writeU32LE(output.buffer, output.length, this.#restartCount);
    output.length += 4;
    const handle = this.#writeTrailer(this.#blockStart, this.#compressBlock());
    this.#index.add(separatorKey, separatorLength, separatorSeq, handle.offset, handle.size);
    this.#blockEntries = 0;
    this.#restartCount = 0;
    output.flushIfFull();
  }

  // Compresses the data block at the end of the output where it lies, if that pays; returns its compression type.
  #compressBlock(): number {
    const output = this.#output;
    const start = this.#blockStart;
    const { codec } = this.#settings;
    const stored = compressWithSize(codec, output.buffer, start, output.length);
    if (stored === undefined) return COMPRESSION_NONE;
    output.buffer.set(stored, start);
    output.length = start + stored.length;
    return codec.id;
  }

  // Ends the block that begins at `start` in the output's buffer.
  #writeTrailer(start: number, compression = COMPRESSION_NONE): BlockHandle {
    const output = this.#output;
    const end = output.length;
    output.reserve(BLOCK_TRAILER_BYTES);
    output.buffer[end] = compression;
    writeU32LE(output.buffer, end + 1, crc32c(output.buffer, start, end + 1));
    output.length = end + BLOCK_TRAILER_BYTES;
    return { offset: output.fileOffset + start, size: end - start };
  }

  #writeBlock(contents: Uint8Array): BlockHandle {
    const output = this.#output;
    const start = output.length;
    output.reserve(contents.length + BLOCK_TRAILER_BYTES);
    output.buffer.set(contents, start);
    output.length += contents.length;
    return this.#writeTrailer(start);
  }

  #writeTail(): TableProperties {
    if (this.#blockEntries > 0) this.#finishBlock(this.#lastKey, this.#lastKeyLength, 0);
    const dataBytes = this.#output.position;
    const hasTwoLevelIndex = this.#index.isLarge;
    const upperLevel = hasTwoLevelIndex
      ? this.#index.buildTwoLevels((contents) => this.#writeBlock(contents))
      : this.#index.build();
    const filter = this.#filter && this.#writeBlock(this.#filter.build());
    const index = this.#writeBlock(upperLevel);
    const properties = {
      entries: this.#entries,
      keys: this.#keys,
      tombstones: this.#tombstones,
      expiring: this.#expiring,
      smallestKey: this.#smallestKey,
      largestKey: this.#lastKey.slice(0, this.#lastKeyLength),
      smallestSeq: this.#entries > 0 ? this.#smallestSeq : 0,
      largestSeq: this.#largestSeq,
      earliestExpiryMs: this.#expiring > 0 ? this.#earliestExpiryMs : 0,
      latestExpiryMs: this.#latestExpiryMs,
      keyBytes: this.#keyBytes,
      valueBytes: this.#valueBytes,
      dataBlocks: this.#index.count,
      dataBytes,
      level: this.#settings.level,
      blockBytes: this.#settings.blockBytes,
      restartInterval: this.#settings.restartInterval,
      bloomBitsPerKey: this.#settings.bloomBitsPerKey,
      compression: this.#settings.codec.name,
      extra: this.#settings.extra,
    };
    const propertiesHandle = this.#writeBlock(encodeProperties(properties));
    const footer = encodeFooter({ index, properties: propertiesHandle, filter, hasTwoLevelIndex });
    const output = this.#output;
    output.reserve(footer.length);
    output.buffer.set(footer, output.length);
    output.length += footer.length;
    return { ...properties, fileBytes: output.position };
  }

  #assertOpen(): void {
    if (this.#state === 'open') return;
    throw new SSTableError('SSTABLE_CLOSED', 'The writer was finished or abandoned. Create another', {
      file: this.#path,
    });
  }

  #outOfOrder(): SSTableError {
    const message = 'An entry must come after the one before it: key ascending, then seq descending. Sort the input';
    return new SSTableError('SSTABLE_OUT_OF_ORDER', message, { file: this.#path });
  }
}

function entrySize(shared: number, unshared: number, valueLength: number, seq: number, expiresAtMs: number): number {
  const lengths = varintSize(shared) + varintSize(unshared) + varintSize(valueLength);
  return lengths + 1 + varintSize(seq) + (expiresAtMs === 0 ? 0 : varintSize(expiresAtMs)) + unshared + valueLength;
}

function limitExceeded(message: string): SSTableError {
  return new SSTableError('SSTABLE_LIMIT_EXCEEDED', message);
}
