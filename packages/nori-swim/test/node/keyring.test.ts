import { randomBytes } from 'node:crypto';
import { PacketCodec, SwimError } from 'nori-swim';
import { expect, test } from 'vitest';
import { Keyring } from '../../src/node/keyring.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const ring = (...keys: Uint8Array[]) => new Keyring({ keys, sealsOutgoing: true, requiresSealed: true });
const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof SwimError) return error.code;
    throw error;
  }
  return 'none';
};

test('what one seals another opens, and nobody else', () => {
  const key = randomBytes(32);
  const sealed = ring(key).seal(bytes('hello'));
  expect(Buffer.from(sealed).includes('hello')).toBe(false);
  expect(ring(randomBytes(32), key).open(sealed)).toEqual(Buffer.from('hello'));
  expect(codeOf(() => ring(randomBytes(32)).open(sealed))).toBe('SWIM_UNKNOWN_KEY');
});

test('each change of a byte is noticed', () => {
  const key = randomBytes(32);
  const sealed = ring(key).seal(bytes('hello'));
  for (let i = 0; i < sealed.length; i++) {
    const changed = sealed.slice();
    changed[i] = changed[i]! ^ 1;
    expect(['SWIM_UNKNOWN_KEY', 'SWIM_BAD_PACKET']).toContain(codeOf(() => ring(key).open(changed)));
  }
  for (let length = 0; length < sealed.length; length++) {
    expect(['SWIM_UNKNOWN_KEY', 'SWIM_BAD_PACKET']).toContain(codeOf(() => ring(key).open(sealed.subarray(0, length))));
  }
});

test('no nonce comes twice', () => {
  const [a, b] = [randomBytes(32), randomBytes(32)];
  const [one, other] = [ring(a, b), ring(a)];
  const nonces = new Set<string>();
  for (let i = 0; i < 500; i++) {
    for (const each of [one, other]) nonces.add(Buffer.from(each.seal(bytes('x')).subarray(4, 16)).toString('hex'));
  }
  expect(nonces.size).toBe(1_000);
});

test('keys go from one to the next: install, use, remove', () => {
  const [old, next] = [randomBytes(32), randomBytes(32)];
  const keys = ring(old);
  const [oldId] = keys.ids;
  keys.install(next);
  keys.install(next);
  expect(keys.ids).toHaveLength(2);
  expect(keys.ids[0]).toBe(oldId);
  const before = keys.seal(bytes('x'));
  keys.use(next);
  expect(keys.ids[0]).not.toBe(oldId);
  expect(keys.open(before)).toEqual(Buffer.from('x'));
  expect(codeOf(() => keys.remove(next))).toBe('SWIM_BAD_KEY');
  keys.remove(old);
  expect(codeOf(() => keys.open(before))).toBe('SWIM_UNKNOWN_KEY');
  expect(codeOf(() => keys.use(old))).toBe('SWIM_UNKNOWN_KEY');
  expect(codeOf(() => keys.remove(old))).toBe('SWIM_UNKNOWN_KEY');
});

test('keys of a wrong size, and too many of them, are refused', () => {
  expect(codeOf(() => ring(randomBytes(16)))).toBe('SWIM_BAD_KEY');
  expect(codeOf(() => ring())).toBe('SWIM_BAD_KEY');
  expect(codeOf(() => ring('a'.repeat(32) as unknown as Uint8Array))).toBe('SWIM_BAD_KEY');
  expect(codeOf(() => ring(...Array.from({ length: 17 }, () => randomBytes(32))))).toBe('SWIM_BAD_KEY');
});

test('plain packets are refused where encryption is required, and taken while it is being turned on', () => {
  const key = randomBytes(32);
  const nack = { type: 'nack', seq: 1, from: 'a' } as const;
  const plain = new PacketCodec('');
  const turningOn = new PacketCodec('', new Keyring({ keys: [key], sealsOutgoing: false, requiresSealed: false }));
  const sealing = new PacketCodec('', new Keyring({ keys: [key], sealsOutgoing: true, requiresSealed: false }));
  const strict = new PacketCodec('', ring(key));
  expect(turningOn.decodePacket(plain.encode([nack]))).toEqual([nack]);
  expect(plain.decodePacket(turningOn.encode([nack]))).toEqual([nack]);
  expect(turningOn.decodePacket(sealing.encode([nack]))).toEqual([nack]);
  expect(strict.decodePacket(sealing.encode([nack]))).toEqual([nack]);
  expect(sealing.decodePacket(strict.encode([nack]))).toEqual([nack]);
  expect(codeOf(() => strict.decodePacket(plain.encode([nack])))).toBe('SWIM_NOT_ENCRYPTED');
  expect(codeOf(() => plain.decodePacket(strict.encode([nack])))).toBe('SWIM_UNKNOWN_KEY');
});
