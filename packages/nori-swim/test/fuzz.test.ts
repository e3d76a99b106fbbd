// Whatever comes from the network is judged: dropped and counted, never a crash, and never more memory than the limits allow.
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { PacketCodec, resolveProtocol, Swim, SwimCore, SwimError } from 'nori-swim';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { record } from './helpers/core-harness.js';

const rounds = Number(process.env.NORI_ROUNDS ?? 20_000);

/** Packets as a cluster sends them. */
function corpus(codec: PacketCodec): Uint8Array[] {
  const ping = { type: 'ping', seq: 1, target: 'a', boot: 1, incarnation: 1, from: 'b' } as const;
  const request = {
    type: 'ping-request',
    seq: 4,
    target: 'c',
    address: '10.0.0.99:1',
    boot: 1,
    incarnation: 1,
    waitMs: 9,
    from: 'b',
  } as const;
  const rest = [
    { type: 'ack', seq: 1, from: 'b', boot: 1, incarnation: 1, via: '' },
    { type: 'nack', seq: 1, from: 'b' },
    { type: 'suspect', id: 'c', incarnation: 1, from: 'b', helpers: 3, nacks: 3 },
    { type: 'dead', id: 'a', incarnation: 1, from: 'b', suspectedBy: ['c', 'd'] },
    { type: 'left', id: 'c', incarnation: 1 },
    { type: 'user', from: 'b', boot: 100, seq: 1, data: new Uint8Array(50) },
    { type: 'conflict', id: 'x', boot: 1, address: '10.0.0.9:1' },
    record('e').alive,
  ] as const;
  const views = { type: 'push-pull', join: true, records: [record('e'), record('f')] } as const;
  return [
    codec.encode([ping]),
    codec.encode([request, ...rest]),
    codec.encode([views]),
    ...rest.map((each) => codec.encode([each])),
  ];
}

function mutate(rng: Rng, packets: readonly Uint8Array[]): Uint8Array {
  const bytes = rng.pick(packets).slice();
  if (rng.chance(0.1)) return rng.bytes(rng.int(1_500));
  if (rng.chance(0.2)) return bytes.subarray(0, rng.int(bytes.length + 1));
  for (let changes = 1 + rng.int(4); changes > 0; changes--) bytes[rng.int(bytes.length)] = rng.int(256);
  // Behind the checksum, or nothing would get through it.
  return rng.chance(0.9) ? withSum(bytes) : bytes;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

function withSum(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 7) return bytes;
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(6)) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255]!;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(2, ~crc >>> 0);
  bytes[0] = 1;
  bytes[1] = 0;
  return bytes;
}

test('mutated packets are refused with a code, or do what the protocol says', { timeout: 600_000 }, () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const random = () => rng.next();
  const codec = new PacketCodec('');
  const packets = corpus(codec);
  const protocol = resolveProtocol({ membersMax: 50, messagesMax: 20 });
  const known = ['b', 'c', 'd'].map((id) => record(id));
  const core = new SwimCore({ id: 'a', address: '10.0.0.97:1', boot: 5, incarnation: 1 }, protocol, 0, random, known);
  let [refused, taken] = [0, 0];
  for (let i = 0; i < rounds; i++) {
    const bytes = mutate(rng, packets);
    try {
      if (rng.chance(0.8))
        core.step({ type: 'packet', from: '10.0.0.98:1', messages: codec.decodePacket(bytes) }, i, random);
      else
        core.step({ type: 'request', stream: i, from: '10.0.0.98:1', message: codec.decodeRequest(bytes) }, i, random);
      taken++;
    } catch (error) {
      if (!(error instanceof SwimError)) throw new Error(`NORI_SEED=${seed}, round ${i}`, { cause: error });
      refused++;
    }
    if ([...core.entries()].length > protocol.membersMax) throw new Error(`NORI_SEED=${seed}: too many members`);
    if (core.pendingMessages > protocol.messagesMax) throw new Error(`NORI_SEED=${seed}: too many messages`);
  }
  expect(refused).toBeGreaterThan(rounds / 10);
  expect(taken).toBeGreaterThan(rounds / 10);
  // It still does what it is for.
  expect(core.phase).toBe('running');
  expect(core.nextWakeMs).toBeLessThan(rounds + 10_000);
});

test('strangers cannot make a node remember more than its limits', () => {
  const rng = new Rng(3);
  const random = () => rng.next();
  const protocol = resolveProtocol({ membersMax: 100 });
  const core = new SwimCore({ id: 'a', address: '10.0.0.97:1', boot: 5, incarnation: 1 }, protocol, 0, random);
  const say = (messages: Parameters<PacketCodec['encode']>[0], at: number) =>
    core.step({ type: 'packet', from: '10.0.0.98:1', messages: messages as never }, at, random);
  for (let i = 0; i < 5_000; i++) {
    const id = `stranger-${i}`;
    say([{ ...record('b').alive, id, metadata: new Uint8Array(512) }], i);
    say([{ type: 'user', from: id, boot: 100, seq: 2 ** 40 - i, data: new Uint8Array(10) }], i);
    say(
      [
        {
          type: 'ping-request',
          seq: i,
          target: id,
          address: '10.0.0.5:1',
          boot: 1,
          incarnation: 1,
          waitMs: 10_000,
          from: id,
        },
      ],
      i,
    );
    say([{ type: 'suspect', id, incarnation: 1, from: `accuser-${i}`, helpers: 0, nacks: 0 }], i);
  }
  const entries = [...core.entries()];
  expect(entries.length).toBeLessThanOrEqual(99);
  expect(entries.every(({ suspicion }) => (suspicion?.accusers.length ?? 0) <= 3)).toBe(true);
  expect(core.pendingRumours).toBeLessThan(99 * 4 + protocol.messagesMax);
});

test('a node under fire from UDP and TCP stays a member', async () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  await using target = await Swim.start({ id: 'a', bind: '127.0.0.1:0' });
  await using other = await Swim.start({ id: 'b', bind: '127.0.0.1:0' });
  await other.join([target.address]);
  const port = Number(target.address.split(':')[1]);
  const packets = corpus(new PacketCodec('other')).concat(
    corpus(new PacketCodec('')).map((bytes) => bytes.subarray(0, bytes.length - 1)),
  );
  const udp = createSocket('udp4');
  for (let i = 0; i < 2_000; i++) {
    const bytes = i % 100 === 0 ? rng.bytes(1_500) : rng.chance(0.5) ? rng.pick(packets) : rng.bytes(rng.int(200));
    udp.send(bytes, port, '127.0.0.1');
    // Now and then the socket's buffer is let run empty, or most would be lost before they are read.
    if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const frames = [
    rng.bytes(100),
    Uint8Array.of(0xff, 0xff, 0xff, 0xff),
    Uint8Array.of(0, 0, 0, 0),
    Uint8Array.of(0, 0, 0, 9, 1),
    new Uint8Array(),
  ];
  for (const frame of frames) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.end(frame);
    await new Promise((resolve) => socket.once('close', resolve));
  }
  udp.close();
  const { dropped } = target.stats();
  expect(dropped.malformed, `NORI_SEED=${seed}`).toBeGreaterThan(100);
  expect(dropped['other-cluster']).toBeGreaterThan(10);
  expect(dropped.oversize).toBeGreaterThan(0);
  expect(target.isAlive('b') && other.isAlive('a')).toBe(true);
});
