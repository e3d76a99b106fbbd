// `Swim` on real sockets of this process: its surface, and what it does with bad input.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RecordingMeter } from 'nori-observe';
import { type MembershipEvent, PacketCodec, Swim, SwimJoinError, type SwimOptions } from 'nori-swim';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from './helpers/processes.js';

const running: Swim[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((swim) => swim.close()));
});

/** Fast enough for tests, with the proportions of the defaults. */
const FAST = { probeIntervalMs: 100, probeTimeoutMs: 50, gossipIntervalMs: 40 } as const;

async function start(id: string, options: Partial<SwimOptions> = {}): Promise<Swim> {
  const swim = await Swim.start({ id, bind: '127.0.0.1:0', ...options });
  running.push(swim);
  return swim;
}

async function cluster(ids: readonly string[], options: Partial<SwimOptions> = {}): Promise<Swim[]> {
  const nodes: Swim[] = [];
  for (const id of ids) nodes.push(await start(id, options));
  for (const node of nodes.slice(1)) await node.join([nodes[0]!.address]);
  await until(() => nodes.every((node) => node.members().length === ids.length));
  return nodes;
}

const collect = (swim: Swim): MembershipEvent[] => {
  const seen: MembershipEvent[] = [];
  void (async () => {
    for await (const event of swim.events()) seen.push(event);
  })();
  return seen;
};

const text = (value: string) => new TextEncoder().encode(value);

describe('joining', () => {
  test('resolves with who answered, and all get to know each other', async () => {
    const a = await start('a', { zone: 'z1', metadata: text('hi') });
    const b = await start('b');
    expect(await b.join(['127.0.0.1:1', a.address])).toEqual({ contacted: [{ seed: a.address, id: 'a' }] });
    const [self, other] = b.members();
    expect(self).toMatchObject({ id: 'b', state: 'alive', address: b.address });
    expect(other).toMatchObject({ id: 'a', state: 'alive', zone: 'z1', metadata: text('hi'), incarnation: 1 });
    expect([a.isAlive('b'), b.isAlive('a'), b.isAlive('b'), b.isAlive('nobody')]).toEqual([true, true, true, false]);
  });

  test('rejects when nobody answers, and says who was tried and what became of it', async () => {
    const a = await start('a');
    const error = await a.join(['127.0.0.1:1', 'no.such.host.invalid:7449']).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SwimJoinError);
    expect(error).toMatchObject({ code: 'SWIM_JOIN_FAILED' });
    const { attempts, message } = error as SwimJoinError;
    expect(message).toContain('127.0.0.1:1');
    expect(message).toContain('no.such.host.invalid:7449');
    expect(attempts.map(({ seed, error: { code } }) => [seed, code])).toEqual(
      expect.arrayContaining([
        ['127.0.0.1:1', 'SWIM_SEED_UNREACHABLE'],
        ['no.such.host.invalid:7449', 'SWIM_SEED_UNRESOLVED'],
      ]),
    );
  });

  test('with one answer the other seeds do not matter', async () => {
    const a = await start('a');
    const b = await start('b');
    expect((await b.join(['no.such.host.invalid:1', '127.0.0.1:1', a.address])).contacted).toHaveLength(1);
  });

  test('through a host name', async () => {
    const a = await start('a');
    const b = await start('b');
    await b.join([a.address.replace('127.0.0.1', 'localhost')]);
    expect(b.isAlive('a')).toBe(true);
  });

  test('with this node itself as the only seed is a cluster of one', async () => {
    const a = await start('a');
    expect(await a.join([a.address])).toEqual({ contacted: [] });
  });

  test('a seed that says nothing is given up, and named', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const a = await start('a', { protocol: { streamTimeoutMs: 100 } });
    const { port } = silent.address() as { port: number };
    await expect(a.join([`127.0.0.1:${port}`])).rejects.toThrow(/no answer within 100 ms/);
    const signal = AbortSignal.abort(new Error('Enough.'));
    await expect(a.join([`127.0.0.1:${port}`], { signal })).rejects.toThrow('Enough.');
    silent.close();
  });

  test.each(['7449', 'host', '1.2.3.4:70000', '[::1]', '::1:7449', '127.0.0.1:0'])(
    'the seed %s is refused',
    async (seed) => {
      const a = await start('a');
      await expect(a.join([seed])).rejects.toMatchObject({ code: 'SWIM_INVALID_OPTION' });
    },
  );

  test('a node of another version is refused by name, in both directions', async () => {
    const a = await start('a');
    const newer = createServer((socket) => socket.end(Uint8Array.of(0, 0, 0, 8, 9, 0, 0, 0, 0, 0, 0, 0)));
    await new Promise<void>((resolve) => newer.listen(0, '127.0.0.1', resolve));
    const { port } = newer.address() as { port: number };
    const error = await a.join([`127.0.0.1:${port}`]).catch((reason: unknown) => reason);
    expect((error as SwimJoinError).attempts[0]?.error.code).toBe('SWIM_WIRE_VERSION');
    newer.close();
    const udp = createSocket('udp4');
    udp.send(Uint8Array.of(9, 0, 0, 0, 0, 0, 0), Number(a.address.split(':')[1]), '127.0.0.1');
    await until(() => a.stats().dropped.version === 1 + 1);
    udp.close();
  });
});

test('over IPv6', async () => {
  const [a, b] = await cluster(['a', 'b'], { bind: '[::1]:0' });
  expect(a!.address).toMatch(/^\[::1\]:\d+$/);
  await until(() => a!.members()[1]?.udp === 'reachable');
  expect(b!.isAlive('a')).toBe(true);
});

test('bound to all addresses, it can be reached over IPv4 and IPv6', async () => {
  const all = await start('all', { bind: '[::]:0', advertise: '127.0.0.1:0' });
  const port = all.address.split(':')[1];
  const [four, six] = [await start('four'), await start('six', { bind: '[::1]:0' })];
  await four.join([`127.0.0.1:${port}`]);
  await six.join([`[::1]:${port}`]);
  expect(
    all
      .members()
      .map(({ id }) => id)
      .sort(),
  ).toEqual(['all', 'four', 'six']);
  await until(() => all.members().find(({ id }) => id === 'four')?.udp === 'reachable');
});

describe('the id of a live node', () => {
  test('is refused to a later one, with both addresses', async () => {
    const [a, b] = await cluster(['a', 'b', 'c']);
    for (const seed of [a!, b!]) {
      const twin = await start('b');
      const error = await twin.join([seed.address]).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'SWIM_ID_CONFLICT' });
      expect((error as Error).message).toContain(`${b!.address}, so the one at ${twin.address}`);
    }
  });

  test('is given up by a later one that came in another way', async () => {
    const [a] = await cluster(['a', 'b'], { protocol: FAST });
    // Two clusters that know nothing of each other have a `b` each; then they meet.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const [c, twin] = await cluster(['c', 'b'], { protocol: FAST });
    const seen = collect(twin!);
    await c!.join([a!.address]);
    await until(() => seen.some(({ type }) => type === 'conflict'));
    await expect(twin!.join([a!.address])).rejects.toMatchObject({ code: 'SWIM_ID_CONFLICT' });
  });
});

describe('bad options', () => {
  test.each([
    [{ id: '' }, 'SWIM_INVALID_OPTION', /id must be/],
    [{ id: 'x'.repeat(129) }, 'SWIM_INVALID_OPTION', /id must be/],
    [{ id: 'a\nb' }, 'SWIM_INVALID_OPTION', /id must be/],
    [{ id: 'a\ud800' }, 'SWIM_INVALID_OPTION', /id must be/],
    [{ id: 'a', bind: 'nowhere' }, 'SWIM_INVALID_OPTION', /bind must be host:port/],
    [{ id: 'a', bind: 'no.such.host.invalid:0' }, 'SWIM_INVALID_OPTION', /cannot be resolved/],
    [{ id: 'a', zone: 'z'.repeat(65) }, 'SWIM_INVALID_OPTION', /zone must be/],
    [{ id: 'a', cluster: 'z'.repeat(65) }, 'SWIM_INVALID_OPTION', /cluster must be/],
    [{ id: 'a', metadata: new Uint8Array(513) }, 'SWIM_METADATA_TOO_LARGE', /513 bytes: 512 are allowed/],
    [{ id: 'a', keys: [new Uint8Array(16)] }, 'SWIM_BAD_KEY', /32 bytes/],
    [{ id: 'a', requireEncrypted: true }, 'SWIM_INVALID_OPTION', /need keys/],
    [
      { id: 'a', protocol: { probeIntervalMs: 1 } },
      'SWIM_INVALID_OPTION',
      /probeIntervalMs must be an integer from 10/,
    ],
    [{ id: 'a', protocol: { probeTimeoutMs: 500 } }, 'SWIM_INVALID_OPTION', /must be below probeIntervalMs/],
    [{ id: 'a', protocol: { messageBytesMax: 1_400 } }, 'SWIM_INVALID_OPTION', /messageBytesMax/],
    [{ id: 'a', bind: '192.0.2.1:0' }, 'SWIM_LISTEN_FAILED', /Cannot listen on 192\.0\.2\.1/],
  ])('%o: %s', async (options, code, message) => {
    const failed = await Swim.start({ bind: '127.0.0.1:0', ...options }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('a port in use is refused by name, whichever of the two sockets has it', async () => {
    const a = await start('a');
    const again = Swim.start({ id: 'b', bind: a.address });
    await expect(again).rejects.toMatchObject({
      code: 'SWIM_ADDRESS_IN_USE',
      message: expect.stringContaining(`${a.address} (TCP)`),
    });
    const udp = createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
    const bind = `127.0.0.1:${udp.address().port}`;
    await expect(Swim.start({ id: 'b', bind })).rejects.toMatchObject({
      code: 'SWIM_ADDRESS_IN_USE',
      message: expect.stringContaining(`${bind} (UDP)`),
    });
    udp.close();
  });
});

describe('metadata and messages', () => {
  test('reach all members', async () => {
    const [a, b, c] = await cluster(['a', 'b', 'c'], { protocol: FAST });
    const seen = [b!, c!].map(collect);
    a!.setMetadata(text('new'));
    a!.broadcast(text('hello'));
    await until(() =>
      seen.every((events) => ['update', 'message'].every((type) => events.some((event) => event.type === type))),
    );
    for (const events of seen) {
      expect(events).toContainEqual({ type: 'message', from: 'a', data: text('hello') });
      expect(events.find(({ type }) => type === 'update')).toMatchObject({
        member: { id: 'a', metadata: text('new') },
      });
    }
  });

  test('that are too large, or too many, are refused', async () => {
    const a = await start('a', { protocol: { messagesMax: 2 } });
    expect(() => a.setMetadata(new Uint8Array(513))).toThrow(
      expect.objectContaining({ code: 'SWIM_METADATA_TOO_LARGE' }),
    );
    expect(() => a.broadcast(new Uint8Array(513))).toThrow(expect.objectContaining({ code: 'SWIM_MESSAGE_TOO_LARGE' }));
    a.broadcast(new Uint8Array(512));
    a.broadcast(new Uint8Array(1));
    expect(() => a.broadcast(new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'SWIM_QUEUE_FULL' }));
  });
});

test('a member that leaves has left; one that is closed is dead', async () => {
  const meter = new RecordingMeter();
  const a = await start('a', { protocol: FAST, meter });
  const [b, c] = [await start('b', { protocol: FAST }), await start('c', { protocol: FAST })];
  await b.join([a.address]);
  await c.join([a.address]);
  await until(() => [a, b, c].every((node) => node.members().length === 3));
  await until(() => meter.count('swim_rtt_seconds') > 0);
  const seen = collect(a);
  await b.leave();
  await b.leave();
  expect(b.view().self.state).toBe('left');
  await until(() => seen.some(({ type }) => type === 'leave'));
  await b.close();
  expect([a.isAlive('b'), a.view().others.find(({ id }) => id === 'b')?.state]).toEqual([false, 'left']);
  await c.close();
  await until(() => seen.some(({ type }) => type === 'confirm'));
  expect(seen.filter((event) => event.type === 'confirm' && event.member.id === 'b')).toEqual([]);
  expect(seen.find(({ type }) => type === 'suspect')).toMatchObject({
    by: 'a',
    member: { id: 'c' },
    evidence: { tcp: 'failed' },
  });
  expect(a.members().map(({ id }) => id)).toEqual(['a']);

  const types = meter.events.map(({ type }) => type);
  expect(types).toEqual(expect.arrayContaining(['swim.alive', 'swim.leave', 'swim.suspect', 'swim.confirm']));
  expect(meter.events.find(({ type }) => type === 'swim.confirm')).toMatchObject({
    memberId: 'c',
    by: 'a',
    atMs: expect.any(Number),
  });
  expect(meter.value('swim_members', { state: 'dead' })).toBe(1);
  expect(meter.value('swim_members', { state: 'left' })).toBe(1);
  expect(meter.value('swim_failed_members_total')).toBe(1);
  expect(meter.value('swim_packets_total', { operation: 'send' })).toBe(a.stats().packetsSent);
});

describe('keys', () => {
  const key = () => Uint8Array.from(randomBytes(32));

  test('are rotated without anybody being missed', async () => {
    const [old, next] = [key(), key()];
    const nodes = await cluster(['a', 'b', 'c'], { keys: [old], protocol: FAST });
    const pause = () => new Promise((resolve) => setTimeout(resolve, 150));
    for (const [step, which] of [
      ['install', next],
      ['use', next],
      ['remove', old],
    ] as const) {
      for (const node of nodes) {
        expect(node.rotateKey(step, which)).toHaveLength(step === 'remove' ? 1 : 2);
        await pause();
      }
    }
    const { received, dropped } = nodes.reduce(
      (sum, node) => {
        const stats = node.stats();
        return { received: sum.received + stats.packetsReceived, dropped: sum.dropped + stats.dropped['unknown-key'] };
      },
      { received: 0, dropped: 0 },
    );
    expect(received).toBeGreaterThan(20);
    expect(dropped).toBe(0);
    const late = await start('late', { keys: [old] });
    await expect(late.join([nodes[0]!.address])).rejects.toMatchObject({ code: 'SWIM_JOIN_FAILED' });
  });

  test('are turned on node by node while the cluster runs', async () => {
    const shared = key();
    const nodes = await cluster(['a', 'b', 'c'], { protocol: FAST });
    const phases = [
      { keys: [shared], encryptOutgoing: false },
      { keys: [shared], encryptOutgoing: true, requireEncrypted: false },
      { keys: [shared] },
    ];
    for (const phase of phases) {
      for (const [i, node] of nodes.entries()) {
        const { id, address } = node;
        await node.close();
        nodes[i] = await start(id, { bind: address, protocol: FAST, ...phase });
        await nodes[i]!.join(nodes.filter((other) => other.id !== id).map((other) => other.address));
        await until(() => nodes.every((each) => each.members().length === 3));
      }
    }
    const plain = await start('plain');
    await expect(plain.join([nodes[0]!.address])).rejects.toMatchObject({ code: 'SWIM_JOIN_FAILED' });
    expect(nodes[0]!.stats().dropped['not-encrypted']).toBeGreaterThan(0);
  });

  test('that are wrong are refused', async () => {
    const [plain, sealed] = [await start('plain'), await start('sealed', { keys: [key()] })];
    expect(() => plain.rotateKey('install', key())).toThrow(expect.objectContaining({ code: 'SWIM_NOT_ENCRYPTED' }));
    expect(() => sealed.rotateKey('use', key())).toThrow(expect.objectContaining({ code: 'SWIM_UNKNOWN_KEY' }));
    expect(() => sealed.rotateKey('install', new Uint8Array(31))).toThrow(
      expect.objectContaining({ code: 'SWIM_BAD_KEY' }),
    );
  });
});

test('clusters of different names keep apart', async () => {
  const blue = await start('a', { cluster: 'blue' });
  const green = await start('b', { cluster: 'green' });
  await expect(green.join([blue.address])).rejects.toMatchObject({ code: 'SWIM_JOIN_FAILED' });
  expect(blue.stats().dropped['other-cluster']).toBe(1);
});

describe('the state file', () => {
  const inDirectory = async (use: (file: string) => Promise<void>) => {
    const dir = await mkdtemp(join(tmpdir(), 'nori-swim-'));
    try {
      await use(join(dir, 'state'));
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  };

  test('lets each run begin above the one before', async () => {
    await inDirectory(async (stateFile) => {
      const peer = await start('peer');
      let [incarnation, boot] = [0, 0];
      for (let run = 0; run < 3; run++) {
        const node = await start('a', { stateFile });
        await node.join([peer.address]);
        node.setMetadata(text(String(run)));
        const { self } = node.view();
        expect(self.incarnation).toBeGreaterThan(incarnation);
        expect(self.boot).toBeGreaterThan(boot);
        ({ incarnation, boot } = self);
        await node.close();
      }
      expect(JSON.parse(await readFile(stateFile, 'utf8'))).toMatchObject({ format: 1, id: 'a', boot });
    });
  });

  test.each([
    '',
    '{}',
    '{"format":2,"id":"a","boot":1,"incarnation":1}',
    '{"format":1,"id":"a","boot":-1,"incarnation":1}',
    '{"format":1,"id":"z","boot":1,"incarnation":1}',
  ])('with %s in it is refused by name', async (content) => {
    await inDirectory(async (stateFile) => {
      await writeFile(stateFile, content);
      const failed = Swim.start({ id: 'a', bind: '127.0.0.1:0', stateFile });
      await expect(failed).rejects.toMatchObject({
        code: 'SWIM_CORRUPT_STATE',
        message: expect.stringContaining(stateFile),
      });
    });
  });

  test('that cannot be written is refused by name', async () => {
    const stateFile = join(tmpdir(), 'no-such-directory-of-nori-swim', 'state');
    await expect(Swim.start({ id: 'a', bind: '127.0.0.1:0', stateFile })).rejects.toMatchObject({
      code: 'SWIM_STATE_FAILED',
    });
  });
});

describe('events', () => {
  test('that are not read in time are counted', async () => {
    const a = await start('a', { protocol: { messagesMax: 10 } });
    const stream = a.events();
    const codec = new PacketCodec('');
    const udp = createSocket('udp4');
    const port = Number(a.address.split(':')[1]);
    const say = (message: Parameters<PacketCodec['encode']>[0][number]) =>
      udp.send(codec.encode([message]), port, '127.0.0.1');
    const alive = {
      type: 'alive',
      id: 'b',
      address: '127.0.0.1:1',
      boot: 1,
      zone: '',
      versionMin: 1,
      versionMax: 1,
    } as const;
    let incarnation = 0;
    while (a.stats().packetsReceived < 6_000) {
      for (let i = 0; i < 50; i++) say({ ...alive, incarnation: ++incarnation, metadata: text(String(incarnation)) });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    udp.close();
    const first = await stream.next();
    expect(first.value).toMatchObject({ type: 'lost', events: expect.any(Number) });
    expect((await stream.next()).value.type).toBe('update');
  });

  test('end when the reader has enough, or the node is closed', async () => {
    const a = await start('a');
    const stream = a.events();
    const waiting = stream.next();
    await a.close();
    expect(await waiting).toEqual({ value: undefined, done: true });
    expect(await stream.next()).toEqual({ value: undefined, done: true });
    expect(await a.events().next()).toEqual({ value: undefined, done: true });
    const b = await start('b');
    const early = b.events();
    await early.return?.();
    expect(await early.next()).toEqual({ value: undefined, done: true });
  });
});

test('a closed node refuses everything, lets go of its port, and can be closed again', async () => {
  const a = await start('a');
  const b = await start('b', { protocol: { streamTimeoutMs: 60_000 } });
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as { port: number };
  const joining = b.join([`127.0.0.1:${port}`]).catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await Promise.all([b.close(), b.close()]);
  expect(await joining).toMatchObject({ code: 'SWIM_CLOSED' });
  silent.close();
  await expect(b.join([a.address])).rejects.toMatchObject({ code: 'SWIM_CLOSED' });
  await expect(b.leave()).rejects.toMatchObject({ code: 'SWIM_CLOSED' });
  expect(() => b.broadcast(new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'SWIM_CLOSED' }));
  expect(() => b.setMetadata(new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'SWIM_CLOSED' }));
  await start('c', { bind: b.address });
});
