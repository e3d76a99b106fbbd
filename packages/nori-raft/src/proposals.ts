// Proposing entries and configuration changes, and saying why not.
import { decodeConfChange, encodeConfChange } from './conf-change-codec.js';
import { RaftError } from './errors.js';
import { broadcastAppend } from './leader.js';
import { applyChange } from './membership.js';
import { blankMessage, NO_ENTRIES } from './message.js';
import type { Payload, Replica } from './replica.js';
import type { ConfChange, DropReason, EntryId, Message } from './types.js';

const FORWARDED: EntryId = { term: 0, index: 0 };
const NOTHING: Payload = { type: 'normal', data: new Uint8Array(0) };

/**
 * Appends as leader, or forwards to it.
 * @returns id of the last entry; (0, 0) when forwarded
 */
export function propose(r: Replica, payloads: readonly Payload[]): EntryId {
  for (const { data } of payloads) {
    if (data.length > r.options.entryBytesMax) {
      throw new RaftError(
        'RAFT_ENTRY_TOO_LARGE',
        `An entry of ${data.length} bytes is over the limit of ${r.options.entryBytesMax} (entryBytesMax). Split it.`,
      );
    }
  }
  if (r.role !== 'leader') return forward(r, payloads);
  checkMayPropose(r);
  return append(r, payloads);
}

function append(r: Replica, payloads: readonly Payload[]): EntryId {
  if (!r.appendPayloads(payloads)) {
    throw new RaftError(
      'RAFT_PROPOSAL_DROPPED',
      `${r.uncommittedBytes} bytes wait to be committed already (uncommittedBytesMax ${r.options.uncommittedBytesMax}). ` +
        'Wait for some of them, then propose again.',
    );
  }
  broadcastAppend(r);
  return { term: r.term, index: r.log.lastIndex };
}

/** Proposes a configuration change; only one may be on the way. */
export function proposeConfChange(r: Replica, change: ConfChange): EntryId {
  const payload: Payload = { type: 'conf-change', data: encodeConfChange(change) };
  if (r.role !== 'leader') {
    // Only the leader can judge it, so it is not forwarded, except where etcd is imitated.
    return r.options.etcd === undefined ? refuseToFollow(r) : forward(r, [payload]);
  }
  checkMayPropose(r);
  if (r.options.etcd !== undefined) {
    if (isRefusedByEtcd(r, change)) return append(r, [NOTHING]);
  } else if (r.pendingConfIndex > r.log.applied) {
    throw new RaftError(
      'RAFT_CONF_CHANGE_PENDING',
      `A configuration change, or the first entry of this term, may not be applied yet (it is at index ` +
        `${r.pendingConfIndex} or before, applied is ${r.log.applied}). Wait, then propose again.`,
    );
  } else {
    // What is proposed is what will be applied: nothing can come between. Throws if it makes no sense.
    applyChange(r.members, r.log.lastIndex, r.options.inflight, decodeConfChange(payload.data));
  }
  const id = append(r, [payload]);
  r.pendingConfIndex = id.index;
  return id;
}

/** Handles proposals that a follower has forwarded. */
export function stepProposal(r: Replica, m: Message): DropReason | undefined {
  if (r.transferee !== 0 || r.progressOf(r.id) === undefined) return 'refused';
  const payloads: Payload[] = [];
  let pendingConfIndex = 0;
  for (const entry of m.entries) {
    if (entry.type === 'conf-change') {
      // It has to be proposed at the leader, which alone can say why it refuses.
      if (r.options.etcd === undefined) return 'refused';
      if (isRefusedByEtcd(r, decodeConfChange(entry.data))) {
        payloads.push(NOTHING);
        continue;
      }
      pendingConfIndex = r.log.lastIndex + payloads.length + 1;
    }
    payloads.push(entry);
  }
  if (!r.appendPayloads(payloads)) return 'refused';
  if (pendingConfIndex > 0) r.pendingConfIndex = pendingConfIndex;
  broadcastAppend(r);
  return undefined;
}

/** etcd puts an empty entry in place of a configuration change that it refuses. */
function isRefusedByEtcd(r: Replica, { steps }: ConfChange): boolean {
  const pending = r.pendingConfIndex > r.log.applied;
  const joint = r.members.config.votersOutgoing.length > 0;
  return (pending || joint !== (steps.length === 0)) && r.options.etcd?.disableConfChangeValidation !== true;
}

function checkMayPropose(r: Replica): void {
  if (r.progressOf(r.id) === undefined) {
    throw new RaftError(
      'RAFT_PROPOSAL_DROPPED',
      'This replica has been removed from its group. Propose at another one.',
    );
  }
  if (r.transferee !== 0) {
    throw new RaftError(
      'RAFT_TRANSFER_IN_PROGRESS',
      `Leadership is being handed over to replica ${r.transferee}. Try again there in a moment.`,
      r.transferee,
    );
  }
}

function forward(r: Replica, payloads: readonly Payload[]): EntryId {
  if (!r.options.forwardProposals || r.leader === 0) return refuseToFollow(r);
  const m = blankMessage('propose', r.id, r.leader, 0);
  m.entries =
    payloads.length === 0 ? NO_ENTRIES : payloads.map(({ type, data }) => ({ term: 0, index: 0, type, data }));
  r.send(m);
  return FORWARDED;
}

export function refuseToFollow(r: Replica): never {
  const { leader } = r;
  throw new RaftError(
    'RAFT_NOT_LEADER',
    leader === 0
      ? `Replica ${r.id} does not lead, and knows of no leader in term ${r.term}. Try again after an election.`
      : `Replica ${r.id} does not lead; replica ${leader} does, in term ${r.term}. Ask there.`,
    leader,
  );
}
