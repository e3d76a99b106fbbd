import { encodeRequest, RaftError } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { decodeRequest, TIME_MAX_MS } from '../../src/multi/request-codec.js';

const seed = seedFromEnv();
const IDENTITY = { clientId: new Uint8Array(16).fill(0x11), sequence: 300, floor: 299, ageMs: 5, timeMs: 128 };
const PAYLOAD = Uint8Array.of(0x68, 0x69);

/** Numbers of every length. */
function number(rng: Rng, max = Number.MAX_SAFE_INTEGER): number {
  return Math.min(max, Math.floor(rng.next() * 2 ** rng.int(54)));
}

function randomRequest(rng: Rng): Uint8Array {
  const payload = rng.bytes(rng.range(1, 30));
  if (rng.chance(0.2)) return encodeRequest(undefined, payload);
  const sequence = Math.max(1, number(rng));
  const floor = Math.max(1, sequence - number(rng));
  const ageMs = number(rng, TIME_MAX_MS);
  return encodeRequest({ clientId: rng.bytes(16), sequence, floor, ageMs, timeMs: number(rng, TIME_MAX_MS) }, payload);
}

function encodeAgain({ identity, payload }: NonNullable<ReturnType<typeof decodeRequest>>): Uint8Array {
  if (identity === undefined) return encodeRequest(undefined, payload);
  return encodeRequest({ ...identity, clientId: Buffer.from(identity.client, 'latin1') }, payload);
}

describe('a request', () => {
  test('is laid out as documented', () => {
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    expect(hex(encodeRequest(IDENTITY, PAYLOAD))).toBe(`e101${'11'.repeat(16)}ac02010580016869`);
    expect(hex(encodeRequest(undefined, PAYLOAD))).toBe('e1006869');
  });

  test('decodes to what was encoded', () => {
    const { clientId, ...rest } = IDENTITY;
    expect(decodeRequest(encodeRequest(IDENTITY, PAYLOAD))).toEqual({
      identity: { ...rest, client: String.fromCharCode(...clientId) },
      payload: PAYLOAD,
    });
    expect(decodeRequest(encodeRequest(undefined, PAYLOAD))).toEqual({ identity: undefined, payload: PAYLOAD });
  });

  test('has one encoding only; what is none is never taken for one, nor does it crash', () => {
    const rng = new Rng(seed);
    let malformed = 0;
    for (let i = 0; i < 20_000; i++) {
      let bytes = randomRequest(rng);
      for (let k = rng.int(3); k > 0; k--) bytes[rng.int(bytes.length)] = rng.int(256);
      if (rng.chance(0.2)) bytes = bytes.subarray(0, rng.int(bytes.length));
      try {
        const decoded = decodeRequest(bytes);
        if (decoded === undefined) malformed++;
        else expect(Buffer.compare(encodeAgain(decoded), bytes), `NORI_SEED=${seed}`).toBe(0);
      } catch (error) {
        expect(error, `NORI_SEED=${seed}`).toBeInstanceOf(RaftError);
        expect(error).toMatchObject({ code: 'RAFT_UNSUPPORTED_FORMAT' });
        expect(bytes[0]! & 0xf0).toBe(0xe0);
      }
    }
    expect(malformed).toBeGreaterThan(1000);
  });

  test.each([
    ['an empty payload', IDENTITY, new Uint8Array(0)],
    ['an empty payload without identity', undefined, new Uint8Array(0)],
    ['a short client id', { ...IDENTITY, clientId: new Uint8Array(15) }, PAYLOAD],
    ['a floor above the sequence', { ...IDENTITY, floor: 301 }, PAYLOAD],
    ['a floor of 0', { ...IDENTITY, floor: 0 }, PAYLOAD],
    ['a sequence that is no integer', { ...IDENTITY, sequence: 300.5 }, PAYLOAD],
    ['a negative age', { ...IDENTITY, ageMs: -1 }, PAYLOAD],
    ['a time that is none', { ...IDENTITY, timeMs: Number.NaN }, PAYLOAD],
    ['a time too far ahead', { ...IDENTITY, timeMs: TIME_MAX_MS + 1 }, PAYLOAD],
  ])('with %s is not encoded', (_, identity, payload) => {
    expect(() => encodeRequest(identity, payload)).toThrow(expect.objectContaining({ code: 'RAFT_MISUSE' }));
  });
});
