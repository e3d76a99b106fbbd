// Packets and frames: payloads in their envelopes. A payload is an array, the cluster's name first, then the messages.
import type { Message, StreamReply, StreamRequest } from '../core/messages.js';
import { SwimError } from '../errors.js';
import { PLAIN_HEAD_BYTES, type Sealer, unwrap, wrap } from './envelope.js';
import { CLUSTER_BYTES_MAX, MESSAGES_PER_PACKET_MAX } from './limits.js';
import { type AnyMessage, readMessage, readReply, readRequest, writeMessage } from './message-codec.js';
import { MsgpackReader } from './msgpack-reader.js';
import { MsgpackWriter } from './msgpack-writer.js';

/** Writes and reads what one node sends and gets. */
export class PacketCodec {
  readonly #cluster: string;
  readonly #sealer: Sealer | undefined;
  readonly #writer = new MsgpackWriter();

  /** @param cluster packets of clusters with another name are refused */
  constructor(cluster: string, sealer?: Sealer) {
    this.#cluster = cluster;
    this.#sealer = sealer;
  }

  encode(messages: readonly AnyMessage[]): Uint8Array {
    this.#writer.array(1 + messages.length);
    this.#writer.text(this.#cluster);
    for (const message of messages) writeMessage(this.#writer, message);
    return wrap(this.#writer.finish(PLAIN_HEAD_BYTES), this.#sealer);
  }

  /** @throws SwimError, see {@link unwrap} */
  decodePacket(bytes: Uint8Array): Message[] {
    return this.#decode(bytes, readMessage);
  }

  /** @throws SwimError, see {@link unwrap} */
  decodeRequest(bytes: Uint8Array): StreamRequest {
    return only(this.#decode(bytes, readRequest));
  }

  /** @throws SwimError, see {@link unwrap} */
  decodeReply(bytes: Uint8Array): StreamReply {
    return only(this.#decode(bytes, readReply));
  }

  #decode<T>(bytes: Uint8Array, read: (reader: MsgpackReader) => T): T[] {
    const reader = new MsgpackReader(unwrap(bytes, this.#sealer));
    const count = reader.array(MESSAGES_PER_PACKET_MAX + 1) - 1;
    if (count < 1) throw reader.bad('a message');
    const cluster = reader.text(CLUSTER_BYTES_MAX);
    if (cluster !== this.#cluster) {
      throw new SwimError('SWIM_OTHER_CLUSTER', `It belongs to cluster ${JSON.stringify(cluster)}.`);
    }
    const messages: T[] = [];
    for (let i = 0; i < count; i++) messages.push(read(reader));
    reader.end();
    return messages;
  }
}

function only<T>(messages: readonly T[]): T {
  if (messages.length !== 1) throw new SwimError('SWIM_BAD_PACKET', 'A frame holds one message.');
  return messages[0]!;
}
