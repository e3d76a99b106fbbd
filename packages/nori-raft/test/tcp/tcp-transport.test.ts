import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test, vi } from 'vitest';
import { RaftError } from '../../src/errors.js';
import type { Lane } from '../../src/multi/ports.js';
import { encodeAnswer, encodeHello } from '../../src/tcp/handshake-codec.js';
import {
  acceptance,
  BareServer,
  BareSocket,
  dialAs,
  introduce,
  startNodes,
  TestNode,
  tcpHandles,
} from '../helpers/tcp-nodes.js';

const seed = seedFromEnv();

/** A frame that says its number. */
function numbered(n: number, length = 4): Uint8Array {
  const frame = new Uint8Array(length);
  new DataView(frame.buffer).setUint32(0, n);
  return frame;
}

function numberOf(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset).getUint32(0);
}

function numbersOn(node: TestNode, lane: Lane): number[] {
  return node.frames.items.filter((item) => item.lane === lane).map((item) => numberOf(item.frame));
}

describe('frames', () => {
  test('arrive in order on each lane, whatever their size', async () => {
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await startNodes(a, b);
    const rng = new Rng(seed);
    const sent: Uint8Array[] = [];
    for (let i = 0; i < 300; i++) {
      const frame = rng.bytes(rng.pick([4, 100, 5_000, 70_000, i % 100 === 0 ? 2_000_000 : 4]));
      new DataView(frame.buffer).setUint32(0, i);
      sent.push(frame);
      expect(a.transport.send('b', i % 3 === 0 ? 'bulk' : 'control', frame)).toBe(true);
      if (rng.chance(0.1)) await new Promise((resolve) => setImmediate(resolve));
    }
    await b.frames.until(() => b.frames.items.length === sent.length);
    for (const lane of ['control', 'bulk'] as const) {
      const numbers = numbersOn(b, lane);
      expect(numbers).toEqual([...numbers].sort((x, y) => x - y));
    }
    for (const { from, frame } of b.frames.items) {
      expect(from).toBe('a');
      expect(Buffer.from(frame).equals(sent[numberOf(frame)]!)).toBe(true);
    }
    const { framesReceived, bytesReceived } = b.transport.counters;
    expect(framesReceived).toBe(300);
    expect(bytesReceived).toBe(sent.reduce((sum, frame) => sum + frame.length + 4, 0));
  });

  test('that are sent in one turn are written together', async () => {
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await startNodes(a, b);
    const write = vi.spyOn(Socket.prototype, 'write');
    try {
      for (let i = 0; i < 50; i++) a.transport.send('b', 'control', numbered(i, 16));
      await b.frames.until(() => b.frames.items.length === 50);
      const large = write.mock.calls.filter(([bytes]) => bytes.length >= 16);
      expect(large.map(([bytes]) => bytes.length)).toEqual([50 * 20]);
    } finally {
      write.mockRestore();
    }
  });

  test('go both ways between three nodes', async () => {
    const nodes = ['a', 'b', 'c'].map((id) => new TestNode(id));
    await startNodes(...nodes);
    for (const node of nodes) {
      for (const other of nodes) {
        if (other !== node) node.transport.send(other.transport.nodeId, 'control', numbered(1));
      }
    }
    for (const node of nodes) {
      await node.frames.until(() => node.frames.items.length === 2);
      const others = ['a', 'b', 'c'].filter((id) => id !== node.transport.nodeId);
      expect(node.frames.items.map((item) => item.from).sort()).toEqual(others);
    }
  });

  test('that are sent while the connection is being made arrive', async () => {
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await a.start();
    await b.start();
    introduce(a, b);
    expect(a.transport.send('b', 'control', numbered(7))).toBe(true);
    const { frame } = await b.frames.find(() => true);
    expect(numberOf(frame)).toBe(7);
  });

  test('to nobody are dropped and counted', async () => {
    const a = await new TestNode('a').start();
    expect(a.transport.send('b', 'bulk', numbered(1))).toBe(false);
    expect(a.events.items).toEqual([{ type: 'dropped', peer: 'b', lane: 'bulk', bytes: 4, reason: 'unknown-peer' }]);
    expect(a.transport.counters.framesDropped).toBe(1);
  });

  test('that are empty or too large are a mistake of the caller', async () => {
    const a = await new TestNode('a', { frameBytesMax: 100 }).start();
    for (const length of [0, 101]) {
      const send = () => a.transport.send('b', 'bulk', new Uint8Array(length));
      expect(send).toThrow(expect.objectContaining({ code: 'RAFT_MISUSE' }));
    }
  });

  test('that the peer does not read wait in a bounded queue; what is over it is dropped, what was accepted arrives', async () => {
    const limits = { frameBytesMax: 100_000, bulkQueueBytesMax: 1_000_000 };
    const [a, b] = [new TestNode('a', limits), new TestNode('b', limits)];
    await startNodes(a, b);
    b.transport.pauseReading('bulk');
    let accepted = 0;
    while (a.transport.send('b', 'bulk', numbered(accepted, 100_000))) {
      accepted++;
      expect(a.transport.queuedBytes('b', 'bulk')).toBeLessThanOrEqual(1_000_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(a.events.items.at(-1)).toMatchObject({ type: 'dropped', lane: 'bulk', reason: 'queue-full' });
    // The other lane does not care.
    a.transport.send('b', 'control', numbered(1));
    await b.frames.find((item) => item.lane === 'control');
    b.transport.resumeReading('bulk');
    await b.frames.until(() => numbersOn(b, 'bulk').length === accepted);
    expect(numbersOn(b, 'bulk')).toEqual(Array.from({ length: accepted }, (_, i) => i));
    expect(a.transport.queuedBytes('b', 'control')).toBe(0);
  });
});

describe('connections', () => {
  test('come back after the peer was restarted', async () => {
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await startNodes(a, b);
    const { address } = b;
    const from = a.events.items.length;
    await b.transport.close();
    for (const lane of ['control', 'bulk'] as const) await a.event('disconnected', { lane, direction: 'out' }, from);
    await a.unreachable.find((peer) => peer === 'b');
    expect(a.transport.send('b', 'control', numbered(1))).toBe(false);
    const again = await new TestNode('b', { listen: address }).start();
    introduce(a, again);
    await a.connectedTo('b', from);
    await again.connectedTo('a');
    a.transport.send('b', 'control', numbered(2));
    again.transport.send('a', 'control', numbered(3));
    expect(numberOf((await again.frames.find(() => true)).frame)).toBe(2);
    expect(numberOf((await a.frames.find(() => true)).frame)).toBe(3);
  });

  test('are tried again, less and less often, while nobody listens', async () => {
    const place = await new TestNode('b').start();
    const { address } = place;
    await place.transport.close();
    const a = new TestNode('a', { random: () => 1 });
    a.transport.setPeers(new Map([['b', address]]));
    await a.start();
    const failures = () =>
      a.events.items.flatMap((event) => (event.type === 'dial-failed' && event.lane === 'bulk' ? [event] : []));
    await a.events.until(() => failures().length >= 6);
    expect(
      failures()
        .slice(0, 6)
        .map((event) => event.retryMs),
    ).toEqual([5, 10, 20, 40, 50, 50]);
    expect(failures()[0]!.detail).toContain('ECONNREFUSED');
    expect(a.unreachable.items.length).toBeGreaterThanOrEqual(6);
    expect(a.transport.counters.dialFailures).toBeGreaterThanOrEqual(6);
    const b = await new TestNode('b', { listen: address }).start();
    introduce(a, b);
    await a.connectedTo('b');
  });

  test('are made at once when the peer shows that it is back', async () => {
    const [a, b] = [new TestNode('a', { retryDelayMinMs: 1e9, retryDelayMaxMs: 1e9 }), new TestNode('b')];
    await a.start();
    const place = await new TestNode('x').start();
    const nobody = place.address;
    await place.transport.close();
    a.transport.setPeers(new Map([['b', nobody]]));
    await a.event('dial-failed', { lane: 'control' });
    await a.event('dial-failed', { lane: 'bulk' });
    // Now a waits for a fortnight, unless b calls.
    const late = new TestNode('b', { listen: nobody });
    await b.transport.close();
    late.transport.setPeers(new Map([['a', a.address]]));
    await late.start();
    await a.connectedTo('b');
  });

  test('follow the list of peers', async () => {
    const [a, b, c] = [new TestNode('a'), new TestNode('b'), new TestNode('c')];
    await startNodes(a, b);
    await c.start();
    a.transport.setPeers(new Map([['c', c.address]]));
    await a.event('disconnected', { peer: 'b', lane: 'bulk', direction: 'out', reason: 'removed' });
    await a.event('disconnected', { peer: 'b', lane: 'bulk', direction: 'in', reason: 'removed' });
    c.transport.setPeers(new Map([['a', a.address]]));
    await a.connectedTo('c');
    expect(a.transport.send('b', 'control', numbered(1))).toBe(false);
    await b.event('refused', { by: 'peer', direction: 'out', reason: 'unknown-node' });
  });

  test('follow a peer that moves', async () => {
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await startNodes(a, b);
    await b.transport.close();
    const moved = await new TestNode('b').start();
    const from = a.events.items.length;
    introduce(a, moved);
    await a.connectedTo('b', from);
    a.transport.send('b', 'bulk', numbered(5));
    expect(numberOf((await moved.frames.find(() => true)).frame)).toBe(5);
  });

  test('are refused a list with a wrong address, and nothing changes', async () => {
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await startNodes(a, b);
    const wrong = () => a.transport.setPeers(new Map([['c', 'nowhere']]));
    expect(wrong).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTION' }));
    expect(a.transport.send('b', 'control', numbered(1))).toBe(true);
  });

  test('find a peer by its name, and on IPv6', async (context) => {
    const b = new TestNode('b', { listen: '[::1]:0' });
    try {
      await b.start();
    } catch {
      context.skip('this machine has no IPv6');
    }
    expect(b.address).toMatch(/^\[::1\]:\d+$/);
    const a = await new TestNode('a').start();
    const port = (node: TestNode) => node.address.slice(node.address.lastIndexOf(':') + 1);
    b.transport.setPeers(new Map([['a', `localhost:${port(a)}`]]));
    a.transport.setPeers(new Map([['b', b.address]]));
    await a.connectedTo('b');
    await b.connectedTo('a');
  });

  test('that a node makes anew replace its old ones', async () => {
    const a = await new TestNode('a').start();
    a.transport.setPeers(new Map([['b', '127.0.0.1:1']]));
    const first = await dialAs('b', a);
    await a.event('connected', { direction: 'in' });
    const second = await dialAs('b', a);
    await a.event('disconnected', { direction: 'in', reason: 'replaced' });
    await first.closed;
    second.socket.write(Uint8Array.of(1, 0, 0, 0, 42));
    expect((await a.frames.find(() => true)).frame).toEqual(Uint8Array.of(42));
  });

  test('to a peer that has fallen silent are given up', async () => {
    const server = await BareServer.listen();
    const a = new TestNode('a', { lifeIntervalMs: 5 });
    a.transport.setPeers(new Map([['b', server.address]]));
    await a.start();
    const bare = await server.connection('control');
    bare.socket.write(acceptance('b'));
    await a.event('disconnected', { direction: 'out', reason: 'silent', lane: 'control' });
    await bare.closed;
    await a.unreachable.find((peer) => peer === 'b');
  });

  test('from a peer that has fallen silent are given up', async () => {
    const a = await new TestNode('a', { lifeIntervalMs: 5 }).start();
    a.transport.setPeers(new Map([['b', '127.0.0.1:1']]));
    const bare = await dialAs('b', a);
    await a.event('disconnected', { direction: 'in', reason: 'silent' });
    await bare.closed;
    // It has shown that it was alive itself, by empty frames behind its answer.
    expect(bare.bytes.subarray(-4)).toEqual(Buffer.alloc(4));
  });

  test('stay while both sides are alive, even if one of them does not read', async () => {
    const options = { lifeIntervalMs: 2 };
    const [a, b] = [new TestNode('a', options), new TestNode('b', options)];
    await startNodes(a, b);
    b.transport.pauseReading('bulk');
    // As many turns of both clocks as would end a silent connection several times.
    await new Promise((resolve) => setTimeout(resolve, 100));
    b.transport.resumeReading('bulk');
    a.transport.send('b', 'bulk', numbered(1));
    await b.frames.find(() => true);
    expect([...a.events.items, ...b.events.items].filter((event) => event.type === 'disconnected')).toEqual([]);
  });
});

describe('a handshake is refused, and both sides know why,', () => {
  const nowhere = new Map([['a', '127.0.0.1:1']]);

  /** Lets `a` dial `b`, whom it takes for the node `meant`. */
  async function refusal(a: TestNode, b: TestNode, meant = 'b') {
    await b.start();
    a.transport.setPeers(new Map([[meant, b.address]]));
    await a.start();
    const out = await a.event('refused', { direction: 'out' });
    const into = await b.event('refused', { direction: 'in' });
    expect(a.transport.counters.connects + b.transport.counters.connects).toBe(0);
    expect(a.transport.counters.refusals).toBeGreaterThan(0);
    expect(b.transport.counters.refusals).toBeGreaterThan(0);
    await a.unreachable.find((peer) => peer === meant);
    return { out, into };
  }

  test('when the clusters differ', async () => {
    const { out, into } = await refusal(new TestNode('a', { clusterId: 'other' }), new TestNode('b'));
    expect(out).toMatchObject({ by: 'peer', peer: 'b', reason: 'cluster', detail: expect.stringContaining('"other"') });
    expect(into).toMatchObject({
      by: 'us',
      peer: 'a',
      reason: 'cluster',
      address: expect.stringContaining('127.0.0.1'),
    });
  });

  test('when the node is not the one that was meant', async () => {
    const { out, into } = await refusal(new TestNode('a'), new TestNode('c'));
    expect(out).toMatchObject({ by: 'peer', peer: 'b', reason: 'wrong-node' });
    expect(into).toMatchObject({ by: 'us', peer: 'a', reason: 'wrong-node', detail: 'this is "c", not "b"' });
  });

  test('when the node is unknown', async () => {
    const { out, into } = await refusal(new TestNode('a'), new TestNode('b'));
    expect(out).toMatchObject({ by: 'peer', reason: 'unknown-node' });
    expect(into).toMatchObject({ by: 'us', peer: 'a', reason: 'unknown-node' });
  });

  test('when a node reaches itself', async () => {
    const a = await new TestNode('a').start();
    a.transport.setPeers(new Map([['b', a.address]]));
    expect(await a.event('refused', { direction: 'out' })).toMatchObject({ by: 'peer', peer: 'b', reason: 'self' });
    expect(await a.event('refused', { direction: 'in' })).toMatchObject({ by: 'us', peer: 'a', reason: 'self' });
  });

  test('when a known node comes with another log', async () => {
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await startNodes(a, b);
    const { address } = b;
    await b.transport.close();
    const blank = await new TestNode('b', { listen: address, incarnation: 'made today' }).start();
    introduce(a, blank);
    expect(await a.event('refused', { direction: 'in' })).toMatchObject({ by: 'us', peer: 'b', reason: 'incarnation' });
    expect(await a.event('refused', { direction: 'out' })).toMatchObject({
      by: 'us',
      peer: 'b',
      reason: 'incarnation',
    });
    expect(await blank.event('refused', { direction: 'in' })).toMatchObject({ by: 'peer', reason: 'incarnation' });
    expect(await blank.event('refused', { direction: 'out' })).toMatchObject({ by: 'peer', reason: 'incarnation' });
  });

  test('unless the node is told that another log is all right', async () => {
    const asked: unknown[] = [];
    const acceptIncarnation = (...values: unknown[]) => asked.push(values) > 0;
    const [a, b] = [new TestNode('a', { acceptIncarnation }), new TestNode('b')];
    await startNodes(a, b);
    const { address } = b;
    await b.transport.close();
    const from = a.events.items.length;
    const blank = await new TestNode('b', { listen: address, incarnation: 'made today' }).start();
    introduce(a, blank);
    await a.connectedTo('b', from);
    await blank.connectedTo('a');
    expect(asked[0]).toEqual(['b', 'log of b', undefined]);
    expect(asked).toContainEqual(['b', 'made today', 'log of b']);
  });

  test('when the version of whoever dials is unknown', async () => {
    const b = new TestNode('b');
    b.transport.setPeers(nowhere);
    await b.start();
    const bare = await BareSocket.dial(b.address);
    const hello = encodeHello({ lane: 'bulk', clusterId: 'test', from: 'a', to: 'b', incarnation: '' });
    hello[8] = 2;
    bare.socket.write(hello);
    expect(await bare.answer()).toMatchObject({ verdict: 'version', detail: 'its protocol is 2, ours 1' });
    await bare.closed;
    await b.event('refused', { by: 'us', reason: 'version', direction: 'in' });
  });

  test('when a hello is unreadable', async () => {
    const b = await new TestNode('b').start();
    const bare = await BareSocket.dial(b.address);
    bare.socket.write('NORIPEER\x01\x02\x00\x01\x09');
    expect(await bare.answer()).toMatchObject({ verdict: 'malformed' });
    await bare.closed;
    await b.event('refused', { by: 'us', reason: 'malformed', direction: 'in' });
  });

  test('when a confirmation is unreadable', async () => {
    const b = new TestNode('b');
    b.transport.setPeers(nowhere);
    await b.start();
    const bare = await BareSocket.dial(b.address);
    bare.socket.write(encodeHello({ lane: 'bulk', clusterId: 'test', from: 'a', to: 'b', incarnation: '' }));
    await bare.answer();
    bare.socket.write('NORIPEER\x01\x00\x00');
    await bare.closed;
    await b.event('refused', { by: 'us', peer: 'a', reason: 'malformed', direction: 'in' });
  });

  test.each([
    ['version', (bytes: Uint8Array) => Uint8Array.from([...bytes.subarray(0, 8), 9, ...bytes.subarray(9)])],
    ['malformed', (bytes: Uint8Array) => Uint8Array.from([...bytes.subarray(0, 11), 99, ...bytes.subarray(12)])],
    ['malformed', () => Buffer.from('HTTP/1.1 400 Bad Request')],
    ['cluster', () => acceptance('b', { clusterId: 'other' })],
    ['wrong-node', () => acceptance('c')],
  ])('when the answer is wrong: %s', async (reason, change) => {
    const server = await BareServer.listen();
    const a = new TestNode('a');
    a.transport.setPeers(new Map([['b', server.address]]));
    await a.start();
    const bare = await server.connection('control');
    bare.socket.write(change(acceptance('b')));
    await bare.closed;
    expect(await a.event('refused', { direction: 'out' })).toMatchObject({ by: 'us', peer: 'b', reason });
    expect(bare.bytes.subarray(-1000).includes('NORIPEER')).toBe(true);
  });

  test('when nothing is said in time', async () => {
    const b = await new TestNode('b', { connectTimeoutMs: 5 }).start();
    const bare = await BareSocket.dial(b.address);
    await bare.closed;
    await b.event('refused', { by: 'us', reason: 'timeout', direction: 'in' });
    const server = await BareServer.listen();
    b.transport.setPeers(new Map([['a', server.address]]));
    expect((await b.event('dial-failed')).detail).toContain('no agreement');
  });
});

describe('bytes that are wrong', () => {
  const toB = new Map([['a', '127.0.0.1:1']]);

  async function victim(options = {}): Promise<TestNode> {
    const b = new TestNode('b', options);
    b.transport.setPeers(toB);
    return b.start();
  }

  test('instead of a handshake end the connection without an answer', async () => {
    const b = await victim();
    const bare = await BareSocket.dial(b.address);
    bare.socket.write('GET / HTTP/1.1\r\n\r\n');
    await bare.closed;
    expect(bare.bytes).toHaveLength(0);
    await b.event('refused', { by: 'us', reason: 'malformed', peer: undefined });
  });

  test('as the length of a frame end the connection', async () => {
    const b = await victim({ frameBytesMax: 1000 });
    const bare = await dialAs('a', b);
    bare.socket.write(Uint8Array.of(1, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff));
    await bare.closed;
    expect(await b.event('disconnected', { direction: 'in' })).toMatchObject({ peer: 'a', reason: 'bad-bytes' });
    expect(b.frames.items.map((item) => item.frame)).toEqual([Uint8Array.of(7)]);
    expect(b.transport.counters.badConnections).toBe(1);
  });

  test('within a frame end the connection when the receiver says so', async () => {
    const b = await victim();
    b.onFrame = () => {
      throw new RaftError('RAFT_BAD_FRAME', 'no');
    };
    const bare = await dialAs('a', b);
    bare.socket.write(Uint8Array.of(1, 0, 0, 0, 7, 1, 0, 0, 0, 8));
    await bare.closed;
    expect(await b.event('disconnected', { direction: 'in' })).toMatchObject({ reason: 'bad-bytes', detail: 'no' });
    expect(b.frames.items).toHaveLength(1);
  });

  test('from the side that accepts end the connection', async () => {
    const server = await BareServer.listen();
    const a = new TestNode('a');
    a.transport.setPeers(new Map([['b', server.address]]));
    await a.start();
    const bare = await server.connection('bulk');
    bare.socket.write(Buffer.concat([acceptance('b'), Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 9)]));
    await bare.closed;
    await a.event('disconnected', { direction: 'out', lane: 'bulk', reason: 'bad-bytes' });
    expect(a.frames.items).toEqual([]);
  });

  test('of any kind harm nobody else', async () => {
    const rng = new Rng(seed);
    const [a, b] = [new TestNode('a'), new TestNode('b', { frameBytesMax: 1 << 20 })];
    await startNodes(a, b);
    const peers = new Map([
      ['a', a.address],
      ['x', '127.0.0.1:1'],
    ]);
    b.transport.setPeers(peers);
    const hello = encodeHello({ lane: 'bulk', clusterId: 'test', from: 'x', to: 'b', incarnation: '' });
    const confirmation = encodeAnswer({
      verdict: 'accepted',
      clusterId: 'test',
      nodeId: 'x',
      incarnation: '',
      detail: '',
    });
    for (let round = 0; round < 60; round++) {
      const bare = await BareSocket.dial(b.address);
      const good = [hello, confirmation].slice(0, rng.int(3));
      const bytes = Buffer.concat([...good, rng.bytes(rng.int(300))]);
      if (rng.chance(0.3)) bytes[rng.int(bytes.length)] = rng.int(256);
      bare.socket.end(bytes);
      await bare.closed;
    }
    a.transport.send('b', 'control', numbered(1));
    expect(numberOf((await b.frames.find((item) => item.from === 'a')).frame)).toBe(1);
    expect(a.events.items.filter((event) => event.type === 'disconnected')).toEqual([]);
    const { refusals, badConnections } = b.transport.counters;
    expect(refusals, `seed ${seed}`).toBeGreaterThan(0);
    expect(badConnections, `seed ${seed}`).toBeGreaterThan(0);
  });
});

describe('a transport', () => {
  test('is not imported by the rest of the package, which needs no sockets', () => {
    const source = new URL('../../src/', import.meta.url);
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const rest = files.filter((name) => !name.startsWith('tcp'));
    expect(rest).toContain('index.ts');
    const importing = rest.filter((name) =>
      /from '(\.{1,2}\/tcp|node:)/.test(readFileSync(new URL(name, source), 'utf8')),
    );
    expect(importing.filter((name) => !name.startsWith('wal-storage'))).toEqual([]);
  });

  test('takes only so many connections that do not say who they are', async () => {
    const a = await new TestNode('a').start();
    const strangers: BareSocket[] = [];
    while (!a.events.items.some((event) => event.type === 'refused' && event.reason === 'busy')) {
      strangers.push(await BareSocket.dial(a.address));
      expect(strangers.length).toBeLessThan(1000);
    }
    for (const { socket } of strangers) socket.destroy();
    for (const stranger of strangers) await stranger.closed;
    const b = await new TestNode('b').start();
    introduce(a, b);
    await a.connectedTo('b');
    await b.connectedTo('a');
  });

  test('that is closed leaves no socket and no timer', async () => {
    const before = await tcpHandles();
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await startNodes(a, b);
    const server = await BareServer.listen();
    a.transport.setPeers(
      new Map([...[['b', b.address]], ['c', server.address], ['d', '127.0.0.1:1']] as [string, string][]),
    );
    const stranger = await BareSocket.dial(a.address);
    await a.event('dial-failed', { peer: 'd' });
    await server.connection('bulk');
    await a.transport.close();
    await stranger.closed;
    expect(a.clock.timers.size).toBe(0);
    await b.transport.close();
    expect(b.clock.timers.size).toBe(0);
    server.server.close();
    await once(server.server, 'close');
    expect(await tcpHandles()).toBe(before);
  });

  test('that is closed tells nobody anything any more, and sends nothing', async () => {
    const [a, b] = [new TestNode('a'), new TestNode('b')];
    await startNodes(a, b);
    const closing = a.transport.close();
    const [events, unreachable] = [a.events.items.length, a.unreachable.items.length];
    expect(a.transport.send('b', 'control', numbered(1))).toBe(false);
    await closing;
    await a.transport.close();
    expect(a.events.items).toHaveLength(events);
    expect(a.unreachable.items).toHaveLength(unreachable);
  });

  test('that is closed lets go out what it has accepted', async () => {
    const [a, b] = [new TestNode('a', { closeTimeoutMs: 20_000 }), new TestNode('b')];
    await startNodes(a, b);
    for (let i = 0; i < 100; i++) expect(a.transport.send('b', 'bulk', numbered(i, 100_000))).toBe(true);
    a.transport.send('b', 'control', numbered(0));
    await a.transport.close();
    await b.frames.until(() => b.frames.items.length === 101);
  });

  test('that is closed waits no longer than it should for a peer that does not read', async () => {
    const [a, b] = [new TestNode('a', { closeTimeoutMs: 10 }), new TestNode('b')];
    await startNodes(a, b);
    b.transport.pauseReading('bulk');
    while (a.transport.queuedBytes('b', 'bulk') < 8_000_000) a.transport.send('b', 'bulk', new Uint8Array(1_000_000));
    await a.transport.close();
    expect(a.clock.timers.size).toBe(0);
  });

  test('may be closed before it was started, and while it starts', async () => {
    const a = new TestNode('a');
    await a.transport.close();
    await expect(a.start()).rejects.toMatchObject({ code: 'RAFT_MISUSE' });
    const before = await tcpHandles();
    const b = new TestNode('b');
    const starting = b.start();
    await b.transport.close();
    await starting;
    expect(await tcpHandles()).toBe(before);
  });

  test('is started once', async () => {
    const a = await new TestNode('a').start();
    await expect(a.start()).rejects.toMatchObject({ code: 'RAFT_MISUSE' });
  });

  test('says where it cannot listen', async () => {
    const a = await new TestNode('a').start();
    const b = new TestNode('b', { listen: a.address });
    await expect(b.start()).rejects.toMatchObject({
      code: 'RAFT_LISTEN_FAILED',
      message: expect.stringContaining(a.address),
    });
    await b.transport.close();
  });
});
