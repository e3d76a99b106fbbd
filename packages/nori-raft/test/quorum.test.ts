// Quorum arithmetic against brute force.
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import {
  committedIndex,
  jointVote,
  majorityCommitted,
  majorityVote,
  UNLIMITED,
  type VoteResult,
} from '../src/quorum.js';

const seed = seedFromEnv();
const rng = new Rng(seed);

function randomVoters(max: number): number[] {
  const ids = rng.shuffle([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  return ids.slice(0, rng.range(0, max)).sort((a, b) => a - b);
}

/** The definition: the greatest index that more than half have reached, tried one by one from above. */
function slowCommitted(halves: readonly (readonly number[])[], acked: ReadonlyMap<number, number>): number {
  if (halves.every((half) => half.length === 0)) return UNLIMITED;
  for (let index = 20; index > 0; index--) {
    const all = halves.every((half) => {
      const count = half.filter((id) => (acked.get(id) ?? 0) >= index).length;
      return half.length === 0 || count > half.length / 2;
    });
    if (all) return index;
  }
  return 0;
}

/** The definition: tries every way in which the missing votes could still be cast. */
function slowVote(halves: readonly (readonly number[])[], votes: ReadonlyMap<number, boolean>): VoteResult {
  const missing = [...new Set(halves.flat())].filter((id) => !votes.has(id));
  let wins = 0;
  for (let cast = 0; cast < 2 ** missing.length; cast++) {
    const yes = (id: number) => votes.get(id) ?? ((cast >> missing.indexOf(id)) & 1) === 1;
    if (halves.every((half) => half.length === 0 || half.filter(yes).length > half.length / 2)) wins++;
  }
  if (wins === 0) return 'lost';
  return wins === 2 ** missing.length ? 'won' : 'pending';
}

describe('Quorum arithmetic', () => {
  test('The committed index is what brute force finds, for simple and joint configurations', () => {
    for (let round = 0; round < 5000; round++) {
      const voters = randomVoters(7);
      const outgoing = randomVoters(7);
      const acked = new Map<number, number>();
      for (let id = 1; id <= 9; id++) if (rng.chance(0.8)) acked.set(id, rng.int(rng.chance(0.5) ? 4 : 20));
      const of = (id: number) => acked.get(id);
      const what = JSON.stringify({ seed, round, voters, outgoing, acked: [...acked] });
      expect(majorityCommitted(voters, of), what).toBe(slowCommitted([voters], acked));
      expect(committedIndex(voters, outgoing, of), what).toBe(slowCommitted([voters, outgoing], acked));
      expect(committedIndex(outgoing, voters, of), what).toBe(committedIndex(voters, outgoing, of));
      expect(committedIndex(voters, voters, of), what).toBe(majorityCommitted(voters, of));
    }
  });

  test('A vote is decided exactly when the missing votes cannot change it', () => {
    for (let round = 0; round < 3000; round++) {
      const voters = randomVoters(7);
      const outgoing = rng.chance(0.3) ? [] : randomVoters(7);
      const votes = new Map<number, boolean>();
      for (let id = 1; id <= 9; id++) if (rng.chance(0.7)) votes.set(id, rng.chance(0.5));
      const of = (id: number) => votes.get(id);
      const what = JSON.stringify({ seed, round, voters, outgoing, votes: [...votes] });
      expect(majorityVote(voters, of), what).toBe(slowVote([voters], votes));
      // Halves may be decided against each other before brute force over both knows: compare half by half.
      const halves = [slowVote([voters], votes), slowVote([outgoing], votes)];
      const expected = halves.includes('lost') ? 'lost' : halves.includes('pending') ? 'pending' : 'won';
      expect(jointVote(voters, outgoing, of), what).toBe(expected);
      if (expected !== 'pending') expect(slowVote([voters, outgoing], votes), what).toBe(expected);
    }
  });

  test('An empty configuration commits everything and wins every vote', () => {
    expect(majorityCommitted([], () => 3)).toBe(UNLIMITED);
    expect(committedIndex([], [], () => 3)).toBe(UNLIMITED);
    expect(majorityVote([], () => false)).toBe('won');
    expect(jointVote([], [], () => false)).toBe('won');
  });

  test('More voters than the scratch space holds are counted too', () => {
    const voters = Array.from({ length: 101 }, (_, i) => i + 1);
    expect(majorityCommitted(voters, (id) => id)).toBe(51);
    expect(majorityCommitted([1, 2, 3], (id) => id)).toBe(2);
  });
});
