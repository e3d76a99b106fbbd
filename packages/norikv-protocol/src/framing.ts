// Messages on a gRPC stream, for those who speak it on node:http2 core streams:
//
//   byte 0      0: not compressed (1, compressed, is refused: NoriKV streams never are)
//   bytes 1-4   length of the message, big-endian
//   …           the message
import { ProtocolError } from './errors.js';
import { LIMITS } from './limits.js';

/** Bytes before each message. */
export const MESSAGE_PREFIX_BYTES = 5;

/** Writes the prefix of a message of `length` bytes at `offset`. */
export const writeMessagePrefix = (target: Uint8Array, offset: number, length: number): void => {
  target[offset] = 0;
  target[offset + 1] = length >>> 24;
  target[offset + 2] = length >>> 16;
  target[offset + 3] = length >>> 8;
  target[offset + 4] = length;
};

/** A copy of `message` with its prefix, ready to be written. */
export const frameMessage = (message: Uint8Array): Uint8Array => {
  const framed = new Uint8Array(MESSAGE_PREFIX_BYTES + message.length);
  writeMessagePrefix(framed, 0, message.length);
  framed.set(message, MESSAGE_PREFIX_BYTES);
  return framed;
};

/**
 * Cuts the chunks of a stream into messages. A message that arrives in one chunk is handed on as a view of it; one that
 * arrives in several gets a buffer of its announced length, into which each chunk is copied once: the work is linear in
 * the bytes, and tiny chunks pin no memory.
 *
 * After an error has been thrown the splitter takes nothing more: end the stream.
 */
export class MessageSplitter {
  readonly #onMessage: (message: Uint8Array) => void;
  readonly #messageBytesMax: number;
  readonly #prefix = new Uint8Array(MESSAGE_PREFIX_BYTES);
  /** Bytes of the prefix that have arrived. */
  #prefixBytes = 0;
  #length = 0;
  /** The message being joined; of no use while `#filled` is 0. */
  #partial: Uint8Array = this.#prefix;
  #filled = 0;
  #failed = false;

  /**
   * @param onMessage called synchronously from {@link push} with each whole message, without its prefix
   * @param messageBytesMax longest message accepted; default: the limit of a request
   */
  constructor(onMessage: (message: Uint8Array) => void, messageBytesMax: number = LIMITS.requestBytesMax) {
    this.#onMessage = onMessage;
    this.#messageBytesMax = messageBytesMax;
  }

  /** Bytes held of a message that is not whole yet. 0 at the end of a stream that ended between messages. */
  get pendingBytes(): number {
    return this.#prefixBytes + this.#filled;
  }

  /**
   * Takes the next chunk. The splitter and the messages it hands on keep views of it: it must not be written to again.
   *
   * @throws ProtocolError `PROTOCOL_MESSAGE_TOO_LARGE`, `PROTOCOL_COMPRESSED` or `PROTOCOL_NOT_GRPC`
   */
  push(chunk: Uint8Array): void {
    let offset = 0;
    const end = chunk.length;
    while (!this.#failed) {
      while (this.#prefixBytes < MESSAGE_PREFIX_BYTES) {
        if (offset === end) return;
        this.#prefix[this.#prefixBytes++] = chunk[offset++]!;
        if (this.#prefixBytes === MESSAGE_PREFIX_BYTES) this.#readPrefix();
      }
      const missing = this.#length - this.#filled;
      const available = end - offset;
      if (available < missing) {
        if (available > 0) this.#fill(chunk.subarray(offset));
        return;
      }
      const last = chunk.subarray(offset, offset + missing);
      offset += missing;
      const message = this.#filled === 0 ? last : this.#fill(last);
      this.#prefixBytes = 0;
      this.#filled = 0;
      this.#onMessage(message);
    }
  }

  #readPrefix(): void {
    const p = this.#prefix;
    if (p[0] !== 0) {
      this.#failed = true;
      if (p[0] === 1) throw new ProtocolError('PROTOCOL_COMPRESSED', 'The peer sent a compressed message');
      throw new ProtocolError('PROTOCOL_NOT_GRPC', `A gRPC message cannot begin with byte ${p[0]}`);
    }
    this.#length = p[1]! * 0x1000000 + ((p[2]! << 16) | (p[3]! << 8) | p[4]!);
    if (this.#length > this.#messageBytesMax) {
      this.#failed = true;
      throw new ProtocolError(
        'PROTOCOL_MESSAGE_TOO_LARGE',
        `The peer announced a message of ${this.#length} bytes; the limit is ${this.#messageBytesMax}`,
      );
    }
  }

  #fill(part: Uint8Array): Uint8Array {
    if (this.#filled === 0) this.#partial = new Uint8Array(this.#length);
    this.#partial.set(part, this.#filled);
    this.#filled += part.length;
    return this.#partial;
  }
}
