// Replicas at rest, whose driver exchanges their heartbeats without them and tells them afterwards: with thousands of groups
// in a process, touching each of them many times a second is what costs, not what there is to do.
//
// A replica may rest while nothing but heartbeats can come of it, each the same as the last but for its number. Before anything else is
// asked of it, it is told what there was. Then it is as if it had sent, heard and answered them itself, at the same times.
import { confirmRounds } from './leader.js';
import type { Replica } from './replica.js';
import type { LeaderRest } from './types.js';

/** Whether a leader has nothing to do but to send the same heartbeat to all: all hold and have applied all there is. */
export function mayRestAsLeader(r: Replica): boolean {
  const { log, members } = r;
  if (r.role !== 'leader' || r.transferee !== 0 || r.rounds.waiting || members.config.votersOutgoing.length > 0) {
    return false;
  }
  if (r.newReads.length > 0 || r.newRemoteReads.length > 0 || !r.hasCommittedInTerm) return false;
  const last = log.lastIndex;
  if (log.applied !== last || log.durable !== last) return false;
  for (const pr of members.progress) {
    if (pr.id !== r.id && (pr.state !== 'replicate' || pr.match !== last || pr.isPaused)) return false;
  }
  return true;
}

/** Whether the same heartbeat once more, from the leader of this term, would change nothing but the time it was heard. */
export function mayRestAsFollower(r: Replica): boolean {
  if (r.role !== 'follower' || r.leader === 0 || r.durableTerm !== r.term) return false;
  return r.newReads.length === 0 && r.log.applied === r.log.committed;
}

/** Rounds were begun and answered meanwhile. */
export function resumeLeader(r: Replica, { ticks, ticksSinceRound, startsMs, answered }: LeaderRest): void {
  for (const startMs of startsMs) r.rounds.begin(startMs);
  r.electionElapsed += ticks;
  r.heartbeatElapsed = startsMs.length > 0 ? ticksSinceRound : r.heartbeatElapsed + ticks;
  for (const pr of r.members.progress) {
    const round = pr.id === r.id ? r.rounds.last : (answered.get(pr.id) ?? 0);
    if (round === 0) continue;
    if (pr.id !== r.id) pr.recentActive = true;
    if (round > pr.ackedRound) pr.ackedRound = round;
  }
  confirmRounds(r);
}

/** The last heartbeat came again, most recently at `nowMs`. */
export function resumeFollower(r: Replica): void {
  r.electionElapsed = 0;
  r.guard.heardAgain(r.nowMs);
}
