// What a writer has encoded and not yet written. Encoders put bytes straight into `buffer` at `length`; full chunks go to the
// file, on the calling thread or, in the asynchronous variant, one after the other behind the caller's back.
import type { File } from 'nori-io';

const CHUNK_BYTES = 512 * 1024;
const INITIAL_BYTES = 64 * 1024;
const SPARE_BUFFERS_MAX = 2;
/** From so many bytes on that wait for the file, a caller of the asynchronous variant should pause. */
const BACKLOG_BYTES_MAX = 4 * 1024 * 1024;

export class TableOutput {
  /** Bytes to be written: `length` of them, which begin at `fileOffset` in the file. */
  buffer: Uint8Array = new Uint8Array(INITIAL_BYTES);
  /** A view of `buffer`. */
  view = viewOf(this.buffer);
  length = 0;
  fileOffset = 0;
  readonly #file: File;
  readonly #isSync: boolean;
  readonly #spares: Uint8Array[] = [];
  #writes: Promise<void> = Promise.resolve();
  #backlogBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(file: File, isSync: boolean) {
    this.#file = file;
    this.#isSync = isSync;
  }

  /** Offset in the file of the next byte. */
  get position(): number {
    return this.fileOffset + this.length;
  }

  get needsDrain(): boolean {
    return this.#backlogBytes >= BACKLOG_BYTES_MAX;
  }

  /** Makes room for `bytes` behind `length`. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.buffer.length));
    grown.set(this.buffer.subarray(0, this.length));
    this.#use(grown);
  }

  /** Hands the bytes to the file once they fill a chunk. Call it between blocks: what was handed over cannot be changed. */
  flushIfFull(): void {
    this.throwFailure();
    if (this.length < CHUNK_BYTES) return;
    if (this.#isSync) this.writeSync();
    else this.#enqueue();
  }

  /** Writes all bytes on the calling thread. */
  writeSync(): void {
    if (this.length > 0) this.#file.writeSync(this.buffer.subarray(0, this.length), this.fileOffset);
    this.#advance();
  }

  /** Writes all bytes, and waits for those on their way. Rejects with the first error that any write had. */
  async write(): Promise<void> {
    if (this.length > 0) this.#enqueue();
    await this.drain();
  }

  /** Waits for the writes on their way. */
  async drain(): Promise<void> {
    await this.#writes;
    this.throwFailure();
  }

  /** Waits until nothing is on its way, whether it succeeds or not. */
  settled(): Promise<void> {
    return this.#writes;
  }

  throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #use(buffer: Uint8Array): void {
    this.buffer = buffer;
    this.view = viewOf(buffer);
  }

  #enqueue(): void {
    const { buffer, length, fileOffset } = this;
    this.#backlogBytes += length;
    this.#writes = this.#writes.then(() => this.#writeChunk(buffer, length, fileOffset));
    this.#use(this.#spares.pop() ?? new Uint8Array(Math.min(buffer.length, 2 * CHUNK_BYTES)));
    this.#advance();
  }

  async #writeChunk(buffer: Uint8Array, length: number, fileOffset: number): Promise<void> {
    try {
      if (!this.#failure) await this.#file.write([buffer.subarray(0, length)], fileOffset);
    } catch (error) {
      this.#failure = { error };
    }
    this.#backlogBytes -= length;
    if (buffer.length <= 2 * CHUNK_BYTES && this.#spares.length < SPARE_BUFFERS_MAX) this.#spares.push(buffer);
  }

  #advance(): void {
    this.fileOffset += this.length;
    this.length = 0;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
