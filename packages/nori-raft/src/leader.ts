// What a leader does: replicate, commit, prove that it still leads, hand over.
import { payloadBytes } from './entry-size.js';
import type { ReadBatch } from './heartbeat-rounds.js';
import { blankMessage, NO_ENTRIES } from './message.js';
import type { Progress } from './progress.js';
import { stepProposal } from './proposals.js';
import { jointVote } from './quorum.js';
import type { Replica } from './replica.js';
import type { DropReason, Entry, Message } from './types.js';

/** Entries read for one follower, to be sent to others that are as far. */
interface SharedEntries {
  from: number;
  entries: readonly Entry[];
}

/** Sends new entries, or at least the commit index, to all. */
export function broadcastAppend(r: Replica): void {
  const shared: SharedEntries = { from: 0, entries: NO_ENTRIES };
  const { progress } = r.members;
  for (let i = 0; i < progress.length; i++) if (progress[i]!.id !== r.id) sendAppend(r, progress[i]!, true, shared);
}

/** Sends new entries to those who lack some. */
export function sendNewEntries(r: Replica): void {
  for (const pr of r.members.progress) if (pr.id !== r.id) sendAppend(r, pr, false);
}

/**
 * Sends one append, or a snapshot if the follower needs what is compacted, unless the flow to it is paused.
 * @param evenIfEmpty send the commit index when there are no entries to send
 * @returns whether something was sent
 */
function sendAppend(r: Replica, pr: Progress, evenIfEmpty: boolean, shared?: SharedEntries): boolean {
  if (pr.isPaused) return false;
  const { log } = r;
  const from = pr.next;
  const previousTerm = log.term(from - 1);
  if (previousTerm === undefined) return sendSnapshot(r, pr);
  let entries: readonly Entry[] | undefined = NO_ENTRIES;
  // With its window full a follower gets an empty append now and then: all on the way may have been lost, and only an
  // answer makes room.
  if (pr.state !== 'replicate' || !pr.inflightFull) {
    if (shared?.from === from) entries = shared.entries;
    else {
      entries = log.entriesFrom(from, r.options.appendBytesMax);
      if (shared !== undefined && entries !== undefined) {
        shared.from = from;
        shared.entries = entries;
      }
    }
  }
  if (entries === undefined) return sendSnapshot(r, pr);
  if (entries.length === 0 && !evenIfEmpty) return false;
  const m = blankMessage('append', r.id, pr.id, r.term);
  m.index = from - 1;
  m.logTerm = previousTerm;
  m.commit = log.committed;
  m.entries = entries;
  m.transfer = r.transfersGivenUp;
  r.send(m);
  pr.sentEntries(entries.length, payloadBytes(entries));
  pr.sentCommit = log.committed;
  return true;
}

function sendSnapshot(r: Replica, pr: Progress): boolean {
  if (!pr.recentActive) return false;
  const snapshot = r.log.pendingSnapshot ?? r.log.storage.snapshot();
  if (snapshot === undefined) return false;
  pr.becomeSnapshot(snapshot.index);
  const m = blankMessage('snapshot', r.id, pr.id, r.term);
  m.snapshot = snapshot;
  m.transfer = r.transfersGivenUp;
  r.send(m);
  return true;
}

/** Begins a heartbeat round. */
export function broadcastHeartbeat(r: Replica): void {
  const round = r.rounds.begin(r.leaseNowMs);
  for (const pr of r.members.progress) {
    if (pr.id === r.id) {
      pr.ackedRound = round;
      continue;
    }
    const m = blankMessage('heartbeat', r.id, pr.id, r.term);
    // Never more than what the follower is known to hold: the rest of its log may differ.
    m.commit = Math.min(pr.match, r.log.committed);
    m.context = round;
    m.transfer = r.transfersGivenUp;
    r.sendHeartbeat(m);
    pr.sentCommit = m.commit;
  }
  confirmRounds(r);
}

/** Answers the reads that waited for what a quorum has acknowledged. */
export function confirmRounds(r: Replica): void {
  for (const batch of r.rounds.confirm(Math.min(r.quorumRound, r.rounds.last))) answerReads(r, batch);
}

function answerReads(r: Replica, { index, tokens, remote }: ReadBatch): void {
  for (const token of tokens) r.readStates.push({ token, index });
  for (const { from, token } of remote) {
    const m = blankMessage('read-index-response', r.id, from, r.term);
    m.index = index;
    m.context = token;
    r.send(m);
    const pr = r.progressOf(from);
    if (r.options.commitsWithHeartbeats && pr?.canBumpCommit(index)) sendAppend(r, pr, true);
  }
}

/** Whether reads wait for a round that may begin now. */
export function canStartReads(r: Replica): boolean {
  return (r.newReads.length > 0 || r.newRemoteReads.length > 0) && r.hasCommittedInTerm;
}

/** Begins a round for all reads that were asked for since the last one. */
export function startReads(r: Replica): void {
  const index = r.log.committed;
  const batch = { round: r.rounds.last + 1, index, tokens: r.newReads, remote: r.newRemoteReads };
  r.newReads = [];
  r.newRemoteReads = [];
  if (r.options.etcd?.readOnly === 'lease-based') {
    answerReads(r, batch);
    return;
  }
  r.rounds.wait(batch);
  broadcastHeartbeat(r);
}

/** Steps down if no quorum has been heard from since the last check. */
export function checkQuorumActive(r: Replica): void {
  const { voters, votersOutgoing } = r.members.config;
  const result = jointVote(voters, votersOutgoing, (id) => r.progressOf(id)?.recentActive);
  if (result !== 'won') r.becomeFollower(r.term, 0);
  for (const pr of r.members.progress) {
    if (pr.id === r.id) continue;
    pr.wasActive = pr.recentActive;
    pr.recentActive = false;
  }
}

/** Handles a message as leader; its term is this replica's, or none. */
export function stepLeader(r: Replica, m: Message): DropReason | undefined {
  const pr = r.progressOf(m.from);
  switch (m.type) {
    case 'append-response':
      return pr === undefined ? 'unknown-replica' : handleAppendResponse(r, pr, m);
    case 'heartbeat-response':
      return pr === undefined ? 'unknown-replica' : handleHeartbeatResponse(r, pr, m);
    case 'propose':
      return stepProposal(r, m);
    case 'read-index':
      if (pr === undefined) return 'unknown-replica';
      r.newRemoteReads.push({ from: m.from, token: m.context });
      return undefined;
    case 'transfer-leader':
      transferLeader(r, m.from);
      return undefined;
    default:
      return undefined;
  }
}

function handleAppendResponse(r: Replica, pr: Progress, m: Message): DropReason | undefined {
  pr.recentActive = true;
  const { log } = r;
  if (m.reject) {
    let hint = m.rejectHint;
    // Where this log's terms are above the follower's, it cannot match: skip a whole term at once.
    if (m.logTerm > 0) hint = log.findConflictByTerm(Math.min(hint, log.lastIndex), m.logTerm).index;
    if (pr.maybeDecrementTo(m.index, hint)) {
      if (pr.state === 'replicate') pr.becomeProbe();
      sendAppend(r, pr, true);
    }
    return undefined;
  }
  // An answer that tells nothing new may still end a probe.
  if (!pr.maybeUpdate(m.index) && !(pr.match === m.index && pr.state === 'probe')) return undefined;
  if (pr.state === 'probe') pr.becomeReplicate();
  else if (pr.state === 'replicate') pr.freeInflightsTo(m.index);
  else if (pr.match + 1 >= log.firstIndex) {
    // The snapshot, or whatever the follower got meanwhile, joins up with the log.
    pr.becomeProbe();
    pr.becomeReplicate();
  }
  const isNew = r.maybeCommit();
  if (tellsCommitsAtOnce(r)) {
    if (isNew) broadcastAppend(r);
    else if (pr.id !== r.id && pr.canBumpCommit(log.committed)) sendAppend(r, pr, true);
  }
  if (pr.id === r.id) return undefined;
  // There may be room for several appends now.
  while (sendAppend(r, pr, false)) {}
  if (pr.id === r.transferee && pr.match === log.lastIndex) sendTimeoutNow(r, pr.id);
  return undefined;
}

function handleHeartbeatResponse(r: Replica, pr: Progress, m: Message): DropReason | undefined {
  if (m.context > r.rounds.last) return 'far-future';
  pr.recentActive = true;
  pr.paused = false;
  // Also wakes a follower that lost what was sent to it, when nothing new is proposed.
  if (pr.match < r.log.lastIndex || pr.state === 'probe') sendAppend(r, pr, true);
  if (m.context > pr.ackedRound) {
    pr.ackedRound = m.context;
    confirmRounds(r);
  }
  return undefined;
}

/** Whether followers learn of commits by a message of their own. Always while the configuration changes, or the leader. */
function tellsCommitsAtOnce(r: Replica): boolean {
  if (!r.options.commitsWithHeartbeats || r.transferee !== 0) return true;
  return r.pendingConfIndex > r.log.applied || r.members.config.votersOutgoing.length > 0;
}

/** The transport could not deliver to `id`: what is on the way is probably lost. */
export function reportUnreachable(r: Replica, id: number): void {
  const pr = r.progressOf(id);
  if (r.role === 'leader' && pr?.state === 'replicate') pr.becomeProbe();
}

/** A snapshot for `id` has been installed, or has failed. */
export function reportSnapshot(r: Replica, id: number, ok: boolean): void {
  const pr = r.progressOf(id);
  if (r.role !== 'leader' || pr?.state !== 'snapshot') return;
  if (!ok) pr.pendingSnapshot = 0;
  pr.becomeProbe();
  // Wait for its acknowledgement, or for a heartbeat before the next attempt.
  pr.paused = true;
}

/** Hands leadership over to a voter, once it has all entries. */
export function transferLeader(r: Replica, to: number): void {
  const pr = r.progressOf(to);
  if (pr === undefined || pr.learner || r.transferee === to) return;
  r.giveUpTransfer();
  if (to === r.id) return;
  // It may take one election timeout from now. There is no lease meanwhile.
  r.electionElapsed = 0;
  r.transferee = to;
  if (pr.match === r.log.lastIndex) sendTimeoutNow(r, to);
  else sendAppend(r, pr, true);
}

function sendTimeoutNow(r: Replica, to: number): void {
  const m = blankMessage('timeout-now', r.id, to, r.term);
  m.transfer = r.transfersGivenUp + 1;
  r.send(m);
}
