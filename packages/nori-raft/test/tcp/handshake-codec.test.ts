import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import {
  decodeAnswer,
  decodeHello,
  encodeAnswer,
  encodeHello,
  HandshakeReader,
} from '../../src/tcp/handshake-codec.js';
import { parsePeerAddress } from '../../src/tcp/peer-address.js';
import { TcpTransport } from '../../src/tcp-transport.js';
import { CountingClock } from '../helpers/tcp-nodes.js';

const seed = seedFromEnv();
const hello = { lane: 'bulk', clusterId: 'c', from: 'n1', to: 'n2', incarnation: 'ü' } as const;

function body(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(11);
}

test('a hello has the bytes that the format says', () => {
  const bytes = Buffer.from(encodeHello(hello)).toString('hex');
  expect(bytes).toBe(
    `${Buffer.from('NORIPEER').toString('hex')}01${'0c00'}02${'0163'}${'026e31'}${'026e32'}${'02c3bc'}`,
  );
});

test('what is encoded decodes', () => {
  expect(decodeHello(body(encodeHello(hello)))).toEqual(hello);
  const answer = { verdict: 'incarnation', clusterId: '', nodeId: 'n2', incarnation: 'x', detail: 'why' } as const;
  expect(decodeAnswer(body(encodeAnswer(answer)))).toEqual(answer);
});

test('a detail that is too long is cut between characters', () => {
  const answer = { verdict: 'cluster', clusterId: '', nodeId: '', incarnation: '', detail: '😀'.repeat(100) } as const;
  const decoded = decodeAnswer(body(encodeAnswer(answer)))!;
  expect(decoded.detail).toMatch(/^(😀)+$/u);
  expect(decoded.detail.length).toBeGreaterThan(100);
});

test('messages are put together from any pieces, and what follows is kept', () => {
  const bytes = Uint8Array.from([...encodeHello(hello), 1, 2, 3]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const reader = new HandshakeReader();
    const message = reader.push(bytes.subarray(0, cut)) ?? reader.push(bytes.subarray(cut));
    if (message === 'bad' || message === undefined) throw new Error(`cut at ${cut}`);
    expect(decodeHello(message.body)).toEqual(hello);
    expect(message.version).toBe(1);
  }
});

test('what is no handshake is noticed at its first byte, or its length', () => {
  expect(new HandshakeReader().push(Buffer.from('G'))).toBe('bad');
  expect(new HandshakeReader().push(Buffer.from('NORIPEEK'))).toBe('bad');
  expect(new HandshakeReader().push(Buffer.from('NORIPEER\x01\x01\x08'))).toBe('bad');
});

test('damaged bodies are never anything but undefined, or strings', () => {
  const rng = new Rng(seed);
  for (let round = 0; round < 5000; round++) {
    const bytes = body(encodeHello(hello)).slice(0, rng.chance(0.3) ? rng.int(13) : 12);
    for (let i = rng.int(3); i > 0 && bytes.length > 0; i--) bytes[rng.int(bytes.length)] = rng.int(256);
    for (const decoded of [decodeHello(bytes), decodeAnswer(bytes)]) {
      expect(decoded === undefined || Object.values(decoded).every((value) => typeof value === 'string')).toBe(true);
    }
  }
});

test.each([
  ['localhost:7448', { host: 'localhost', port: 7448 }],
  ['[::1]:1', { host: '::1', port: 1 }],
  ['10.0.0.1:0', { host: '10.0.0.1', port: 0 }],
])('"%s" is an address', (text, address) => {
  expect(parsePeerAddress(text)).toEqual(address);
});

test.each(['', 'host', 'host:', ':1', '::1:1', 'host:99999', 'a:b:1', '[]:1', 'host:-1'])('"%s" is none', (text) => {
  expect(() => parsePeerAddress(text)).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTION' }));
});

test.each([
  { nodeId: '' },
  { nodeId: 'x'.repeat(256) },
  { clusterId: 'ü'.repeat(128) },
  { listen: 'nowhere' },
  { frameBytesMax: 0 },
  { controlQueueBytesMax: 1000 },
  { retryDelayMinMs: 3000 },
  { lifeIntervalMs: Number.NaN },
])('the options %o are refused', (wrong) => {
  const options = { nodeId: 'a', clusterId: 'c', incarnation: 'i', listen: '127.0.0.1:0' };
  const make = () => new TcpTransport({ ...options, clock: new CountingClock(), random: () => 0.5, ...wrong });
  expect(make).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTION' }));
});
