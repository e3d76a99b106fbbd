// A node's card survives its bytes, fits into gossip, and of an unknown version says just that.
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { decodeCard, encodeCard, type NodeCard, noticeOf, PROTOCOL_VERSION } from '../../src/domain/node-card.js';

const CARD: NodeCard = {
  protocolVersion: PROTOCOL_VERSION,
  shardCount: 1024,
  phase: 'formed',
  clusterId: '00112233445566778899aabbccddeeff',
  members: 'abc',
  version: '1.2.3',
  http: '[fe80::1]:8080',
  stores: [{ client: 'a-host.example.org:7447', peer: '10.0.0.1:7448' }],
};

test('a card is read as it was written, and fits into 512 bytes', () => {
  expect(decodeCard(encodeCard(CARD))).toEqual(CARD);
  expect(encodeCard(CARD).length).toBeLessThan(200);
});

test('of a card of another protocol version only the numbers are known', () => {
  const other = encodeCard({ ...CARD, protocolVersion: PROTOCOL_VERSION + 1, shardCount: 77 });
  expect(decodeCard(other)).toMatchObject({ protocolVersion: PROTOCOL_VERSION + 1, shardCount: 77, clusterId: '' });
});

test('any bytes are a card or none', () => {
  const rng = new Rng(seedFromEnv());
  for (let i = 0; i < 2000; i++) {
    const bytes = rng.chance(0.5) ? rng.bytes(rng.int(100)) : encodeCard(CARD);
    if (bytes.length > 0) bytes[rng.int(bytes.length)] = rng.int(256);
    decodeCard(bytes);
  }
});

test('a node that is joining has accepted nothing', () => {
  expect(noticeOf('n1', { ...CARD, phase: 'joining' })).toMatchObject({ clusterId: '', isFormed: false });
  expect(noticeOf('n1', CARD)).toMatchObject({ clusterId: CARD.clusterId, isFormed: true });
});
