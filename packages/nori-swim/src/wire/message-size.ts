// How many bytes a message takes, without writing it: packets are put together by size.
import type { Message } from '../core/messages.js';
import { binaryBytes, textBytes, uintBytes } from './msgpack-writer.js';

/** Bytes that `writeMessage` writes. All messages of packets have fewer than 16 fields and types below 128: two bytes of head. */
export function messageBytes(m: Message): number {
  switch (m.type) {
    case 'ping':
      return 2 + uintBytes(m.seq) + textBytes(m.target) + stamp(m) + textBytes(m.from);
    case 'ack':
      return 2 + uintBytes(m.seq) + textBytes(m.from) + stamp(m) + textBytes(m.via);
    case 'nack':
      return 2 + uintBytes(m.seq) + textBytes(m.from);
    case 'ping-request':
      return (
        2 +
        uintBytes(m.seq) +
        textBytes(m.target) +
        textBytes(m.address) +
        stamp(m) +
        uintBytes(m.waitMs) +
        textBytes(m.from)
      );
    case 'alive':
      return (
        2 +
        textBytes(m.id) +
        textBytes(m.address) +
        stamp(m) +
        textBytes(m.zone) +
        binaryBytes(m.metadata) +
        uintBytes(m.versionMin) +
        uintBytes(m.versionMax)
      );
    case 'suspect':
      return (
        2 + textBytes(m.id) + uintBytes(m.incarnation) + textBytes(m.from) + uintBytes(m.helpers) + uintBytes(m.nacks)
      );
    case 'dead': {
      let bytes = 3 + textBytes(m.id) + uintBytes(m.incarnation) + textBytes(m.from);
      for (const id of m.suspectedBy) bytes += textBytes(id);
      return bytes;
    }
    case 'left':
      return 2 + textBytes(m.id) + uintBytes(m.incarnation);
    case 'user':
      return 2 + textBytes(m.from) + uintBytes(m.boot) + uintBytes(m.seq) + binaryBytes(m.data);
    case 'conflict':
      return 2 + textBytes(m.id) + uintBytes(m.boot) + textBytes(m.address);
  }
}

function stamp(m: { readonly boot: number; readonly incarnation: number }): number {
  return uintBytes(m.boot) + uintBytes(m.incarnation);
}

/** Bytes of a payload beside its messages: an array of up to 65,535 elements, the first of which is the cluster's name. */
export function payloadOverhead(cluster: string): number {
  return 3 + textBytes(cluster);
}
