// Replicas at rest: what they are told afterwards leaves them as if they had done it themselves. Ticks are 100 ms.
import { expect, test } from 'vitest';
import { blankMessage } from '../src/message.js';
import { bytes, Cluster } from './helpers/cluster.js';

const lease = { electionTimeoutMinMs: 900, electionTimeoutMaxMs: 2000, maxClockDrift: 0.1, nowMs: 0 };

/** A leader and followers that hold all there is, with nothing to do. */
function resting(): Cluster {
  const c = new Cluster({ core: { lease } });
  c.elect(1);
  c.core(1).propose(bytes('a'));
  c.settle();
  c.tick(2, [1]);
  expect([1, 2, 3].map((id) => c.core(id).mayRest)).toEqual(['leader', 'follower', 'follower']);
  return c;
}

/** Lets `rounds` rounds happen without the cores, of which `answering` answer all, and tells them. */
function rest(c: Cluster, rounds: number, answering: readonly number[]): void {
  const { core } = c.node(1);
  const startsMs = Array.from({ length: rounds }, (_, i) => c.nowMs + 100 * (i + 1));
  c.nowMs += 100 * rounds;
  const answered = new Map(answering.map((id) => [id, core.heartbeatRound + rounds]));
  core.resumeLeader({ ticks: rounds, ticksSinceRound: 0, startsMs, answered });
  for (const id of answering) c.core(id).resumeFollower(c.nowMs);
}

test('a leader and followers that rested are as if they had exchanged the heartbeats', () => {
  for (const away of [[], [3]]) {
    const [told, awake] = [resting(), resting()];
    rest(
      told,
      5,
      [2, 3].filter((id) => !away.includes(id)),
    );
    awake.passes = ({ from, to }) => !away.includes(from) && !away.includes(to);
    awake.tick(5, [1]);
    for (const id of [1, 2, 3]) {
      expect(told.core(id).status()).toEqual(awake.core(id).status());
      expect(told.core(id).ticksUntilDue).toBe(awake.core(id).ticksUntilDue);
      expect(told.core(id).leaseExpiresAtMs).toBe(awake.core(id).leaseExpiresAtMs);
      expect(told.core(id).hasReady()).toBe(false);
    }
    expect(told.core(1).leaseExpiresAtMs).toBe(told.nowMs + 810);
  }
});

test('rounds that a minority answered at rest extend no lease, and the leader steps down in time', () => {
  const c = resting();
  const before = c.core(1).leaseExpiresAtMs;
  rest(c, 5, []);
  expect(c.core(1).leaseExpiresAtMs).toBe(before);
  c.passes = () => false;
  c.tick(10 + 5, [1]);
  expect(c.core(1).role).toBe('follower');
});

test('a follower keeps what it promised by the answers that were given while it rested', () => {
  const c = resting();
  rest(c, 5, [2, 3]);
  const heardMs = c.nowMs;
  const ask = (nowMs: number) => {
    const m = blankMessage('vote', 3, 2, c.core(1).term + 1);
    m.index = c.core(3).lastIndex;
    m.logTerm = c.core(3).term;
    return c.core(2).step(m, nowMs);
  };
  // Without a leader that it knows of, by ticks.
  c.core(2).forgetLeader();
  expect(ask(heardMs + 899)).toBe('leader-alive');
  expect(ask(heardMs + 900)).toBeUndefined();
});

test('nobody rests who has something to do, or waits for something', () => {
  const busy: readonly ((c: Cluster) => void)[] = [
    (c) => c.core(1).propose(bytes('b')),
    (c) => c.core(1).readIndex(),
    (c) => c.core(1).transferLeader(2),
    (c) => c.core(1).reportUnreachable(2),
    (c) => {
      c.isolate(3);
      c.core(1).propose(bytes('b'));
      c.settle();
    },
    (c) => {
      c.node(1).slowApply = true;
      c.core(1).propose(bytes('b'));
      c.settle();
    },
    (c) => {
      c.core(1).readIndex();
      c.work();
    },
  ];
  for (const work of busy) {
    const c = resting();
    work(c);
    expect(c.core(1).mayRest).toBe(false);
  }
  const c = resting();
  c.core(2).readIndex();
  expect(c.core(2).mayRest).toBe(false);
  c.core(3).forgetLeader();
  expect(c.core(3).mayRest).toBe(false);
});
