// Frames on a stream: the length in four bytes, big-endian, then an envelope. A stream carries one request and one reply.
import { connect, type Socket } from 'node:net';
import type { HostPort } from '../address.js';
import { FRAME_BYTES_MAX } from '../wire/limits.js';

/** Collects the one frame that comes on a socket. */
export class FrameCollector {
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #wanted: number | undefined;

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The frame once it is complete. @throws RangeError when it is too long, empty, or followed by more */
  add(chunk: Uint8Array): Uint8Array | undefined {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < 4) return undefined;
    if (this.#wanted === undefined) {
      const [head] = this.#chunks;
      const length = head!.length >= 4 ? Buffer.from(head!.buffer, head!.byteOffset, 4) : Buffer.concat(this.#chunks);
      this.#wanted = length.readUInt32BE(0);
    }
    if (this.#wanted === 0 || this.#wanted > FRAME_BYTES_MAX || this.#bytes > 4 + this.#wanted) {
      throw new RangeError(`A frame of ${this.#wanted} bytes.`);
    }
    if (this.#bytes < 4 + this.#wanted) return undefined;
    const all = Buffer.concat(this.#chunks);
    return new Uint8Array(all.buffer, all.byteOffset + 4, this.#wanted);
  }
}

/** Writes a frame. Whoever asks leaves the stream open, or the other side would close it before its answer; whoever answers ends it. */
export function writeFrame(socket: Socket, frame: Uint8Array): void {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, frame.length);
  socket.cork();
  socket.write(head);
  socket.write(frame);
  socket.uncork();
}

/** What came of a request. */
export type RequestOutcome =
  | { readonly reply: Uint8Array }
  | { readonly failure: 'failed' | 'no-answer'; readonly message: string };

/** Sends one request and waits for its reply. Calls `done` once; the function that is returned gives up. */
export function requestFrame(
  { host, port }: HostPort,
  frame: Uint8Array,
  timeoutMs: number,
  done: (outcome: RequestOutcome) => void,
): () => void {
  const socket = connect({ host, port, noDelay: true });
  const collector = new FrameCollector();
  let isDone = false;
  const finish = (outcome: RequestOutcome | undefined) => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    socket.destroy();
    if (outcome !== undefined) done(outcome);
  };
  const timer = setTimeout(
    () => finish({ failure: 'no-answer', message: `no answer within ${Math.round(timeoutMs)} ms` }),
    timeoutMs,
  );
  socket.once('connect', () => writeFrame(socket, frame));
  socket.on('data', (chunk) => {
    try {
      const reply = collector.add(chunk);
      if (reply !== undefined) finish({ reply });
    } catch (error) {
      finish({ failure: 'failed', message: (error as Error).message });
    }
  });
  socket.on('error', (error) => finish({ failure: 'failed', message: error.message }));
  socket.on('close', () =>
    finish({ failure: 'failed', message: 'closed without an answer (another key, or not a member)' }),
  );
  return () => finish(undefined);
}
