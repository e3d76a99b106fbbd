// What stands around the payload of a packet or a frame:
//
//   plain       version u8 | 0 u8 | crc32 u32 of the payload | payload
//   encrypted   version u8 | 1 u8 | key id u32 | nonce 12 | AES-256-GCM of the payload | tag 16
//
// The key id and what comes before it are authenticated, too. Numbers are big-endian.
import { crc32 } from 'node:zlib';
import { WIRE_VERSION } from '../core/messages.js';
import { SwimError } from '../errors.js';

/** Encrypts and decrypts; see node/keyring.ts. */
export interface Sealer {
  /** Whether what goes out is to be encrypted. */
  readonly sealsOutgoing: boolean;
  /** Whether what is not encrypted is refused. */
  readonly requiresSealed: boolean;
  seal(payload: Uint8Array): Uint8Array;
  /** @throws SwimError SWIM_UNKNOWN_KEY or SWIM_BAD_PACKET */
  open(sealed: Uint8Array): Uint8Array;
}

const PLAIN = 0;
const SEALED = 1;
/** Bytes before the payload of a plain packet. */
export const PLAIN_HEAD_BYTES = 6;

/** Finishes a payload that was written with {@link PLAIN_HEAD_BYTES} of room before it. */
export function wrap(bytes: Uint8Array, sealer: Sealer | undefined): Uint8Array {
  const payload = bytes.subarray(PLAIN_HEAD_BYTES);
  if (sealer?.sealsOutgoing) {
    const sealed = sealer.seal(payload);
    const out = new Uint8Array(2 + sealed.length);
    out[0] = WIRE_VERSION;
    out[1] = SEALED;
    out.set(sealed, 2);
    return out;
  }
  bytes[0] = WIRE_VERSION;
  bytes[1] = PLAIN;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(2, crc32(payload));
  return bytes;
}

/**
 * The payload of a packet or a frame.
 * @throws SwimError SWIM_WIRE_VERSION, SWIM_NOT_ENCRYPTED, SWIM_UNKNOWN_KEY or SWIM_BAD_PACKET
 */
export function unwrap(bytes: Uint8Array, sealer: Sealer | undefined): Uint8Array {
  if (bytes.length < PLAIN_HEAD_BYTES) throw new SwimError('SWIM_BAD_PACKET', `Only ${bytes.length} bytes.`);
  if (bytes[0] !== WIRE_VERSION) {
    throw new SwimError('SWIM_WIRE_VERSION', `Version ${bytes[0]} of the protocol; this node speaks ${WIRE_VERSION}.`);
  }
  if (bytes[1] === SEALED) {
    if (sealer === undefined) throw new SwimError('SWIM_UNKNOWN_KEY', 'It is encrypted, and this node has no key.');
    return sealer.open(bytes.subarray(2));
  }
  if (bytes[1] !== PLAIN) throw new SwimError('SWIM_BAD_PACKET', `Unknown kind ${bytes[1]}.`);
  if (sealer?.requiresSealed)
    throw new SwimError('SWIM_NOT_ENCRYPTED', 'It is not encrypted, which this node requires.');
  const payload = bytes.subarray(PLAIN_HEAD_BYTES);
  const sum = new DataView(bytes.buffer, bytes.byteOffset).getUint32(2);
  if (sum !== crc32(payload)) throw new SwimError('SWIM_BAD_PACKET', 'The checksum is wrong.');
  return payload;
}
