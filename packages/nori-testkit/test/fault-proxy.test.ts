// The proxy between processes: what passes, what is held, cut, delayed and lost, for one sender and not for others.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FaultProxy } from '../src/index.js';

/** What is sent begins with the name of the sender, up to a colon. */
const senderOf = (head: Buffer): string | undefined => {
  const end = head.indexOf(':');
  return end < 0 ? undefined : head.toString('utf8', 0, end);
};

let echo: Server;
let proxy: FaultProxy;
const open: Socket[] = [];

beforeEach(async () => {
  echo = createServer((socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  proxy = await FaultProxy.open({ senderOf });
  proxy.target = `127.0.0.1:${(echo.address() as AddressInfo).port}`;
});

afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await proxy.close();
  await new Promise((resolve) => echo.close(resolve));
});

/** A connection through the proxy, and all that has come back on it. */
class Peer {
  readonly socket: Socket;
  /** Resolves when it has ended, however. */
  readonly ended: Promise<void>;
  #received = '';
  #look = () => {};

  constructor(address = proxy.address) {
    this.socket = connect(Number(address.split(':')[1]), '127.0.0.1');
    open.push(this.socket);
    this.socket.on('error', () => {});
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      this.#received += text;
      this.#look();
    });
    this.ended = new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  get received(): string {
    return this.#received;
  }

  send(text: string): void {
    this.socket.write(text);
  }

  /** Resolves when all of `text` has come back. */
  hears(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        if (this.#received === text) resolve();
        else if (!text.startsWith(this.#received))
          reject(new Error(`${this.#received} is not the beginning of ${text}`));
      };
      this.#look();
    });
  }
}

/** Long enough for bytes on loopback to arrive, were they on their way. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 50));

test('passes everything on, both ways, when it is open', async () => {
  const peer = new Peer();
  peer.send('a');
  await aWhile();
  expect(peer.received).toBe('');
  peer.send(':1');
  await peer.hears('a:1');
  const much = 'x'.repeat(3_000_000);
  peer.send(much);
  await peer.hears(`a:1${much}`);
});

test('holds what one sender sends and gets, until it is opened again, and lets others be', async () => {
  const [a, b] = [new Peer(), new Peer()];
  a.send('a:1');
  b.send('b:1');
  await Promise.all([a.hears('a:1'), b.hears('b:1')]);
  proxy.link('a').mode = 'held';
  const much = 'x'.repeat(1_000_000);
  a.send(much);
  b.send('2');
  await b.hears('b:12');
  await aWhile();
  expect(a.received).toBe('a:1');
  proxy.link('a').mode = 'open';
  await a.hears(`a:1${much}`);
});

test('a new connection of a sender that is held waits, too', async () => {
  proxy.link('a').mode = 'held';
  const a = new Peer();
  a.send('a:1');
  await aWhile();
  expect(a.received).toBe('');
  proxy.link('a').heal();
  await a.hears('a:1');
});

test('a cut ends the connections of one sender, and refuses new ones', async () => {
  const [a, b] = [new Peer(), new Peer()];
  a.send('a:1');
  b.send('b:1');
  await Promise.all([a.hears('a:1'), b.hears('b:1')]);
  proxy.link('a').mode = 'cut';
  await a.ended;
  const again = new Peer();
  again.send('a:1');
  await again.ended;
  expect(again.received).toBe('');
  b.send('2');
  await b.hears('b:12');
  proxy.link('a').mode = 'open';
  const later = new Peer();
  later.send('a:3');
  await later.hears('a:3');
});

test('a reset ends connections once, and what was held is lost', async () => {
  const a = new Peer();
  a.send('a:1');
  await a.hears('a:1');
  proxy.link('a').mode = 'held';
  a.send('lost');
  await aWhile();
  proxy.link('a').reset();
  await a.ended;
  expect(a.received).toBe('a:1');
  proxy.link('a').mode = 'open';
  const again = new Peer();
  again.send('a:2');
  await again.hears('a:2');
});

test('delays every piece, in order, and no connection of others', async () => {
  const [a, b] = [new Peer(), new Peer()];
  a.send('a:');
  b.send('b:');
  await Promise.all([a.hears('a:'), b.hears('b:')]);
  proxy.link('a').delayMs = 200;
  const startMs = performance.now();
  for (const piece of ['1', '2', '3']) {
    a.send(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  b.send('1');
  await b.hears('b:1');
  await a.hears('a:123');
  // There and back. Timers may be early by a millisecond.
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(2 * 200 - 2);
});

test('a piece that is lost breaks its connection', async () => {
  await proxy.close();
  let drawn = 0.9;
  proxy = await FaultProxy.open({ senderOf, random: () => drawn });
  proxy.target = `127.0.0.1:${(echo.address() as AddressInfo).port}`;
  proxy.link('a').lossRate = 0.5;
  const a = new Peer();
  a.send('a:1');
  await a.hears('a:1');
  drawn = 0.1;
  a.send('2');
  await a.ended;
  expect(a.received).toBe('a:1');
});

test('refuses whoever dials while nobody is behind it, and whoever does not say who it is', async () => {
  const { target } = proxy;
  proxy.target = undefined;
  const early = new Peer();
  early.send('a:1');
  await early.ended;
  proxy.target = target;
  const nameless = new Peer();
  nameless.send('x'.repeat(10_000));
  await nameless.ended;
  expect([early.received, nameless.received]).toEqual(['', '']);
});

test('ends the connection in front when the one behind it ends, and when there is none to be had', async () => {
  const a = new Peer();
  const behind = once(echo, 'connection') as Promise<[Socket]>;
  a.send('a:1');
  await a.hears('a:1');
  (await behind)[0].destroy();
  await a.ended;
  await new Promise((resolve) => echo.close(resolve));
  const b = new Peer();
  b.send('b:1');
  await b.ended;
  expect(b.received).toBe('');
});

test('without a way to tell senders apart, all go one way', async () => {
  const plain = await FaultProxy.open();
  try {
    plain.target = proxy.target;
    const [a, b] = [new Peer(plain.address), new Peer(plain.address)];
    a.send('1');
    b.send('2');
    await Promise.all([a.hears('1'), b.hears('2')]);
    plain.link().mode = 'cut';
    await Promise.all([a.ended, b.ended]);
  } finally {
    await plain.close();
  }
});
