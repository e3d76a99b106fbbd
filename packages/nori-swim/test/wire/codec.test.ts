// Any msgpack library can read what is sent; sizes are known before; whatever arrives is judged.
import { decode } from '@msgpack/msgpack';
import { type Message, PacketCodec, SwimError } from 'nori-swim';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import type { MemberRecord } from '../../src/core/messages.js';
import type { AnyMessage } from '../../src/wire/message-codec.js';
import { messageBytes, payloadOverhead } from '../../src/wire/message-size.js';
import { utf8Bytes } from '../../src/wire/msgpack-writer.js';

const TYPES = ['ping', 'ack', 'nack', 'ping-request', 'alive', 'suspect', 'dead', 'left', 'user', 'conflict'] as const;
const PLAIN_HEAD_BYTES = 6;

/** A random message; numbers and texts of all lengths that the format tells apart. */
function randomMessage(rng: Rng, type: (typeof TYPES)[number] = rng.pick(TYPES)): Message {
  const n = () => Math.floor(2 ** (53 * rng.next()));
  const id = () =>
    rng.pick(['a', 'node-17', 'x'.repeat(31), 'y'.repeat(32), 'ü'.repeat(60), '🦑 and 💾', 'z'.repeat(128)]);
  const address = () => rng.pick(['10.1.2.3:7449', '[2001:db8::1]:65535', '127.0.0.1:1', '[fe80::1%eth0]:80']);
  const bytes = (max: number) => rng.bytes(rng.int(max + 1));
  switch (type) {
    case 'ping':
      return { type, seq: n(), target: id(), boot: n(), incarnation: n(), from: id() };
    case 'ack':
      return { type, seq: n(), from: id(), boot: n(), incarnation: n(), via: rng.chance(0.5) ? '' : id() };
    case 'nack':
      return { type, seq: n(), from: id() };
    case 'ping-request':
      return {
        type,
        seq: n(),
        target: id(),
        address: address(),
        boot: n(),
        incarnation: n(),
        waitMs: rng.int(10_001),
        from: id(),
      };
    case 'alive': {
      const zone = rng.pick(['', 'eu-1', 'z'.repeat(64)]);
      return {
        type,
        id: id(),
        address: address(),
        boot: n(),
        incarnation: n(),
        zone,
        metadata: bytes(512),
        versionMin: 1,
        versionMax: rng.int(256),
      };
    }
    case 'suspect':
      return { type, id: id(), incarnation: n(), from: id(), helpers: rng.int(17), nacks: rng.int(256) };
    case 'dead':
      return { type, id: id(), incarnation: n(), from: id(), suspectedBy: Array.from({ length: rng.int(6) }, id) };
    case 'left':
      return { type, id: id(), incarnation: n() };
    case 'user':
      return { type, from: id(), boot: n(), seq: n(), data: bytes(600) };
    case 'conflict':
      return { type, id: id(), boot: n(), address: address() };
  }
}

function randomRecord(rng: Rng): MemberRecord {
  const alive = randomMessage(rng, 'alive');
  if (alive.type !== 'alive') throw new Error('Not a member.');
  return { alive, state: rng.pick(['alive', 'suspect', 'dead', 'left']), ageMs: rng.int(1e9) };
}

test('what is written is read again, takes as many bytes as was said, and is MessagePack', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  for (let i = 0; i < 150; i++) {
    const cluster = rng.pick(['', 'blue', 'c'.repeat(40)]);
    const codec = new PacketCodec(cluster);
    const sent = Array.from({ length: 1 + rng.int(20) }, () => randomMessage(rng));
    const packet = codec.encode(sent);
    expect(codec.decodePacket(packet), `NORI_SEED=${seed}`).toEqual(sent);
    const head = sent.length + 1 < 16 ? 1 : 3;
    const size = sent.reduce((sum, message) => sum + messageBytes(message), head + payloadOverhead(cluster) - 3);
    expect(packet.length - PLAIN_HEAD_BYTES, `NORI_SEED=${seed}`).toBe(size);
    const generic = decode(packet.subarray(PLAIN_HEAD_BYTES)) as unknown[];
    expect(generic).toHaveLength(1 + sent.length);
    expect(generic[0]).toBe(cluster);
  }
});

test('requests and replies are read again', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const codec = new PacketCodec('');
  for (let i = 0; i < 30; i++) {
    const records = Array.from({ length: rng.int(20) }, () => randomRecord(rng));
    const pushPull = { type: 'push-pull', join: rng.chance(0.5), records } as const;
    expect(codec.decodeRequest(codec.encode([pushPull])), `NORI_SEED=${seed}`).toEqual(pushPull);
    const reply = { type: 'push-pull-reply', records } as const;
    expect(codec.decodeReply(codec.encode([reply])), `NORI_SEED=${seed}`).toEqual(reply);
    const refusal = {
      type: 'refusal',
      reason: rng.pick(['id-conflict', 'version'] as const),
      address: rng.pick(['', '10.0.0.1:5']),
    } as const;
    expect(codec.decodeReply(codec.encode([refusal]))).toEqual(refusal);
  }
});

test('the bytes of a packet are those of docs/formats/swim-packet.md', () => {
  const ping = { type: 'ping', seq: 300, target: 'b', boot: 7, incarnation: 1, from: 'a' } as const;
  const suspect = { type: 'suspect', id: 'c', incarnation: 200, from: 'a', helpers: 3, nacks: 2 } as const;
  const hex = Buffer.from(new PacketCodec('x').encode([ping, suspect])).toString('hex');
  expect(hex).toBe('01006bae8fd493a1789600cd012ca1620701a1619605a163ccc8a1610302');
});

test('the length of a text in UTF-8 is counted without writing it', () => {
  const rng = new Rng(seedFromEnv());
  const pieces = ['a', 'é', '€', '🦑', '\ud800', '\udc00', 'z'];
  for (let i = 0; i < 2_000; i++) {
    const text = Array.from({ length: rng.int(12) }, () => rng.pick(pieces)).join('');
    expect(utf8Bytes(text), JSON.stringify(text)).toBe(Buffer.byteLength(text));
  }
});

describe('refused is', () => {
  const codec = new PacketCodec('');
  const codeOf = (read: () => unknown): string => {
    try {
      read();
    } catch (error) {
      if (error instanceof SwimError) return error.code;
      throw error;
    }
    return 'none';
  };
  /** A packet with a right checksum around `payload`. */
  const around = (payload: readonly number[]) =>
    codec.encode([{ type: 'nack', seq: 1, from: 'a' }]) && withSum(payload);

  test.each([
    ['an unknown version', [2, 0, 0, 0, 0, 0, 0], 'SWIM_WIRE_VERSION'],
    ['an unknown kind', [1, 7, 0, 0, 0, 0, 0], 'SWIM_BAD_PACKET'],
    ['a wrong checksum', [1, 0, 1, 2, 3, 4, 0x90], 'SWIM_BAD_PACKET'],
    ['next to nothing', [1], 'SWIM_BAD_PACKET'],
    ['something encrypted', [1, 1, ...new Array(60).fill(0)], 'SWIM_UNKNOWN_KEY'],
  ])('%s', (_what, bytes, code) => {
    expect(codeOf(() => codec.decodePacket(Uint8Array.from(bytes)))).toBe(code);
  });

  test.each([
    ['no message', [0x91, 0xa0]],
    ['an array that claims more than there is', [0xdc, 0xff, 0xff, 0xa0]],
    ['an unknown type', [0x92, 0xa0, 0x92, 0x63, 0x01]],
    ['too few fields', [0x92, 0xa0, 0x92, 0x02, 0x01]],
    ['an empty id', [0x92, 0xa0, 0x93, 0x02, 0x01, 0xa0]],
    ['a control character', [0x92, 0xa0, 0x93, 0x02, 0x01, 0xa1, 0x0a]],
    ['UTF-8 that is none', [0x92, 0xa0, 0x93, 0x02, 0x01, 0xa1, 0xff]],
    ['an integer beyond 2^53', [0x92, 0xa0, 0x93, 0x02, 0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xa1, 0x61]],
    ['bytes left over', [0x92, 0xa0, 0x93, 0x02, 0x01, 0xa1, 0x61, 0x00]],
    ['an address that is a name', [0x92, 0xa0, 0x94, 0x09, 0xa1, 0x61, 0x01, 0xa6, ...Buffer.from('host:1')]],
    ['a message of a stream', [0x92, 0xa0, 0x93, 0x10, 0x00, 0x90]],
  ])('%s', (_what, payload) => {
    expect(codeOf(() => codec.decodePacket(around(payload)))).toBe('SWIM_BAD_PACKET');
  });

  test('a packet of another cluster', () => {
    const packet = new PacketCodec('blue').encode([{ type: 'nack', seq: 1, from: 'a' }]);
    expect(codeOf(() => new PacketCodec('green').decodePacket(packet))).toBe('SWIM_OTHER_CLUSTER');
  });

  test('a frame with more than one message, or another kind of one', () => {
    const nack: AnyMessage = { type: 'nack', seq: 1, from: 'a' };
    expect(codeOf(() => codec.decodeRequest(codec.encode([nack])))).toBe('SWIM_BAD_PACKET');
    expect(codeOf(() => codec.decodeReply(codec.encode([nack])))).toBe('SWIM_BAD_PACKET');
    const pushPull: AnyMessage = { type: 'push-pull', join: true, records: [] };
    expect(codeOf(() => codec.decodeRequest(codec.encode([pushPull, pushPull])))).toBe('SWIM_BAD_PACKET');
  });
});

function withSum(payload: readonly number[]): Uint8Array {
  let crc = 0xffffffff;
  for (const byte of payload) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  const sum = ~crc >>> 0;
  return Uint8Array.from([1, 0, sum >>> 24, (sum >>> 16) & 255, (sum >>> 8) & 255, sum & 255, ...payload]);
}
