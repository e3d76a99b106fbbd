// Looks at messages before they touch anything. What comes from the network is not trusted: a message that is malformed,
// not meant for this replica, of a sender that must not send it, or too far ahead to be true is dropped and counted, and
// nothing has changed.
import type { Replica } from './replica.js';
import type { DropReason, Entry, Message, MessageType, Snapshot } from './types.js';

const TYPES: Readonly<Record<MessageType, 'request' | 'response' | 'termless'>> = {
  append: 'request',
  'append-response': 'response',
  heartbeat: 'request',
  'heartbeat-response': 'response',
  vote: 'request',
  'vote-response': 'response',
  'pre-vote': 'request',
  'pre-vote-response': 'response',
  snapshot: 'request',
  'timeout-now': 'request',
  'transfer-leader': 'request',
  propose: 'termless',
  'read-index': 'termless',
  'read-index-response': 'response',
};

/** A term that is further ahead than this cannot have come about by elections: it would use up the numbers. */
const TERM_JUMP_MAX = 2 ** 32;

/**
 * No group gets here in its life, and who believed it would soon be out of numbers. How far ahead of this log an index is
 * says nothing: a blank replica of an old group is sent a snapshot at any index.
 */
const INDEX_MAX = 2 ** 52;

/** Why `m` must be dropped, or undefined. */
export function checkMessage(r: Replica, m: Message): DropReason | undefined {
  if (typeof m !== 'object' || m === null) return 'malformed';
  const kind = Object.hasOwn(TYPES, m.type) ? TYPES[m.type] : undefined;
  if (kind === undefined || !hasNumbers(m) || typeof m.reject !== 'boolean' || !Array.isArray(m.entries))
    return 'malformed';
  if (m.to !== r.id || m.from === 0) return 'wrong-address';
  if (m.from === r.id) return 'wrong-address';
  if (kind === 'response' && r.progressOf(m.from) === undefined && !isLeadersAnswer(r, m)) return 'unknown-replica';
  if ((kind === 'termless') !== (m.term === 0)) return 'malformed';
  if (m.term - r.term > TERM_JUMP_MAX) return 'far-future';
  if (m.type !== 'append' && m.type !== 'propose' && m.entries.length > 0) return 'malformed';
  if ((m.type === 'snapshot') !== (m.snapshot !== undefined)) return 'malformed';
  switch (m.type) {
    case 'append':
      return checkAppend(r, m);
    case 'append-response':
      // Of this term: an acknowledgement of entries that were never sent.
      return m.term === r.term && r.role === 'leader' && m.index > r.log.lastIndex ? 'far-future' : undefined;
    case 'heartbeat':
      // A leader counts on what this replica has acknowledged in its term. If that is gone, so is the replica.
      return m.term >= r.term && m.commit > r.log.lastIndex ? 'far-future' : undefined;
    case 'vote':
    case 'pre-vote':
      return isEntryId(m.index, m.logTerm) && m.logTerm <= m.term ? undefined : 'malformed';
    case 'snapshot':
      if (!isSnapshot(m.snapshot) || m.snapshot.term > m.term) return 'malformed';
      return m.snapshot.index > INDEX_MAX ? 'far-future' : undefined;
    case 'propose':
      return checkProposal(r, m.entries);
    default:
      return undefined;
  }
}

/** A leader that was added by a change that is not applied here may not be known yet: what was asked of it, it may answer. */
function isLeadersAnswer(r: Replica, m: Message): boolean {
  return m.type === 'read-index-response' && m.from === r.leader;
}

function hasNumbers(m: Message): boolean {
  return (
    isCount(m.from) &&
    isCount(m.to) &&
    isCount(m.term) &&
    isCount(m.index) &&
    isCount(m.logTerm) &&
    isCount(m.commit) &&
    isCount(m.rejectHint) &&
    isCount(m.context) &&
    isCount(m.transfer)
  );
}

function isCount(n: unknown): n is number {
  return Number.isSafeInteger(n) && (n as number) >= 0;
}

/** Index 0 is before all entries and has no term; all others have one. */
function isEntryId(index: number, term: number): boolean {
  return (index === 0) === (term === 0);
}

function checkAppend(r: Replica, m: Message): DropReason | undefined {
  if (!isEntryId(m.index, m.logTerm)) return 'malformed';
  if (m.index + m.entries.length > INDEX_MAX) return 'far-future';
  let { index, logTerm } = m;
  for (let i = 0; i < m.entries.length; i++) {
    const entry = m.entries[i]!;
    const problem = checkEntry(r, entry);
    if (problem !== undefined) return problem;
    if (entry.index !== index + 1 || !(entry.term >= logTerm) || !Number.isSafeInteger(entry.term)) return 'malformed';
    index = entry.index;
    logTerm = entry.term;
  }
  // No entry is younger than the leader that sends it; (also: entries have a term).
  if (logTerm > m.term || (m.entries.length > 0 && m.entries[0]!.term === 0)) return 'malformed';
  // What is committed here cannot be different there, except by a lie.
  if (m.term >= r.term && contradictsCommitted(r, m)) return 'malformed';
  return undefined;
}

function contradictsCommitted(r: Replica, m: Message): boolean {
  const { log } = r;
  if (m.index >= log.committed || m.entries.length === 0) return false;
  for (let i = 0; i < m.entries.length; i++) {
    const { index, term } = m.entries[i]!;
    if (index > log.committed) return false;
    const ours = log.term(index);
    if (ours !== undefined && ours !== term) return true;
  }
  return false;
}

function checkProposal(r: Replica, entries: readonly Entry[]): DropReason | undefined {
  if (entries.length === 0) return 'malformed';
  for (let i = 0; i < entries.length; i++) {
    const problem = checkEntry(r, entries[i]!);
    if (problem !== undefined) return problem;
    // The leader numbers them itself; still, a follower must not pass on what is no entry.
    if (!isCount(entries[i]!.term) || !isCount(entries[i]!.index)) return 'malformed';
  }
  return undefined;
}

function checkEntry(r: Replica, entry: Entry): DropReason | undefined {
  if (typeof entry !== 'object' || entry === null) return 'malformed';
  if (entry.type !== 'normal' && entry.type !== 'conf-change') return 'malformed';
  if (!(entry.data instanceof Uint8Array)) return 'malformed';
  return entry.data.length > r.options.entryBytesMax ? 'too-large' : undefined;
}

function isSnapshot(snapshot: Snapshot | undefined): snapshot is Snapshot {
  if (typeof snapshot !== 'object' || snapshot === null) return false;
  const { index, term, config, data } = snapshot;
  if (!isCount(index) || !isCount(term) || index === 0 || term === 0 || !(data instanceof Uint8Array)) return false;
  if (typeof config !== 'object' || config === null || typeof config.autoLeave !== 'boolean') return false;
  const { voters, votersOutgoing, learners, learnersNext } = config;
  if (!isIds(voters) || !isIds(votersOutgoing) || !isIds(learners) || !isIds(learnersNext)) return false;
  if (voters.length === 0) return false;
  if (votersOutgoing.length === 0 && (learnersNext.length > 0 || config.autoLeave)) return false;
  return (
    learnersNext.every((id) => votersOutgoing.includes(id) && !voters.includes(id)) &&
    learners.every((id) => !voters.includes(id) && !votersOutgoing.includes(id))
  );
}

/** Whether it is a list of ids, ascending. */
function isIds(ids: unknown): ids is number[] {
  if (!Array.isArray(ids)) return false;
  for (let i = 0; i < ids.length; i++) {
    if (!isCount(ids[i]) || ids[i] === 0 || (i > 0 && ids[i] <= ids[i - 1])) return false;
  }
  return true;
}
