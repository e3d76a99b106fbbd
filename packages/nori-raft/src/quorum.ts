// Quorum arithmetic: what a set of voters has committed, and whether an election is decided. Pure functions; a joint
// configuration is two sets of voters, both of which must agree, and an empty set agrees with everything.

/** What an empty set of voters has committed: it never holds the other half of a joint configuration back. */
export const UNLIMITED = Number.MAX_SAFE_INTEGER;

// Reused by every call, so that counting allocates nothing: this runs for each acknowledgement of each follower.
const scratch: number[] = [0, 0, 0, 0, 0, 0, 0];

/**
 * Greatest index that more than half of `voters` have acknowledged; {@link UNLIMITED} when there are none.
 * @param acked what a voter has acknowledged; undefined counts as 0. Must not call back into this module.
 */
export function majorityCommitted(voters: readonly number[], acked: (id: number) => number | undefined): number {
  const count = voters.length;
  if (count === 0) return UNLIMITED;
  if (count === 1) return acked(voters[0]!) ?? 0;
  // Insertion sort, descending: the fastest there is for a handful of numbers.
  for (let i = 0; i < count; i++) {
    const index = acked(voters[i]!) ?? 0;
    let at = i;
    while (at > 0 && scratch[at - 1]! < index) {
      scratch[at] = scratch[at - 1]!;
      at--;
    }
    scratch[at] = index;
  }
  return scratch[count >> 1]!;
}

/** Greatest index that is committed in both halves of a configuration. `votersOutgoing` is empty unless it is joint. */
export function committedIndex(
  voters: readonly number[],
  votersOutgoing: readonly number[],
  acked: (id: number) => number | undefined,
): number {
  const incoming = majorityCommitted(voters, acked);
  if (votersOutgoing.length === 0) return incoming;
  const outgoing = majorityCommitted(votersOutgoing, acked);
  return incoming < outgoing ? incoming : outgoing;
}

/** `lost`: no quorum can be won any more. */
export type VoteResult = 'won' | 'lost' | 'pending';

/**
 * Whether more than half of `voters` said yes, or still can. An empty set of voters says yes.
 * @param votes what a voter said; undefined: nothing yet
 */
export function majorityVote(voters: readonly number[], votes: (id: number) => boolean | undefined): VoteResult {
  if (voters.length === 0) return 'won';
  let granted = 0;
  let missing = 0;
  for (let i = 0; i < voters.length; i++) {
    const vote = votes(voters[i]!);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  const quorum = (voters.length >> 1) + 1;
  if (granted >= quorum) return 'won';
  return granted + missing >= quorum ? 'pending' : 'lost';
}

/** The outcome in both halves of a configuration together. */
export function jointVote(
  voters: readonly number[],
  votersOutgoing: readonly number[],
  votes: (id: number) => boolean | undefined,
): VoteResult {
  const incoming = majorityVote(voters, votes);
  const outgoing = majorityVote(votersOutgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}
