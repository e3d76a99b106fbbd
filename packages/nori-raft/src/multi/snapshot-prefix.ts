// A snapshot's bytes with the outcomes of clients in front (docs/formats/raft-outcomes.md):
//
//   magic "nroc" | length u32 | outcomes | the state machine's own bytes
//
// Splits them again, whatever the sizes of the chunks they come in.
import { ByteWriter } from './byte-writer.js';
import { corruptOutcomes, outcomeBytesMax } from './outcome-codec.js';
import type { OutcomeLimits } from './outcome-table.js';
import type { SnapshotSource } from './ports.js';

const MAGIC = [0x6e, 0x72, 0x6f, 0x63];
const HEAD_BYTES = MAGIC.length + 4;

/** `source` with `outcomes` in front. */
export function withPrefix(outcomes: Uint8Array, source: SnapshotSource): SnapshotSource {
  const out = new ByteWriter(HEAD_BYTES + outcomes.length);
  for (const byte of MAGIC) out.u8(byte);
  out.u32(outcomes.length);
  out.raw(outcomes);
  const { bytes } = out;
  const { term, index, config } = source;
  return {
    term,
    index,
    config,
    read: (offset) => readFrom(bytes, source, offset),
    release: () => source.release(),
  };
}

async function* readFrom(prefix: Uint8Array, source: SnapshotSource, offset: number): AsyncGenerator<Uint8Array> {
  if (offset < prefix.length) yield prefix.subarray(offset);
  yield* source.read(Math.max(0, offset - prefix.length));
}

/** A snapshot whose outcomes have come; the rest is to be read. */
export interface PrefixedChunks {
  readonly prefix: Uint8Array;
  readonly rest: AsyncIterable<Uint8Array>;
  /** The rest is not wanted. */
  giveUp(): Promise<void>;
}

/** Reads the outcomes off the front. @throws RaftError RAFT_CORRUPT_STATE, and what `chunks` throws */
export async function readPrefixed(chunks: AsyncIterable<Uint8Array>, limits: OutcomeLimits): Promise<PrefixedChunks> {
  const iterator = chunks[Symbol.asyncIterator]();
  const giveUp = async () => {
    await iterator.return?.();
  };
  try {
    const buffer = new ChunkBuffer(iterator);
    const head = await buffer.take(HEAD_BYTES);
    if (MAGIC.some((byte, i) => head[i] !== byte)) {
      throw corruptOutcomes('A snapshot does not begin with outcomes of clients: its sender does not use exactlyOnce.');
    }
    const length = new DataView(head.buffer).getUint32(MAGIC.length, true);
    if (length > outcomeBytesMax(limits))
      throw corruptOutcomes(
        `A snapshot says it has ${length} bytes of outcomes, which no version makes. Stop its sender.`,
      );
    const prefix = await buffer.take(length);
    return { prefix, rest: restOf(buffer.left, iterator), giveUp };
  } catch (error) {
    await giveUp();
    throw error;
  }
}

async function* restOf(first: Uint8Array, iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  yield* { [Symbol.asyncIterator]: () => iterator };
}

/** Takes exact numbers of bytes from chunks; only what has come takes room. */
class ChunkBuffer {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(iterator: AsyncIterator<Uint8Array>) {
    this.#iterator = iterator;
  }

  /** The bytes that have come and were not taken. */
  get left(): Uint8Array {
    return this.#chunks[0] ?? new Uint8Array(0);
  }

  async take(count: number): Promise<Uint8Array> {
    while (this.#bytes < count) {
      const { value, done } = await this.#iterator.next();
      if (done === true)
        throw corruptOutcomes(
          'A snapshot ends within its outcomes of clients: the state machine of its sender does not give all it has.',
        );
      this.#chunks.push(value);
      this.#bytes += value.length;
    }
    const taken = new Uint8Array(count);
    let at = 0;
    let used = 0;
    while (at < count) {
      const chunk = this.#chunks[used]!;
      const part = chunk.subarray(0, count - at);
      taken.set(part, at);
      at += part.length;
      if (part.length < chunk.length) this.#chunks[used] = chunk.subarray(part.length);
      else used++;
    }
    this.#chunks.splice(0, used);
    this.#bytes -= count;
    return taken;
  }
}
