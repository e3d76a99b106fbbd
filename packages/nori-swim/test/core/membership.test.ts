import { describe, expect, test } from 'vitest';
import { addressOf, events, Harness, messages, ofType, receivers, record, sends } from '../helpers/core-harness.js';

const alive = (id: string, incarnation: number, change: object = {}) => ({
  ...record(id, { incarnation }).alive,
  ...change,
});
const suspect = (id: string, from: string, incarnation = 1) =>
  ({ type: 'suspect', id, incarnation, from, helpers: 0, nacks: 0 }) as const;
const dead = (id: string, from: string, incarnation = 1) =>
  ({ type: 'dead', id, incarnation, from, suspectedBy: [from] }) as const;
const left = (id: string, incarnation = 1) => ({ type: 'left', id, incarnation }) as const;

describe('of one incarnation', () => {
  const steps = [alive('b', 1), suspect('b', 'c'), dead('b', 'c'), left('b')];
  const states = ['alive', 'suspect', 'dead', 'left'];
  test.each([0, 1, 2, 3])(
    'what was said comes to the same in any order, beginning with the message number %i',
    (first) => {
      const node = new Harness(['b', 'c', 'd']);
      let furthest = 0;
      for (let i = 0; i < 4; i++) {
        const at = (first + i * 3) % 4;
        node.packet('c', steps[at]!);
        furthest = Math.max(furthest, at);
        expect(node.state('b')).toBe(states[furthest]);
      }
    },
  );
});

test('only a higher incarnation brings a dead member back', () => {
  const node = new Harness(['b', 'c', 'd']);
  node.packet('c', dead('b', 'c', 3));
  node.packet('c', alive('b', 3));
  expect(node.state('b')).toBe('dead');
  expect(events(node.packet('c', alive('b', 4)))).toMatchObject([
    { type: 'alive', reason: 'returned', member: { id: 'b', incarnation: 4 } },
  ]);
});

test('a dead member that is accused anew needs to rise above that as well', () => {
  const node = new Harness(['b', 'c', 'd']);
  node.packet('c', dead('b', 'c', 3));
  node.packet('c', dead('b', 'd', 5));
  node.packet('c', alive('b', 4));
  expect(node.state('b')).toBe('dead');
});

describe('a suspicion', () => {
  test('of three members lasts longest unless the third confirms it', () => {
    const unconfirmed = new Harness(['b', 'c']);
    unconfirmed.packet('c', suspect('b', 'c'));
    unconfirmed.runAnswering(11_990, ['b']);
    // This node has probed it meanwhile without an answer, which is a confirmation.
    expect(unconfirmed.state('b')).toBe('dead');
    const alone = new Harness(['b', 'c']);
    alone.packet('c', suspect('b', 'c'));
    alone.run(0);
    expect(alone.core.entry('b')?.suspicion?.deadlineMs).toBe(12_000);
    alone.packet('c', suspect('b', 'c'));
    expect(alone.core.entry('b')?.suspicion?.deadlineMs).toBe(12_000);
    alone.packet('c', suspect('b', 'd'));
    expect(alone.core.entry('b')?.suspicion?.deadlineMs).toBe(2_000);
  });

  test('of two members does not wait for anybody', () => {
    const node = new Harness(['b']);
    node.packet('b', suspect('b', 'z'));
    expect(node.core.entry('b')?.suspicion?.deadlineMs).toBe(2_000);
  });

  test('is passed on for each accuser that is wanted, and not for more', () => {
    const node = new Harness(['b', 'c', 'd', 'e', 'f', 'g']);
    for (const from of ['c', 'd', 'e', 'f']) node.packet(from, suspect('b', from));
    const passedOn = new Set(ofType(node.runAnswering(3_000, ['b']), 'suspect').map(({ from }) => from));
    expect([...passedOn].sort()).toEqual(expect.arrayContaining(['c', 'd', 'e']));
    expect(passedOn).not.toContain('f');
  });

  test('ends with a refutation, which is not dated back', () => {
    const node = new Harness(['b', 'c', 'd']);
    node.packet('c', suspect('b', 'c'));
    expect(events(node.packet('d', alive('b', 1)))).toEqual([]);
    expect(events(node.packet('d', alive('b', 2)))).toMatchObject([{ type: 'alive', reason: 'refuted' }]);
    expect(node.core.entry('b')?.suspicion).toBeUndefined();
    node.packet('c', suspect('b', 'c', 1));
    expect(node.state('b')).toBe('alive');
  });

  test('becomes a death that names the accusers', () => {
    const node = new Harness(['b', 'c', 'd', 'e']);
    for (const from of ['c', 'd', 'e']) node.packet(from, suspect('b', from));
    const confirmed = events(node.runAnswering(2_001, ['b'])).find(({ type }) => type === 'confirm');
    expect(confirmed).toMatchObject({ by: 'a', suspectedBy: ['c', 'd', 'e'], suspectedMs: 2_000 });
    expect(ofType(node.actions, 'dead')[0]).toEqual({
      type: 'dead',
      id: 'b',
      incarnation: 1,
      from: 'a',
      suspectedBy: ['c', 'd', 'e'],
    });
  });

  test('is told the suspect itself with the ping that it is to answer', () => {
    const node = new Harness(['b', 'c', 'd'], { suspicionMult: 40 });
    node.packet('c', suspect('b', 'c'));
    // All rumours are spent first.
    node.runAnswering(1_400, ['b']);
    const told = sends(node.runAnswering(3_000, ['b'])).find((action) =>
      action.messages.some((m) => m.type === 'ping' && m.target === 'b'),
    );
    expect(told?.messages.slice(0, 2)).toMatchObject([{ type: 'suspect', id: 'b', from: 'a' }, { type: 'ping' }]);
  });
});

describe('whoever is suspected', () => {
  const ids = ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];
  const ack = (seq: number, incarnation: number, via = '') =>
    ({ type: 'ack', seq, from: 'b', boot: 100, incarnation, via }) as const;

  test('is asked once more out of turn, soon and then again, but not in every probe', () => {
    const node = new Harness(ids);
    node.packet('c', suspect('b', 'c'));
    const targets = ofType(node.runAnswering(5_000, ['b']), 'ping').map(({ target }) => target);
    const asked = targets.flatMap((target, i) => (target === 'b' ? [i] : []));
    expect(asked.length).toBeGreaterThanOrEqual(2);
    expect(asked[0]).toBeLessThanOrEqual(2);
    expect(targets.some((target, i) => target === 'b' && targets[i + 1] === 'b')).toBe(false);
  });

  test.each(['direct', 'helper', 'tcp'] as const)(
    'and has refuted it is believed by its answer, though the refutation was lost (%s)',
    (way) => {
      const node = new Harness(ids);
      node.packet('c', suspect('b', 'c'));
      const { seq } = node.untilPing('b');
      if (way === 'direct') node.packet('b', ack(seq, 2));
      else {
        const request = node.run(250).find(({ type }) => type === 'request');
        const exchange = request?.type === 'request' ? request.exchange : -1;
        if (way === 'helper') node.packet('c', ack(seq, 2, 'c'));
        else node.step({ type: 'reply', exchange, message: ack(seq, 2) });
      }
      expect(node.core.entry('b')).toMatchObject({ state: 'alive', incarnation: 2 });
      expect(events(node.actions).at(-1)).toMatchObject({ type: 'alive', reason: 'refuted' });
      // An accusation of before is over; what it says of itself at that incarnation is still to come, and is taken.
      node.packet('d', suspect('b', 'd', 1));
      expect(node.state('b')).toBe('alive');
      expect(events(node.packet('b', alive('b', 2, { metadata: Uint8Array.of(9) })))).toMatchObject([
        { type: 'update' },
      ]);
      expect(events(node.packet('b', alive('b', 2, { metadata: Uint8Array.of(9) })))).toEqual([]);
    },
  );

  test('and believed by its answer is asked to say again who it is, and a later run of it rises above that', () => {
    const node = new Harness(['b', 'c', 'd']);
    node.packet('c', suspect('b', 'c', 3));
    const { seq } = node.untilPing('b');
    node.packet('b', ack(seq, 4));
    expect(node.untilPing('b')).toMatchObject({ boot: 0, incarnation: 4 });
    // What a restarted member does with such a ping is held by `a member that was restarted`.
    node.packet('b', alive('b', 5, { boot: 101 }));
    expect(node.untilPing('b')).toMatchObject({ boot: 101, incarnation: 5 });
  });

  test('and does not know it yet has all of its time once more with each answer', () => {
    const node = new Harness(['b', 'c']);
    node.packet('c', suspect('b', 'c'));
    node.runAnswering(60_000);
    expect(node.state('b')).toBe('suspect');
    node.runAnswering(13_000, ['b']);
    expect(node.state('b')).toBe('dead');
  });

  test('is not believed by the answer of another run of it', () => {
    const node = new Harness(ids);
    node.packet('c', suspect('b', 'c'));
    const { seq } = node.untilPing('b');
    node.packet('b', { ...ack(seq, 9), boot: 101 });
    expect(node.core.entry('b')).toMatchObject({ state: 'suspect', incarnation: 1 });
  });

  test('keeps what it said itself, whatever incarnation it is accused of', () => {
    const node = new Harness(ids);
    node.packet('c', suspect('b', 'c', 5));
    expect(events(node.packet('b', alive('b', 5, { metadata: Uint8Array.of(1) })))).toMatchObject([
      { type: 'update', member: { state: 'suspect' } },
    ]);
    expect(node.core.entry('b')).toMatchObject({ state: 'suspect', incarnation: 5 });
  });
});

describe('a node that is accused', () => {
  test.each([
    ['suspected', suspect('a', 'b', 7)],
    ['called dead', dead('a', 'b', 7)],
    ['said to have left', left('a', 7)],
  ])('of being %s rises above the accusation, says so, and doubts itself', (_what, accusation) => {
    const node = new Harness(['b', 'c']);
    const said = ofType(node.packet('b', accusation), 'alive');
    expect(said[0]).toMatchObject({ id: 'a', incarnation: 8 });
    expect(node.core.localHealth).toBe(1);
    expect(ofType(node.packet('b', suspect('a', 'c', 7)), 'alive').every(({ incarnation }) => incarnation === 8)).toBe(
      true,
    );
    expect(node.core.incarnation).toBe(8);
  });

  test('by what is over already stays as it is', () => {
    const node = new Harness(['b'], {}, { incarnation: 9 });
    node.packet('b', suspect('a', 'b', 8));
    expect(node.core.incarnation).toBe(9);
  });

  test('has its next incarnations kept durably', () => {
    const node = new Harness(['b']);
    const persists = node.packet('b', suspect('a', 'b', 1)).filter(({ type }) => type === 'persist');
    expect(persists).toEqual([{ type: 'persist', incarnation: 66 }]);
    expect(node.packet('b', suspect('a', 'b', 2)).filter(({ type }) => type === 'persist')).toEqual([]);
    expect(node.packet('b', suspect('a', 'b', 500)).filter(({ type }) => type === 'persist')).toEqual([
      { type: 'persist', incarnation: 565 },
    ]);
  });
});

describe('a member that was restarted', () => {
  test('is seen by those that take it for its former self, and rises above it', () => {
    const node = new Harness(['b']);
    const actions = node.packet('b', { type: 'ping', seq: 3, target: 'a', boot: 400, incarnation: 6, from: 'b' });
    expect(ofType(actions, 'ack')).toMatchObject([{ boot: 500, incarnation: 7 }]);
    expect(ofType(actions, 'alive')).toContainEqual(expect.objectContaining({ id: 'a', boot: 500, incarnation: 7 }));
  });

  test('is told apart from one that refuted', () => {
    const node = new Harness(['b', 'c']);
    expect(events(node.packet('b', alive('b', 2, { boot: 101 })))).toMatchObject([
      { type: 'alive', reason: 'restarted', member: { boot: 101 } },
    ]);
  });

  test('may have another address', () => {
    const node = new Harness(['b', 'c']);
    node.packet('b', alive('b', 2, { boot: 101, address: '10.9.9.9:1' }));
    const ping = sends(node.runAnswering(3_000)).find((action) =>
      action.messages.some((m) => m.type === 'ping' && m.target === 'b'),
    );
    expect(ping?.to).toBe('10.9.9.9:1');
  });
});

describe('an id that is taken', () => {
  const twin = alive('a', 1, { boot: 900, address: '10.9.9.9:1' });

  test('is claimed by the earlier node, which rises above the later one and tells it', () => {
    const node = new Harness(['b', 'c']);
    const actions = node.packet('b', twin);
    expect(ofType(actions, 'conflict')).toEqual([{ type: 'conflict', id: 'a', boot: 500, address: addressOf('a') }]);
    expect(receivers(actions, 'conflict')).toEqual(['10.9.9.9:1']);
    expect(node.core.incarnation).toBe(2);
    // Not for each packet.
    expect(ofType(node.packet('b', { ...twin, incarnation: 5 }), 'conflict')).toEqual([]);
  });

  test('is given up by the later node, which stops, once the earlier one has answered', () => {
    const node = new Harness(['b', 'c']);
    const asked = node.packet('b', { type: 'conflict', id: 'a', boot: 400, address: '10.9.9.9:1' });
    expect(receivers(asked, 'ping')).toEqual(['10.9.9.9:1']);
    const [ping] = ofType(asked, 'ping');
    expect(ping).toMatchObject({ target: 'a', boot: 400, incarnation: 0 });
    const ack = { type: 'ack', seq: ping!.seq, from: 'a', boot: 400, incarnation: 3, via: '' } as const;
    node.packet('b', { ...ack, seq: ping!.seq + 1 });
    node.packet('b', { ...ack, from: 'b' });
    expect(node.core.phase).toBe('running');
    const stopped = node.packet('b', ack);
    expect(events(stopped)).toMatchObject([{ type: 'conflict', address: addressOf('a'), otherAddress: '10.9.9.9:1' }]);
    expect(node.run(100_000)).toEqual([]);
  });

  test.each([
    [900, addressOf('b'), '10.9.9.9:1'],
    [50, '10.9.9.9:1', addressOf('b')],
  ])('is seen to be taken by those that hear of both: the earlier is told (boot %i)', (boot, earlier, later) => {
    const node = new Harness(['b', 'c']);
    const told = node.packet('c', alive('b', 1, { boot, address: '10.9.9.9:1' }));
    expect(sends(told)).toMatchObject([{ to: earlier, messages: [{ type: 'alive', id: 'b', address: later }] }]);
    expect(node.packet('c', alive('b', 1, { boot, address: '10.9.9.9:1' }))).toEqual([]);
  });

  test('is not given up to a later node, or to what an earlier run has left behind', () => {
    const node = new Harness(['b', 'c']);
    node.packet('b', { type: 'conflict', id: 'a', boot: 600, address: '10.9.9.9:1' });
    node.packet('b', alive('a', 9, { boot: 300, address: '10.9.9.9:1' }));
    expect(node.core.phase).toBe('running');
    expect(node.core.incarnation).toBe(10);
    expect(ofType(node.actions, 'conflict')).toEqual([]);
  });

  test('is refused to one that joins while the member answers, and given to it when it does not', () => {
    const request = (stream: number) => {
      const node = new Harness(['b', 'c']);
      const joining = { ...record('b', { boot: 900 }), alive: alive('b', 1, { boot: 900, address: '10.9.9.9:1' }) };
      const message = { type: 'push-pull', join: true, records: [joining] } as const;
      return { node, actions: node.step({ type: 'request', stream, from: '10.9.9.9:50000', message }) };
    };
    const refused = request(1);
    const [ping] = ofType(refused.actions, 'ping');
    expect(receivers(refused.actions, 'ping')).toEqual([addressOf('b')]);
    const answer = refused.node.packet('b', {
      type: 'ack',
      seq: ping!.seq,
      from: 'b',
      boot: 100,
      incarnation: 1,
      via: '',
    });
    expect(answer).toContainEqual({
      type: 'reply',
      stream: 1,
      message: { type: 'refusal', reason: 'id-conflict', address: addressOf('b') },
    });

    const admitted = request(2);
    const later = admitted.node.runAnswering(510, ['b']);
    expect(later).toContainEqual(
      expect.objectContaining({
        type: 'reply',
        stream: 2,
        message: expect.objectContaining({ type: 'push-pull-reply' }),
      }),
    );
  });

  test('is refused by the very node that has it', () => {
    const node = new Harness(['b']);
    const message = { type: 'push-pull', join: true, records: [{ ...record('a'), alive: twin }] } as const;
    const [reply] = node.step({ type: 'request', stream: 4, from: '10.9.9.9:1', message });
    expect(reply).toEqual({
      type: 'reply',
      stream: 4,
      message: { type: 'refusal', reason: 'id-conflict', address: addressOf('a') },
    });
  });
});

describe('exchanged views', () => {
  const merge = (node: Harness, ...records: object[]) =>
    node.step({
      type: 'request',
      stream: 1,
      from: addressOf('c'),
      message: { type: 'push-pull', join: false, records: [record('c'), ...records] as never },
    });

  test('make a death that is news a suspicion, which the member can refute', () => {
    const node = new Harness(['b', 'c', 'd']);
    merge(node, { ...record('b'), state: 'dead' });
    expect(node.state('b')).toBe('suspect');
    expect(node.core.entry('b')?.suspicion?.accusers).toEqual(['c']);
  });

  test('do not count a suspicion twice', () => {
    const node = new Harness(['b', 'c', 'd', 'e']);
    node.packet('d', suspect('b', 'd'));
    merge(node, { ...record('b'), state: 'suspect' });
    expect(node.core.entry('b')?.suspicion?.accusers).toEqual(['d']);
  });

  test('teach who is dead or has left, with their age, without events', () => {
    const node = new Harness(['c']);
    node.nowMs = 100;
    const actions = merge(node, { ...record('x'), state: 'dead', ageMs: 5_000 }, { ...record('y'), state: 'left' });
    expect(events(actions)).toEqual([]);
    expect([node.state('x'), node.state('y')]).toEqual(['dead', 'left']);
    expect(node.core.view(200).others.find(({ id }) => id === 'x')?.stateAgeMs).toBe(5_100);
  });

  test('do not teach what is to be forgotten', () => {
    const node = new Harness(['c'], { forgetDeadMs: 4_000 });
    merge(node, { ...record('x'), state: 'dead', ageMs: 5_000 });
    expect(node.state('x')).toBeUndefined();
  });

  test('happen at intervals, and dead members are forgotten', () => {
    const node = new Harness(['b', 'c'], { pushPullIntervalMs: 1_000, forgetDeadMs: 10_000 });
    node.packet('c', dead('b', 'c'));
    const asked = node
      .runAnswering(9_000)
      .filter((action) => action.type === 'request' && action.message.type === 'push-pull');
    expect(asked.length).toBeGreaterThanOrEqual(8);
    expect(node.state('b')).toBe('dead');
    node.runAnswering(3_000);
    expect(node.state('b')).toBeUndefined();
  });

  test('are offered to dead members that answer after all', () => {
    const node = new Harness(['b', 'c'], { healIntervalMs: 1_000 });
    node.packet('c', dead('b', 'c'));
    // Rumours go to the dead for a while; this is what comes beyond.
    const tries = sends(node.runAnswering(20_000, ['b'])).filter((action) =>
      action.messages.some((m) => m.type === 'ping' && m.target === 'b'),
    );
    expect(tries.length).toBeGreaterThan(3);
    expect(tries[0]?.messages.slice(0, 2)).toMatchObject([{ type: 'dead', id: 'b' }, { type: 'ping' }]);
    const answered = node
      .runAnswering(10_000)
      .filter((action) => action.type === 'request' && action.to === addressOf('b'));
    expect(answered.length).toBeGreaterThan(0);
  });
});

test('rumours go to the dead for half a minute', () => {
  const node = new Harness(['b', 'c', 'd']);
  node.packet('c', dead('b', 'c'));
  node.step({ type: 'metadata', metadata: Uint8Array.of(1) });
  expect(receivers(node.runAnswering(2_000), 'alive')).toContain(addressOf('b'));
  node.runAnswering(30_000);
  node.step({ type: 'metadata', metadata: Uint8Array.of(2) });
  expect(receivers(node.runAnswering(2_000), 'alive')).not.toContain(addressOf('b'));
});

test('a node that leaves says so to the others, does not refute it, and is done', () => {
  const node = new Harness(['b', 'c', 'd']);
  const actions = [...node.step({ type: 'leave' }), ...node.packet('b', left('a')), ...node.run(2_000)];
  expect(new Set(receivers(actions, 'left'))).toEqual(new Set(['b', 'c', 'd'].map(addressOf)));
  expect(actions).toContainEqual({ type: 'left' });
  expect(ofType(actions, 'alive')).toEqual([]);
  expect(node.core.phase).toBe('left');
});

test('changed metadata are an update for the others', () => {
  const node = new Harness(['b']);
  expect(ofType(node.step({ type: 'metadata', metadata: Uint8Array.of(4) }), 'alive')).toMatchObject([
    { incarnation: 2, metadata: Uint8Array.of(4) },
  ]);
  const seen = events(node.packet('b', alive('b', 2, { metadata: Uint8Array.of(5) })));
  expect(seen).toMatchObject([{ type: 'update', member: { id: 'b', metadata: Uint8Array.of(5) } }]);
});

test('members that speak only other versions of the protocol are left out', () => {
  const node = new Harness(['b']);
  expect(node.packet('b', alive('z', 1, { versionMin: 2, versionMax: 3 }))).toEqual([
    { type: 'ignored', reason: 'version' },
  ]);
  expect(node.state('z')).toBeUndefined();
});

test('beyond membersMax the longest dead make place, and then nobody is taken in', () => {
  const node = new Harness(['b', 'c'], { membersMax: 4 });
  node.packet('c', alive('d', 1));
  expect(node.packet('c', alive('e', 1)).at(0)).toEqual({ type: 'ignored', reason: 'members-full' });
  node.packet('c', dead('b', 'c'));
  node.packet('c', alive('e', 1));
  expect(['b', 'c', 'd', 'e'].map((id) => node.state(id))).toEqual([undefined, 'alive', 'alive', 'alive']);
});

describe('user messages', () => {
  const user = (seq: number, from = 'b', boot = 100) =>
    ({ type: 'user', from, boot, seq, data: Uint8Array.of(seq & 255) }) as const;

  test('are handed over once and passed on', () => {
    const node = new Harness(['b', 'c', 'd']);
    expect(events(node.packet('b', user(1)))).toEqual([{ type: 'message', from: 'b', data: Uint8Array.of(1) }]);
    expect(events(node.packet('c', user(1)))).toEqual([]);
    expect(events(node.packet('c', user(3)))).toHaveLength(1);
    expect(events(node.packet('c', user(2)))).toHaveLength(1);
    expect(ofType(node.runAnswering(3_000), 'user').map(({ seq }) => seq)).toEqual(expect.arrayContaining([1, 2, 3]));
  });

  test('of an earlier run are not taken for those of a later one', () => {
    const node = new Harness(['b', 'c']);
    expect(events(node.packet('b', user(1, 'b', 101)))).toHaveLength(1);
    expect(events(node.packet('b', user(2, 'b', 100)))).toEqual([]);
  });

  test('of nobody that is known are not passed on', () => {
    const node = new Harness(['b']);
    expect(node.packet('b', user(1, 'z'))).toEqual([{ type: 'ignored', reason: 'unknown-origin' }]);
  });

  test('have half of each packet, however much there is to say about members', () => {
    const node = new Harness(['b', 'c', 'd', 'e']);
    for (let i = 0; i < 200; i++) {
      const id = `member-number-${i}`;
      node.packet('b', { ...alive('x', 1), id, metadata: new Uint8Array(60) });
    }
    node.step({ type: 'broadcast', data: new Uint8Array(100).fill(7) });
    const full = sends(node.run(1_000)).filter(({ messages: all }) => all.length > 3);
    expect(full.length).toBeGreaterThan(3);
    expect(full[0]!.messages.some(({ type }) => type === 'user')).toBe(true);
    expect(full[0]!.messages.some(({ type }) => type === 'alive')).toBe(true);
  });

  test('leave the rest of the packet to what there is to say about members', () => {
    const node = new Harness(['b', 'c', 'd', 'e']);
    for (let i = 0; i < 50; i++) node.step({ type: 'broadcast', data: new Uint8Array(200).fill(i) });
    node.packet('c', dead('b', 'c'));
    expect(receivers(node.run(250), 'dead').length).toBeGreaterThan(2);
  });

  test('that are too many are refused', () => {
    const node = new Harness(['b'], { messagesMax: 5 });
    for (let i = 1; i <= 5; i++) node.step({ type: 'broadcast', data: new Uint8Array(1) });
    const before = node.core.pendingMessages;
    for (let i = 0; i < 10; i++) node.packet('b', user(i + 1));
    expect(node.core.pendingMessages).toBeLessThanOrEqual(5);
    expect(before).toBe(5);
  });
});

test('a rumour is passed on as often as the limit says, then forgotten', () => {
  const node = new Harness(['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k']);
  node.step({ type: 'metadata', metadata: Uint8Array.of(1) });
  node.runAnswering(10_000);
  expect(ofType(node.actions, 'alive').filter(({ id }) => id === 'a')).toHaveLength(8);
  expect(node.core.pendingRumours).toBe(0);
  expect(messages(node.runAnswering(2_000)).every(({ type }) => type === 'ping')).toBe(true);
});
