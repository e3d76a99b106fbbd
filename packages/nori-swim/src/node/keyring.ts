// AES-256-GCM with several keys: one that seals, all of them open, so that a cluster can go from one key to the next while it runs.
//
//   sealed = key id 4 | nonce 12 | ciphertext | tag 16
//
// A nonce is eight random bytes, drawn anew for each key and each start, and a counter of four: with one key, no nonce comes twice
// even where many nodes send for years, which cannot be said of nonces that are random as a whole.
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { WIRE_VERSION } from '../core/messages.js';
import { SwimError } from '../errors.js';
import type { Sealer } from '../wire/envelope.js';

const KEY_BYTES = 32;
const KEY_ID_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = KEY_ID_BYTES + NONCE_BYTES;
/** Keys at a time. */
const KEYS_MAX = 16;

interface Key {
  readonly id: string;
  readonly bytes: Uint8Array;
  /** Version, kind and key id: authenticated with each packet. */
  readonly associated: Uint8Array;
  readonly prefix: Uint8Array;
  counter: number;
}

export interface KeyringOptions {
  /** The first one seals. 32 bytes each. */
  readonly keys: readonly Uint8Array[];
  readonly sealsOutgoing: boolean;
  readonly requiresSealed: boolean;
}

export class Keyring implements Sealer {
  readonly sealsOutgoing: boolean;
  readonly requiresSealed: boolean;
  readonly #keys = new Map<string, Key>();
  #primary: Key;

  /** @throws SwimError SWIM_BAD_KEY */
  constructor({ keys, sealsOutgoing, requiresSealed }: KeyringOptions) {
    this.sealsOutgoing = sealsOutgoing;
    this.requiresSealed = requiresSealed;
    const [first] = keys;
    if (first === undefined) throw new SwimError('SWIM_BAD_KEY', 'A keyring needs a key.');
    for (const key of keys) this.install(key);
    this.#primary = this.#get(first);
  }

  /** Names of the keys, the one that seals first. Not secret. */
  get ids(): string[] {
    return [this.#primary.id, ...[...this.#keys.keys()].filter((id) => id !== this.#primary.id)];
  }

  /** From now on, what is sealed with this key is understood. */
  install(bytes: Uint8Array): void {
    const id = keyId(bytes);
    if (this.#keys.has(id)) return;
    if (this.#keys.size >= KEYS_MAX)
      throw new SwimError('SWIM_BAD_KEY', `There are ${KEYS_MAX} keys already: remove one.`);
    const associated = Uint8Array.from([WIRE_VERSION, 1, ...Buffer.from(id, 'hex')]);
    this.#keys.set(id, { id, bytes: bytes.slice(), associated, prefix: randomBytes(8), counter: 0 });
  }

  /** From now on, this key seals. @throws SwimError SWIM_UNKNOWN_KEY */
  use(bytes: Uint8Array): void {
    this.#primary = this.#get(bytes);
  }

  /** From now on, what is sealed with this key is refused. @throws SwimError SWIM_UNKNOWN_KEY, or SWIM_BAD_KEY if it is in use */
  remove(bytes: Uint8Array): void {
    const key = this.#get(bytes);
    if (key === this.#primary) throw new SwimError('SWIM_BAD_KEY', `Key ${key.id} is in use: use another one first.`);
    this.#keys.delete(key.id);
  }

  seal(payload: Uint8Array): Uint8Array {
    const key = this.#primary;
    const out = new Uint8Array(HEAD_BYTES + payload.length + TAG_BYTES);
    out.set(key.associated.subarray(2), 0);
    const nonce = out.subarray(KEY_ID_BYTES, HEAD_BYTES);
    nonce.set(key.prefix);
    new DataView(out.buffer).setUint32(HEAD_BYTES - 4, key.counter);
    key.counter++;
    if (key.counter === 2 ** 32) {
      key.counter = 0;
      key.prefix.set(randomBytes(8));
    }
    const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce);
    cipher.setAAD(key.associated);
    out.set(cipher.update(payload), HEAD_BYTES);
    cipher.final();
    out.set(cipher.getAuthTag(), HEAD_BYTES + payload.length);
    return out;
  }

  open(sealed: Uint8Array): Uint8Array {
    const length = sealed.length - HEAD_BYTES - TAG_BYTES;
    if (length < 0) throw new SwimError('SWIM_BAD_PACKET', `Only ${sealed.length} bytes.`);
    const id = Buffer.from(sealed.subarray(0, KEY_ID_BYTES)).toString('hex');
    const key = this.#keys.get(id);
    if (key === undefined)
      throw new SwimError('SWIM_UNKNOWN_KEY', `It is sealed with key ${id}, which this node does not have.`);
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, sealed.subarray(KEY_ID_BYTES, HEAD_BYTES));
    decipher.setAAD(key.associated);
    decipher.setAuthTag(sealed.subarray(HEAD_BYTES + length));
    const payload = decipher.update(sealed.subarray(HEAD_BYTES, HEAD_BYTES + length));
    try {
      decipher.final();
    } catch {
      throw new SwimError('SWIM_BAD_PACKET', `It is not what was sealed with key ${id}.`);
    }
    return payload;
  }

  #get(bytes: Uint8Array): Key {
    const id = keyId(bytes);
    const key = this.#keys.get(id);
    if (key === undefined) throw new SwimError('SWIM_UNKNOWN_KEY', `Key ${id} is not installed.`);
    return key;
  }
}

/** The name of a key: says nothing about it but which one it is. @throws SwimError SWIM_BAD_KEY */
function keyId(bytes: Uint8Array): string {
  if (!(bytes instanceof Uint8Array) || bytes.length !== KEY_BYTES) {
    throw new SwimError(
      'SWIM_BAD_KEY',
      `A key is a Uint8Array of ${KEY_BYTES} bytes; make one with crypto.randomBytes(${KEY_BYTES}).`,
    );
  }
  return createHash('sha256')
    .update('nori-swim key id')
    .update(bytes)
    .digest('hex')
    .slice(0, 2 * KEY_ID_BYTES);
}
