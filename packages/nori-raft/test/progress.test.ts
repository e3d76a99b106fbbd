// The states of a follower as its leader sees them, and the window of appends.
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { type InflightLimits, Progress } from '../src/progress.js';

const WIDE: InflightLimits = { appendsMax: 256, bytesMax: 1 << 20 };

function replicating(match: number, limits: InflightLimits = WIDE): Progress {
  const progress = new Progress(2, match, match + 1, false, limits);
  progress.becomeReplicate();
  return progress;
}

describe('Progress', () => {
  test('A new one probes, is not known to be active and has nothing on the way', () => {
    expect(new Progress(3, 4, 9, true, WIDE).status()).toEqual({
      id: 3,
      match: 4,
      next: 9,
      state: 'probe',
      learner: true,
      recentActive: false,
      paused: false,
      pendingSnapshot: 0,
      inflight: 0,
      inflightFull: false,
      ackedRound: 0,
    });
  });

  test('Probing sends one append with entries and then waits', () => {
    const progress = new Progress(2, 0, 5, false, WIDE);
    progress.sentEntries(0, 0);
    expect(progress.isPaused).toBe(false);
    progress.sentEntries(3, 30);
    expect(progress.isPaused).toBe(true);
    expect(progress.next).toBe(5);
    expect(progress.inflightCount).toBe(0);
  });

  test('Replicating moves next along and pauses when the window of appends is full', () => {
    const progress = replicating(10, { appendsMax: 2, bytesMax: 1000 });
    progress.sentEntries(3, 30);
    expect([progress.next, progress.isPaused]).toEqual([14, false]);
    progress.sentEntries(1, 10);
    expect([progress.next, progress.isPaused, progress.inflightFull]).toEqual([15, true, true]);
    expect(() => progress.sentEntries(1, 10)).toThrow(expect.objectContaining({ code: 'RAFT_MISUSE' }));
    progress.freeInflightsTo(12);
    expect(progress.inflightCount).toBe(2);
    progress.freeInflightsTo(13);
    expect([progress.inflightCount, progress.inflightFull]).toEqual([1, false]);
  });

  test('The window of bytes is soft: the append that reaches it is sent', () => {
    const progress = replicating(0, { appendsMax: 10, bytesMax: 100 });
    progress.sentEntries(1, 99);
    expect(progress.isPaused).toBe(false);
    progress.sentEntries(1, 500);
    expect(progress.isPaused).toBe(true);
    progress.freeInflightsTo(1);
    expect(progress.inflightFull).toBe(true);
    progress.freeInflightsTo(2);
    expect(progress.inflightFull).toBe(false);
  });

  test('Awaiting a snapshot sends nothing, and probing afterwards begins behind it', () => {
    const progress = replicating(1);
    progress.sentEntries(1, 1);
    progress.becomeSnapshot(20);
    expect(progress.status()).toMatchObject({
      state: 'snapshot',
      next: 21,
      pendingSnapshot: 20,
      paused: true,
      inflight: 0,
    });
    expect(progress.sentCommit).toBe(20);
    expect(() => progress.sentEntries(1, 1)).toThrow(expect.objectContaining({ code: 'RAFT_MISUSE' }));
    progress.becomeProbe();
    expect(progress.status()).toMatchObject({ state: 'probe', match: 1, next: 21, pendingSnapshot: 0, paused: false });
  });

  test('Probing after replicating begins behind what matches and forgets commit indexes that may be lost', () => {
    const progress = replicating(5);
    progress.sentEntries(4, 4);
    progress.sentCommit = 9;
    progress.becomeProbe();
    expect([progress.next, progress.sentCommit, progress.inflightCount]).toEqual([6, 5, 0]);
  });

  test('An acknowledgement moves match forward only, and next with it', () => {
    const progress = new Progress(2, 5, 7, false, WIDE);
    progress.paused = true;
    expect(progress.maybeUpdate(5)).toBe(false);
    expect(progress.paused).toBe(true);
    expect(progress.maybeUpdate(6)).toBe(true);
    expect([progress.match, progress.next, progress.paused]).toEqual([6, 7, false]);
    expect(progress.maybeUpdate(9)).toBe(true);
    expect([progress.match, progress.next]).toEqual([9, 10]);
  });

  test.each([
    // state, match, next, rejected, hint, changed, next afterwards
    ['replicate', 5, 10, 5, 5, false, 10],
    ['replicate', 5, 10, 4, 4, false, 10],
    ['replicate', 5, 10, 9, 9, true, 6],
    ['probe', 0, 0, 0, 0, false, 0],
    ['probe', 0, 10, 5, 5, false, 10],
    ['probe', 0, 10, 9, 9, true, 9],
    ['probe', 0, 2, 1, 1, true, 1],
    ['probe', 0, 1, 0, 0, true, 1],
    ['probe', 0, 10, 9, 2, true, 3],
    ['probe', 0, 10, 9, 0, true, 1],
    ['probe', 4, 10, 9, 2, true, 5],
  ] as const)(
    'Rejected in state %s: match %i, next %i, rejected %i, hint %i',
    (state, match, next, rejected, hint, changed, after) => {
      const progress = new Progress(2, match, next, false, WIDE);
      progress.state = state;
      progress.sentCommit = next;
      progress.paused = state === 'probe';
      expect(progress.maybeDecrementTo(rejected, hint)).toBe(changed);
      expect([progress.match, progress.next]).toEqual([match, after]);
      if (changed) expect([progress.sentCommit, progress.paused]).toEqual([Math.min(next, after - 1), false]);
    },
  );

  test('A commit index is worth telling until one was sent that reaches the last entry sent', () => {
    const progress = replicating(5);
    progress.sentCommit = 3;
    expect([progress.canBumpCommit(3), progress.canBumpCommit(4), progress.canBumpCommit(9)]).toEqual([
      false,
      true,
      true,
    ]);
    progress.sentCommit = 5;
    expect(progress.canBumpCommit(9)).toBe(false);
  });

  test('A copy shares nothing', () => {
    const progress = replicating(0);
    for (let i = 0; i < 6; i++) progress.sentEntries(1, 10);
    progress.ackedRound = 7;
    progress.sentCommit = 3;
    const copy = progress.clone();
    expect(copy.status()).toEqual(progress.status());
    expect([copy.ackedRound, copy.sentCommit]).toEqual([7, 3]);
    progress.freeInflightsTo(4);
    progress.sentEntries(1, 10);
    expect([copy.inflightCount, copy.next, progress.inflightCount]).toEqual([6, 7, 3]);
    copy.freeInflightsTo(5);
    expect(copy.inflightCount).toBe(1);
  });

  test('The window behaves like a plain queue', () => {
    const seed = seedFromEnv();
    const rng = new Rng(seed);
    for (let round = 0; round < 100; round++) {
      const limits = { appendsMax: rng.range(1, 150), bytesMax: rng.range(1, 3000) };
      const progress = replicating(0, limits);
      let queue: { index: number; bytes: number }[] = [];
      for (let step = 0; step < 300; step++) {
        if (rng.chance(0.7) && !progress.inflightFull) {
          const bytes = rng.int(40);
          progress.sentEntries(rng.range(1, 3), bytes);
          queue.push({ index: progress.next - 1, bytes });
        } else if (rng.chance(0.3)) {
          const to = rng.int(progress.next + 1);
          progress.freeInflightsTo(to);
          queue = queue.filter(({ index }) => index > to);
        } else if (rng.chance(0.02)) {
          progress.becomeReplicate();
          queue = [];
        }
        const bytes = queue.reduce((sum, one) => sum + one.bytes, 0);
        const full = queue.length === limits.appendsMax || bytes >= limits.bytesMax;
        expect([progress.inflightCount, progress.inflightFull], `seed ${seed}`).toEqual([queue.length, full]);
      }
    }
  });
});
