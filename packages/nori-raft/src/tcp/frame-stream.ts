// Frames on a stream of bytes: each behind its length, a u32. A length of 0 is a sign of life.
import { RaftError } from '../errors.js';

/** Bytes before each frame. */
export const LENGTH_BYTES = 4;

/** A sign of life. */
export const SIGN_OF_LIFE = new Uint8Array(LENGTH_BYTES);

/** Frames up to this size are copied together, larger ones are written as they are. */
const COPY_BYTES_MAX = 16 * 1024;

/** Cuts frames out of what a socket reads. */
export class FrameStreamReader {
  readonly #frameBytesMax: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  /** Length of the frame that has begun, as far as its four bytes are known. */
  #length = 0;
  #lengthBytes = 0;
  /** Pieces of that frame. They are joined once, when all are there: joining at every read would be quadratic. */
  #pieces: Uint8Array[] = [];
  #have = 0;

  constructor(frameBytesMax: number, onFrame: (frame: Uint8Array) => void) {
    this.#frameBytesMax = frameBytesMax;
    this.#onFrame = onFrame;
  }

  /**
   * Calls `onFrame` for every frame that is complete. A frame that lies within a chunk is a view of it.
   * @param wanted asked after each frame; the rest of the chunk is forgotten once it says no
   * @throws RaftError RAFT_BAD_FRAME when a frame is over the limit; and whatever `onFrame` throws
   */
  push(chunk: Uint8Array, wanted: () => boolean): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#lengthBytes < LENGTH_BYTES) {
        this.#length += chunk[at++]! * 2 ** (8 * this.#lengthBytes++);
        if (this.#lengthBytes < LENGTH_BYTES) continue;
        if (this.#length > this.#frameBytesMax) {
          const why = `${this.#length} bytes are over the limit of ${this.#frameBytesMax}`;
          throw new RaftError('RAFT_BAD_FRAME', `A frame is refused: ${why}.`);
        }
        if (this.#length === 0) this.#lengthBytes = 0;
        continue;
      }
      const piece = chunk.subarray(at, at + this.#length - this.#have);
      at += piece.length;
      this.#have += piece.length;
      if (this.#have < this.#length) {
        this.#pieces.push(piece);
        return;
      }
      const frame = this.#pieces.length === 0 ? piece : this.#join(piece);
      this.#length = 0;
      this.#lengthBytes = 0;
      this.#have = 0;
      this.#onFrame(frame);
      if (!wanted()) return;
    }
  }

  #join(last: Uint8Array): Uint8Array {
    const frame = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      frame.set(piece, at);
      at += piece.length;
    }
    frame.set(last, at);
    this.#pieces = [];
    return frame;
  }
}

/**
 * What has to be written for some frames, in as few pieces as is cheap: lengths and small frames are copied into one
 * buffer, large frames are not copied.
 */
export function framesToWrite(frames: readonly Uint8Array[]): Uint8Array[] {
  let copied = 0;
  for (const { length } of frames) copied += LENGTH_BYTES + (length <= COPY_BYTES_MAX ? length : 0);
  const buffer = new Uint8Array(copied);
  const pieces: Uint8Array[] = [];
  let start = 0;
  let at = 0;
  for (const frame of frames) {
    const { length } = frame;
    buffer[at] = length;
    buffer[at + 1] = length >>> 8;
    buffer[at + 2] = length >>> 16;
    buffer[at + 3] = length >>> 24;
    at += LENGTH_BYTES;
    if (length <= COPY_BYTES_MAX) {
      buffer.set(frame, at);
      at += length;
    } else {
      pieces.push(buffer.subarray(start, at), frame);
      start = at;
    }
  }
  if (at > start) pieces.push(buffer.subarray(start, at));
  return pieces;
}
