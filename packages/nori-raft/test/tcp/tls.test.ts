import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { parsePeerAddress } from '../../src/tcp/peer-address.js';
import { hasOpenssl, makeCertificates } from '../helpers/certificates.js';
import { BareSocket, introduce, startNodes, TestNode, tcpHandles } from '../helpers/tcp-nodes.js';

describe.skipIf(!hasOpenssl())('with TLS (needs openssl)', () => {
  const certificates = makeCertificates(['a', 'b', 'c']);
  const others = makeCertificates(['a']);

  test('nodes whose certificates name them talk to each other', async () => {
    const before = await tcpHandles();
    const a = new TestNode('a', { tls: certificates.a });
    const b = new TestNode('b', { tls: certificates.b });
    await startNodes(a, b);
    const large = new Uint8Array(3_000_000).fill(7);
    a.transport.send('b', 'bulk', large);
    b.transport.send('a', 'control', Uint8Array.of(1));
    const { frame } = await b.frames.find(() => true);
    expect(Buffer.from(frame).equals(large)).toBe(true);
    expect((await a.frames.find(() => true)).frame).toEqual(Uint8Array.of(1));
    await a.transport.close();
    await b.transport.close();
    expect(await tcpHandles()).toBe(before);
    expect(a.clock.timers.size + b.clock.timers.size).toBe(0);
  });

  test('a node that comes back is found again', async () => {
    const a = new TestNode('a', { tls: certificates.a });
    const b = new TestNode('b', { tls: certificates.b });
    await startNodes(a, b);
    const { address } = b;
    const from = a.events.items.length;
    await b.transport.close();
    const again = await new TestNode('b', { tls: certificates.b, listen: address }).start();
    introduce(a, again);
    await a.connectedTo('b', from);
  });

  test('a node with the certificate of another one is refused, by whoever it dials and by whoever dials it', async () => {
    const a = new TestNode('a', { tls: certificates.a });
    const wrong = new TestNode('b', { tls: { ...certificates.c, checkNodeName: false } });
    await a.start();
    await wrong.start();
    introduce(a, wrong);
    expect(await a.event('refused', { direction: 'in' })).toMatchObject({ by: 'us', peer: 'b', reason: 'certificate' });
    expect(await wrong.event('refused', { direction: 'out' })).toMatchObject({ by: 'peer', reason: 'certificate' });
    expect((await a.event('dial-failed', { peer: 'b' })).detail).toContain('altnames');
  });

  test('any certificate of the authority serves when names are not checked', async () => {
    const tls = { ...certificates.c, checkNodeName: false };
    await startNodes(new TestNode('a', { tls }), new TestNode('b', { tls }));
  });

  test('a node with a certificate of another authority is refused', async () => {
    const b = new TestNode('b', { tls: certificates.b });
    const stranger = new TestNode('a', { tls: { ...others.a, ca: certificates.a.ca } });
    await b.start();
    await stranger.start();
    introduce(stranger, b);
    expect(await b.event('refused', { reason: 'tls' })).toMatchObject({ by: 'us', peer: undefined });
    expect(b.transport.counters.connects).toBe(0);
    await b.event('dial-failed', { peer: 'a' });
  });

  test('whoever shows no certificate is refused', async () => {
    const b = await new TestNode('b', { tls: certificates.b }).start();
    const socket = connectTls({
      ...parsePeerAddress(b.address),
      ca: certificates.b.ca,
      checkServerIdentity: () => undefined,
    });
    const bare = new BareSocket(socket);
    await bare.closed;
    await b.event('refused', { reason: 'tls' });
  });

  test('whoever does not speak TLS is refused', async () => {
    const b = await new TestNode('b', { tls: certificates.b }).start();
    const bare = await BareSocket.dial(b.address);
    bare.socket.write('NORIPEER');
    await bare.closed;
    await b.event('refused', { reason: 'tls' });
  });

  test('close does not wait for whoever has not finished with TLS', async () => {
    const b = await new TestNode('b', { tls: certificates.b }).start();
    const bare = await BareSocket.dial(b.address);
    await b.transport.close();
    await bare.closed;
  });
});
