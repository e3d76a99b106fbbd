// Elections: asking for votes, counting them.
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.js';
import { broadcastAppend } from './leader.js';
import { blankMessage } from './message.js';
import { jointVote } from './quorum.js';
import type { Replica } from './replica.js';
import type { DropReason, Message } from './types.js';

/**
 * Starts an election, if this replica may.
 * @param transfer number of the leadership transfer that asks for it, or 0
 */
export function campaign(r: Replica, transfer: number): void {
  if (r.role === 'leader' || !r.isPromotable) return;
  // Who votes depends on changes that are committed and not applied yet.
  if (r.log.hasUnappliedConfChange()) return;
  // A transfer that was given up meanwhile is none.
  const consented = r.guard.isConsented(r.term + 1, transfer);
  if (transfer !== 0 && !consented) return;
  // Its own vote is a vote, too.
  if (r.guard.forbids(consented, r.nowMs)) return;
  // No pre-vote in a transfer: the leader itself wants the election.
  if (r.options.preVote && transfer === 0) askForVotes(r, 'pre-vote', 0);
  else askForVotes(r, 'vote', transfer);
}

function askForVotes(r: Replica, type: 'pre-vote' | 'vote', transfer: number): void {
  if (type === 'pre-vote') r.becomePreCandidate();
  else r.becomeCandidate();
  const term = type === 'pre-vote' ? r.term + 1 : r.term;
  const { lastIndex, lastTerm } = r.log;
  const { voters, votersOutgoing } = r.members.config;
  for (const { id } of r.members.progress) {
    if (!voters.includes(id) && !votersOutgoing.includes(id)) continue;
    if (id === r.id) {
      // The own vote counts once it is durable, as any other.
      r.sendAfterAppend(blankMessage(type === 'vote' ? 'vote-response' : 'pre-vote-response', id, id, term));
      continue;
    }
    const m = blankMessage(type, r.id, id, term);
    m.index = lastIndex;
    m.logTerm = lastTerm;
    m.transfer = transfer;
    r.send(m);
  }
}

/** Handles a message as candidate or pre-candidate; its term is this replica's, or none. */
export function stepCandidate(r: Replica, m: Message): DropReason | undefined {
  switch (m.type) {
    case 'append':
      r.becomeFollower(m.term, m.from);
      return handleAppend(r, m);
    case 'heartbeat':
      r.becomeFollower(m.term, m.from);
      return handleHeartbeat(r, m);
    case 'snapshot':
      r.becomeFollower(m.term, m.from);
      return handleSnapshot(r, m);
    case 'vote-response':
      if (r.role === 'candidate') countVote(r, m);
      return undefined;
    case 'pre-vote-response':
      if (r.role === 'pre-candidate') countVote(r, m);
      return undefined;
    case 'propose':
    case 'read-index':
      return 'not-leader';
    default:
      return undefined;
  }
}

function countVote(r: Replica, m: Message): void {
  if (m.reject && r.log.matches(m.index, m.logTerm)) {
    // Who voters are may change by what is committed: the election ends here, with the next it will be known.
    r.log.commitTo(m.index);
    if (r.log.hasUnappliedConfChange()) {
      r.becomeFollower(r.term, 0);
      return;
    }
  }
  const votes = r.votes!;
  if (!votes.has(m.from)) votes.set(m.from, !m.reject);
  const { voters, votersOutgoing } = r.members.config;
  const result = jointVote(voters, votersOutgoing, (id) => votes.get(id));
  if (result === 'lost') r.becomeFollower(r.term, 0);
  else if (result === 'won') {
    // A leader must know of its term after a crash: else the same voters could elect it for that term once more, and it
    // would give other entries the places of those it has sent already. Its own vote comes once the term is durable.
    if (r.role === 'candidate' && !votes.has(r.id) && r.options.etcd === undefined) return;
    if (r.role === 'pre-candidate') {
      // A leader may have been heard of since the election began.
      if (r.guard.forbids(false, r.nowMs)) r.becomeFollower(r.term, 0);
      else askForVotes(r, 'vote', 0);
    } else {
      r.becomeLeader();
      broadcastAppend(r);
    }
  }
}
