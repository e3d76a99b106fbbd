import { describe, expect, test } from 'vitest';
import { addressOf, events, Harness, messages, ofType, receivers, record, sends } from '../helpers/core-harness.js';

describe('a probe', () => {
  test('ends with the direct answer, whose round trip is noted', () => {
    const node = new Harness(['b']);
    const ping = node.untilPing('b');
    node.nowMs += 7;
    const ack = { type: 'ack', seq: ping.seq, from: 'b', boot: 100, incarnation: 1, via: '' } as const;
    expect(node.packet('b', ack)).toContainEqual({ type: 'probed', result: 'direct', rttMs: expect.closeTo(7, 3) });
    const [b] = node.core.view(node.nowMs).others;
    expect(b).toMatchObject({ state: 'alive', udp: 'reachable', tcp: 'unknown' });
    expect(messages(node.run(400))).toEqual([]);
  });

  test('asks three helpers and TCP after the timeout, and suspects at the end of the interval', () => {
    const node = new Harness(['b', 'c', 'd', 'e', 'f']);
    const { seq } = node.untilPing('b');
    const asked = node.run(250);
    expect(receivers(asked, 'ping-request')).toHaveLength(3);
    const [request] = ofType(asked, 'ping-request');
    expect(request).toMatchObject({ seq, target: 'b', address: addressOf('b'), waitMs: 200, from: 'a' });
    expect(receivers(asked, 'ping-request')).not.toContain(addressOf('b'));
    expect(asked).toContainEqual(expect.objectContaining({ type: 'request', to: addressOf('b'), timeoutMs: 237.5 }));
    const [first, second] = receivers(asked, 'ping-request').map((to) =>
      String.fromCharCode(Number(/\.(\d+):/.exec(to)![1])),
    );
    node.run(200);
    node.packet(first!, { type: 'nack', seq, from: first! });
    node.packet(second!, { type: 'nack', seq, from: second! });
    const [suspect] = events(node.run(50));
    expect(suspect).toMatchObject({
      type: 'suspect',
      by: 'a',
      helpers: 3,
      nacks: 2,
      member: { id: 'b', suspectedBy: ['a'] },
    });
    expect(suspect).toMatchObject({ evidence: { timeoutMs: 250, tcp: 'no-answer' } });
    const evidence = suspect?.type === 'suspect' ? suspect.evidence : undefined;
    expect(evidence?.helpers).toHaveLength(3);
    expect(evidence?.helpers).toContainEqual({ id: first, answer: 'nack' });
    expect(evidence?.helpers.filter(({ answer }) => answer === 'silent')).toHaveLength(1);
    // One helper was silent as well.
    expect(node.core.localHealth).toBe(1);
  });

  test('is answered through a helper: the member lives, but not directly', () => {
    const node = new Harness(['b', 'c']);
    for (let misses = 0; misses < 3; misses++) {
      const { seq } = node.untilPing('b');
      node.run(250);
      node.packet('c', { type: 'ack', seq, from: 'b', boot: 100, incarnation: 1, via: 'c' });
    }
    const seen = events(node.actions).filter(({ type }) => type === 'reachability');
    expect(seen).toMatchObject([
      { path: 'udp', now: 'unreachable', member: { id: 'b', udp: 'unreachable', state: 'alive' } },
    ]);
    const { seq } = node.untilPing('b');
    node.packet('b', { type: 'ack', seq, from: 'b', boot: 100, incarnation: 1, via: '' });
    expect(events(node.actions).at(-1)).toMatchObject({ type: 'reachability', path: 'udp', now: 'reachable' });
  });

  test('is answered over TCP alone: the member lives', () => {
    const node = new Harness(['b', 'c']);
    const { seq } = node.untilPing('b');
    const request = node.run(250).find(({ type }) => type === 'request');
    const exchange = request?.type === 'request' ? request.exchange : -1;
    const actions = node.step({
      type: 'reply',
      exchange,
      message: { type: 'ack', seq, from: 'b', boot: 100, incarnation: 1, via: '' },
    });
    expect(actions).toContainEqual({ type: 'probed', result: 'tcp' });
    expect(node.core.entry('b')).toMatchObject({ state: 'alive', tcp: 'reachable' });
  });

  test('notes that TCP fails', () => {
    const node = new Harness(['b', 'c']);
    node.untilPing('b');
    const request = node.run(250).find(({ type }) => type === 'request');
    const exchange = request?.type === 'request' ? request.exchange : -1;
    const noticed = node.step({ type: 'no-reply', exchange, reason: 'failed' });
    expect(events(noticed)).toMatchObject([{ type: 'reachability', path: 'tcp', now: 'unreachable' }]);
  });

  test('is not ended by the answer of another, or to another probe', () => {
    const node = new Harness(['b', 'c']);
    const { seq } = node.untilPing('b');
    node.packet('c', { type: 'ack', seq, from: 'c', boot: 100, incarnation: 1, via: '' });
    node.packet('b', { type: 'ack', seq: seq + 1, from: 'b', boot: 100, incarnation: 1, via: '' });
    node.run(600);
    expect(node.state('b')).toBe('suspect');
  });

  test('asks helpers of different zones first', () => {
    const others = [
      record('b'),
      ...['c', 'd', 'e', 'f'].map((id) => record(id, { zone: 'x' })),
      record('g', { zone: 'y' }),
    ];
    const zones = [];
    for (let i = 0; i < 10; i++) {
      const node = new Harness(others, { indirectProbes: 2 }, { zone: 'x' });
      for (let skipped = 0; skipped < i; skipped++) node.run(1);
      node.untilPing('b');
      zones.push(receivers(node.run(250), 'ping-request').includes(addressOf('g')));
    }
    expect(zones).not.toContain(false);
  });
});

test('every member is probed within 2(n - 1) - 1 periods, and each once a round', () => {
  const ids = ['b', 'c', 'd', 'e', 'f', 'g'];
  const node = new Harness(ids);
  const probed = ofType(node.runAnswering(60_000), 'ping').map(({ target }) => target);
  expect(probed.length).toBeGreaterThan(110);
  for (let i = 0; i + ids.length <= probed.length; i += ids.length) {
    expect([...probed.slice(i, i + ids.length)].sort()).toEqual(ids);
  }
  for (let i = 0; i + 2 * ids.length - 1 <= probed.length; i++) {
    expect(new Set(probed.slice(i, i + 2 * ids.length - 1)).size).toBe(ids.length);
  }
});

test('local health stretches interval and timeout, up to eight times, and gets better with each answer', () => {
  const node = new Harness(['b']);
  node.run(40_000);
  // Without helpers, each failed probe counts against this node itself.
  expect(node.core.localHealth).toBeGreaterThan(0);
  const slow = new Harness(['b', 'c'], { suspicionMult: 100 });
  slow.run(16_000);
  expect(slow.core.localHealth).toBe(7);
  const pings = ofType(slow.run(24_000), 'ping').length;
  expect(pings).toBe(24_000 / (8 * 500));
  slow.runAnswering(40_000);
  expect(slow.core.localHealth).toBe(0);
});

test('the delay of the event loop counts against this node', () => {
  const node = new Harness(['b']);
  node.step({ type: 'loop-delay', delayMs: 100 });
  expect(node.core.localHealth).toBe(0);
  node.step({ type: 'loop-delay', delayMs: 130 });
  expect(node.core.localHealth).toBe(1);
  node.step({ type: 'loop-delay', delayMs: 5_000 });
  expect(node.core.localHealth).toBe(3);
});

describe('a node that stood still', () => {
  test('drops its probe without a verdict, and asks the same member again at once', () => {
    const node = new Harness(['b', 'c', 'd']);
    const { target } = node.untilPing('c');
    node.nowMs += 3_000;
    const woken = node.step({ type: 'tick' });
    expect(events(woken)).toMatchObject([{ type: 'paused' }]);
    expect(ofType(woken, 'ping').map((ping) => ping.target)).toEqual([target]);
    expect(node.state('c')).toBe('alive');
    expect(node.core.localHealth).toBe(1);
  });

  test('gives whoever is suspected all of the time once more', () => {
    const node = new Harness(['b', 'c']);
    node.packet('c', { type: 'suspect', id: 'b', incarnation: 1, from: 'c', helpers: 0, nacks: 0 });
    node.nowMs += 30_000;
    node.step({ type: 'tick' });
    expect(node.state('b')).toBe('suspect');
    expect(node.core.entry('b')?.suspicion?.deadlineMs).toBe(42_000);
  });

  test('would convict without the detection', () => {
    const node = new Harness(['b', 'c'], { pauseDetection: false });
    node.packet('c', { type: 'suspect', id: 'b', incarnation: 1, from: 'c', helpers: 0, nacks: 0 });
    node.nowMs += 30_000;
    node.step({ type: 'tick' });
    expect(node.state('b')).toBe('dead');
  });

  test('a suspicion that becomes shorter is no pause', () => {
    const node = new Harness(['b', 'c', 'd', 'e']);
    const accuse = (from: string) =>
      node.packet(from, { type: 'suspect', id: 'b', incarnation: 1, from, helpers: 0, nacks: 0 });
    accuse('c');
    node.runAnswering(5_000, ['b']);
    accuse('d');
    accuse('e');
    node.runAnswering(1_000, ['b']);
    expect(node.state('b')).toBe('dead');
    expect(events(node.actions).filter(({ type }) => type === 'paused')).toEqual([]);
  });
});

describe('a helper', () => {
  const request = {
    type: 'ping-request',
    seq: 77,
    target: 'b',
    address: addressOf('b'),
    boot: 100,
    incarnation: 1,
    waitMs: 200,
    from: 'c',
  } as const;

  test('pings under a number of its own, and hands on the answer in its name', () => {
    const node = new Harness([]);
    const [ping] = sends(node.packet('c', request));
    expect(ping).toMatchObject({ to: addressOf('b'), messages: [{ type: 'ping', target: 'b', from: 'a' }] });
    const [message] = ping!.messages;
    const seq = message?.type === 'ping' ? message.seq : -1;
    expect(seq).not.toBe(77);
    const [handed] = sends(node.packet('b', { type: 'ack', seq, from: 'b', boot: 100, incarnation: 1, via: '' }));
    expect(handed).toMatchObject({ to: addressOf('c'), messages: [{ type: 'ack', seq: 77, from: 'b', via: 'a' }] });
    expect(ofType(node.run(1_000), 'nack')).toEqual([]);
  });

  test('sends a nack in time, and hands on an answer that comes later', () => {
    const node = new Harness([]);
    const [ping] = ofType(node.packet('c', request), 'ping');
    expect(ofType(node.run(199), 'nack')).toEqual([]);
    expect(sends(node.run(2))).toMatchObject([
      { to: addressOf('c'), messages: [{ type: 'nack', seq: 77, from: 'a' }] },
    ]);
    node.nowMs += 50;
    expect(
      ofType(node.packet('b', { type: 'ack', seq: ping!.seq, from: 'b', boot: 100, incarnation: 1, via: '' }), 'ack'),
    ).toHaveLength(1);
  });

  test('pings for no more than 512 others at a time', () => {
    const node = new Harness([]);
    for (let i = 0; i < 600; i++) node.packet('c', { ...request, seq: i });
    expect(node.actions.filter(({ type }) => type === 'ignored')).toHaveLength(88);
    node.run(1_000);
    expect(sends(node.packet('c', request))).toHaveLength(1);
  });
});

test('a ping that is meant for another is not answered', () => {
  const node = new Harness(['b']);
  const ping = { type: 'ping', seq: 1, target: 'z', boot: 1, incarnation: 1, from: 'b' } as const;
  expect(node.packet('b', ping)).toEqual([{ type: 'ignored', reason: 'misdirected' }]);
});

test('a ping of a stranger is answered, and views are exchanged with it', () => {
  const node = new Harness(['b']);
  const actions = node.packet('z', { type: 'ping', seq: 9, target: 'a', boot: 500, incarnation: 1, from: 'z' });
  expect(ofType(actions, 'ack')).toMatchObject([{ seq: 9, from: 'a', boot: 500, incarnation: 1 }]);
  expect(actions).toContainEqual(expect.objectContaining({ type: 'request', to: addressOf('z') }));
});
