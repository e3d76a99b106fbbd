// What a follower does with messages. Candidates use the handlers too, once they have stepped down for a leader.
import { campaign } from './candidate.js';
import { blankMessage } from './message.js';
import type { Replica } from './replica.js';
import type { ConfState, DropReason, Message, Snapshot } from './types.js';

/** Handles a message as follower; its term is this replica's, or none. */
export function stepFollower(r: Replica, m: Message): DropReason | undefined {
  switch (m.type) {
    case 'append':
      r.electionElapsed = 0;
      r.setLeader(m.from);
      return handleAppend(r, m);
    case 'heartbeat':
      r.electionElapsed = 0;
      r.setLeader(m.from);
      return handleHeartbeat(r, m);
    case 'snapshot':
      r.electionElapsed = 0;
      r.setLeader(m.from);
      return handleSnapshot(r, m);
    case 'timeout-now':
      campaign(r, m.transfer);
      return undefined;
    case 'read-index-response':
      return handleReadIndexResponse(r, m);
    case 'propose':
    case 'transfer-leader':
      if (!r.options.forwardProposals || r.leader === 0) return 'not-leader';
      r.send({ ...m, to: r.leader });
      return undefined;
    case 'read-index':
      return 'not-leader';
    default:
      return undefined;
  }
}

/** Appends what the leader sent, or tells it where the logs may agree. */
export function handleAppend(r: Replica, m: Message): DropReason | undefined {
  r.guard.heard(m.term, m.transfer, r.nowMs);
  const answer = blankMessage('append-response', r.id, m.from, r.term);
  const { log } = r;
  if (m.index < log.committed) {
    answer.index = log.committed;
  } else if (log.maybeAppend(m.index, m.logTerm, m.entries, m.commit)) {
    answer.index = m.index + m.entries.length;
  } else {
    // All of the leader's log up to `index` is of `logTerm` or below, so what is above that here cannot match.
    const hint = log.findConflictByTerm(Math.min(m.index, log.lastIndex), m.logTerm);
    answer.index = m.index;
    answer.reject = true;
    answer.rejectHint = hint.index;
    answer.logTerm = hint.term;
  }
  r.sendAfterAppend(answer);
  return undefined;
}

export function handleHeartbeat(r: Replica, m: Message): DropReason | undefined {
  r.guard.heard(m.term, m.transfer, r.nowMs);
  r.log.commitTo(m.commit);
  const answer = blankMessage('heartbeat-response', r.id, m.from, r.term);
  answer.context = m.context;
  // A lease may rest on this answer: after a crash this replica must know that it has heard from a leader.
  if (r.durableTerm === r.term || r.options.etcd !== undefined) r.sendHeartbeat(answer);
  else r.sendAfterAppend(answer);
  return undefined;
}

export function handleSnapshot(r: Replica, m: Message): DropReason | undefined {
  r.guard.heard(m.term, m.transfer, r.nowMs);
  const answer = blankMessage('append-response', r.id, m.from, r.term);
  answer.index = restore(r, m.snapshot!) ? r.log.lastIndex : r.log.committed;
  r.sendAfterAppend(answer);
  return undefined;
}

/** Starts anew from a snapshot, unless there is no need to. */
function restore(r: Replica, snapshot: Snapshot): boolean {
  if (snapshot.index <= r.log.committed) return false;
  const { config } = snapshot;
  // A snapshot may be from before this replica was added; the entries that add it follow. etcd does not take those.
  if (r.options.etcd !== undefined && !isMember(config, r.id)) return false;
  if (r.log.matches(snapshot.index, snapshot.term)) {
    // The entries are here already; the leader did not know.
    r.log.commitTo(snapshot.index);
    return false;
  }
  r.log.restore(snapshot);
  // Entries before it may still be on their way into the state machine, with configurations of their own: the one of the
  // snapshot takes effect when it is installed. etcd does not wait.
  if (r.options.etcd !== undefined) r.restoreConfig(snapshot);
  return true;
}

function isMember({ voters, votersOutgoing, learners }: ConfState, id: number): boolean {
  return voters.includes(id) || votersOutgoing.includes(id) || learners.includes(id);
}

function handleReadIndexResponse(r: Replica, m: Message): DropReason | undefined {
  // A second answer, or one to a read that was given up when the leader changed, finds nothing here.
  const tokens = r.forwardedReads.get(m.context);
  if (tokens === undefined) return 'stale-term';
  r.forwardedReads.delete(m.context);
  for (const token of tokens) r.readStates.push({ token, index: m.index });
  return undefined;
}
