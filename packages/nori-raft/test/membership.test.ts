// Configuration changes: the rules, and properties over random changes.
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { RaftError } from '../src/errors.js';
import {
  applyChange,
  changeSimple,
  configProblem,
  EMPTY_CONFIG,
  enterJoint,
  leaveJoint,
  type Membership,
  restoreMembership,
} from '../src/membership.js';
import type { ConfChange, ConfChangeStep, ConfChangeType, ConfState } from '../src/types.js';

const LIMITS = { appendsMax: 16, bytesMax: 1000 };
const LAST = 12;
const NOBODY: Membership = { config: EMPTY_CONFIG, progress: [] };

/** `'v1 l2 r3 u4'` */
function steps(text: string): ConfChangeStep[] {
  const types = { v: 'add-voter', l: 'add-learner', r: 'remove', u: 'update' } as const;
  return text.split(' ').map((word) => ({ type: types[word[0] as keyof typeof types], id: Number(word.slice(1)) }));
}

function config(parts: Partial<ConfState>): ConfState {
  return { ...EMPTY_CONFIG, ...parts };
}

function members(parts: Partial<ConfState>): Membership {
  return restoreMembership(config(parts), LAST, LIMITS);
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(RaftError);
    expect((error as RaftError).code).toBe('RAFT_CONF_CHANGE_INVALID');
    return (error as RaftError).message;
  }
  return 'not refused';
}

describe('Membership', () => {
  test('The first voters of an empty configuration are added one by one', () => {
    const one = changeSimple(NOBODY, 0, LIMITS, steps('v1'));
    expect(one.config).toEqual(config({ voters: [1] }));
    expect(one.progress.map((replica) => replica.status())).toMatchObject([
      { id: 1, match: 0, next: 1, recentActive: true },
    ]);
    const two = changeSimple(one, LAST, LIMITS, steps('v2 l3'));
    expect(two.config).toEqual(config({ voters: [1, 2], learners: [3] }));
    expect(two.progress.map(({ id, next, learner }) => [id, next, learner])).toEqual([
      [1, 1, false],
      [2, LAST, false],
      [3, LAST, true],
    ]);
  });

  test('A voter that becomes a learner waits until the joint configuration is left', () => {
    const joint = enterJoint(members({ voters: [1, 2, 3] }), LAST, LIMITS, true, steps('l2 r3 v4'));
    expect(joint.config).toEqual({
      voters: [1, 4],
      votersOutgoing: [1, 2, 3],
      learners: [],
      learnersNext: [2],
      autoLeave: true,
    });
    expect(joint.progress.map(({ id, learner }) => [id, learner])).toEqual([
      [1, false],
      [2, false],
      [3, false],
      [4, false],
    ]);
    const left = leaveJoint(joint);
    expect(left.config).toEqual(config({ voters: [1, 4], learners: [2] }));
    expect(left.progress.map(({ id, learner }) => [id, learner])).toEqual([
      [1, false],
      [2, true],
      [4, false],
    ]);
  });

  test('What a leader knows of a replica survives changes', () => {
    const before = members({ voters: [1, 2, 3] });
    before.progress[1]!.maybeUpdate(9);
    before.progress[1]!.becomeReplicate();
    before.progress[1]!.sentEntries(2, 20);
    const after = leaveJoint(enterJoint(before, LAST, LIMITS, false, steps('l2')));
    expect(after.progress[1]!.status()).toEqual({ ...before.progress[1]!.status(), learner: true });
  });

  test.each<[string, () => unknown, string]>([
    [
      'a simple change while joint',
      () => changeSimple(members({ voters: [1], votersOutgoing: [2] }), LAST, LIMITS, steps('v3')),
      "can't apply simple config change in joint config",
    ],
    [
      'two voters in a simple change',
      () => changeSimple(members({ voters: [1] }), LAST, LIMITS, steps('v2 v3')),
      'more than one voter changed without entering joint config',
    ],
    [
      'replacing a voter in a simple change',
      () => changeSimple(members({ voters: [1, 2] }), LAST, LIMITS, steps('r1 v3')),
      'more than one voter changed without entering joint config',
    ],
    [
      'removing the last voter',
      () => changeSimple(members({ voters: [1] }), LAST, LIMITS, steps('r1')),
      'removed all voters',
    ],
    [
      'demoting the last voter',
      () => changeSimple(members({ voters: [1] }), LAST, LIMITS, steps('l1')),
      'removed all voters',
    ],
    [
      'entering joint without voters',
      () => enterJoint(NOBODY, LAST, LIMITS, true, steps('v1')),
      "can't make a zero-voter config joint",
    ],
    [
      'entering joint twice',
      () => enterJoint(members({ voters: [1], votersOutgoing: [2] }), LAST, LIMITS, true, steps('v3')),
      'config is already joint',
    ],
    [
      'entering joint with no voter left',
      () => enterJoint(members({ voters: [1] }), LAST, LIMITS, true, steps('r1')),
      'removed all voters',
    ],
    ['leaving what is not joint', () => leaveJoint(members({ voters: [1] })), "can't leave a non-joint config"],
  ])('Refused: %s', (_, run, why) => {
    expect(refusal(run)).toBe(`Configuration change refused: ${why}.`);
  });

  test('The transition decides whether a change is joint', () => {
    const m = members({ voters: [1, 2, 3] });
    const joint = (change: ConfChange) => applyChange(m, LAST, LIMITS, change).config;
    const one = steps('v4');
    expect(joint({ transition: 'auto', steps: one })).toMatchObject({ votersOutgoing: [], autoLeave: false });
    expect(joint({ transition: 'auto', steps: steps('v4 v5') })).toMatchObject({
      votersOutgoing: [1, 2, 3],
      autoLeave: true,
    });
    expect(joint({ transition: 'auto', steps: steps('l4 l5') })).toMatchObject({
      votersOutgoing: [1, 2, 3],
      autoLeave: true,
    });
    expect(joint({ transition: 'joint-implicit', steps: one })).toMatchObject({
      votersOutgoing: [1, 2, 3],
      autoLeave: true,
    });
    expect(joint({ transition: 'joint-explicit', steps: one })).toMatchObject({
      votersOutgoing: [1, 2, 3],
      autoLeave: false,
    });
    const inside = enterJoint(m, LAST, LIMITS, false, one);
    const left = applyChange(inside, LAST, LIMITS, { transition: 'auto', steps: [], context: new Uint8Array(3) });
    expect(left.config).toEqual(config({ voters: [1, 2, 3, 4] }));
  });

  test.each<[string, Partial<ConfState>]>([
    ['unsorted ids', { voters: [2, 1] }],
    ['repeated ids', { voters: [1, 1] }],
    ['id 0', { voters: [0, 1] }],
    ['an id that is no integer', { voters: [1.5] }],
    ['no list', { voters: undefined as never }],
    ['learners without voters', { learners: [1] }],
    ['an outgoing half alone', { votersOutgoing: [1] }],
    ['a learner that votes', { voters: [1], learners: [1] }],
    ['a learner that votes in the old half', { voters: [1], votersOutgoing: [2], learners: [2] }],
    ['a staged learner outside the old half', { voters: [1], votersOutgoing: [1], learnersNext: [2] }],
    ['a staged learner that stays a voter', { voters: [1, 2], votersOutgoing: [1, 2], learnersNext: [2] }],
    ['leaving by itself what is not joint', { voters: [1], autoLeave: true }],
  ])('A stored configuration is not believed when it has %s', (_, parts) => {
    expect(configProblem(config(parts))).toBeTypeOf('string');
    expect(() => members(parts)).toThrow(expect.objectContaining({ code: 'RAFT_CORRUPT_STATE' }));
  });

  test('Random changes keep the invariants, leave their arguments alone and can be restored', () => {
    const seed = seedFromEnv();
    const rng = new Rng(seed);
    for (let round = 0; round < 100; round++) {
      let m = changeSimple(NOBODY, 0, LIMITS, steps('v1'));
      for (let i = 0; i < 30; i++) {
        const change = randomChange(rng);
        const before = JSON.stringify(picture(m));
        const what = `seed ${seed}: ${before} ${JSON.stringify(change)}`;
        let next = m;
        try {
          next = applyChange(m, LAST, LIMITS, change);
        } catch (error) {
          expect((error as RaftError).code, what).toBe('RAFT_CONF_CHANGE_INVALID');
        }
        expect(JSON.stringify(picture(m)), what).toBe(before);
        for (const replica of next.progress) if (next !== m) expect(m.progress, what).not.toContain(replica);
        m = next;
        expect(configProblem(m.config), what).toBeUndefined();
        const ids = new Set([...m.config.voters, ...m.config.votersOutgoing, ...m.config.learners]);
        expect(
          m.progress.map(({ id }) => id),
          what,
        ).toEqual([...ids].sort((a, b) => a - b));
        for (const replica of m.progress) expect(replica.learner, what).toBe(m.config.learners.includes(replica.id));
        const restored = restoreMembership(m.config, LAST, LIMITS);
        expect(restored.config, what).toEqual(m.config);
        expect(restored.progress.map(({ id, learner }) => [id, learner])).toEqual(
          m.progress.map(({ id, learner }) => [id, learner]),
        );
      }
    }
  });

  test('Entering and leaving a joint configuration comes to the same as its steps one by one', () => {
    const seed = seedFromEnv();
    const rng = new Rng(seed);
    let compared = 0;
    for (let round = 0; round < 2000; round++) {
      // Voter 1 stays, so that no order of steps removes all voters on the way.
      const m = changeSimple(members({ voters: [1, 2, 3], learners: [4, 5] }), LAST, LIMITS, steps('u1'));
      const list = randomChange(rng).steps.map((step) => (step.id === 1 ? { ...step, id: 6 } : step));
      if (list.length === 0) continue;
      const joint = leaveJoint(enterJoint(m, LAST, LIMITS, rng.chance(0.5), list));
      let simple = m;
      for (const step of list) simple = changeSimple(simple, LAST, LIMITS, [step]);
      expect(picture(joint), `seed ${seed}: ${JSON.stringify(list)}`).toEqual(picture(simple));
      compared++;
    }
    expect(compared).toBeGreaterThan(1000);
  });
});

function picture(m: Membership): unknown {
  return { config: m.config, progress: m.progress.map((replica) => replica.status()) };
}

function randomChange(rng: Rng): ConfChange {
  const types: readonly ConfChangeType[] = ['add-voter', 'add-learner', 'remove', 'update'];
  const count = rng.pick([0, 0, 1, 1, 1, 2, 3, 5]);
  return {
    transition: count === 0 ? 'auto' : rng.pick(['auto', 'auto', 'joint-implicit', 'joint-explicit']),
    steps: Array.from({ length: count }, () => ({ type: rng.pick(types), id: rng.range(1, 7) })),
  };
}
