// Messages, entries and states in the words of etcd's recorded tests.
import { decodeConfChange } from '../../src/conf-change-codec.js';
import type {
  ConfChangeType,
  ConfState,
  Entry,
  HardState,
  Message,
  MessageType,
  ProgressState,
  ProgressStatus,
  Role,
  Snapshot,
} from '../../src/types.js';

export const ROLE_NAMES: Readonly<Record<Role, string>> = {
  follower: 'StateFollower',
  'pre-candidate': 'StatePreCandidate',
  candidate: 'StateCandidate',
  leader: 'StateLeader',
};

const PROGRESS_NAMES: Readonly<Record<ProgressState, string>> = {
  probe: 'StateProbe',
  replicate: 'StateReplicate',
  snapshot: 'StateSnapshot',
};

export const MESSAGE_NAMES: Readonly<Record<MessageType, string>> = {
  append: 'MsgApp',
  'append-response': 'MsgAppResp',
  heartbeat: 'MsgHeartbeat',
  'heartbeat-response': 'MsgHeartbeatResp',
  vote: 'MsgVote',
  'vote-response': 'MsgVoteResp',
  'pre-vote': 'MsgPreVote',
  'pre-vote-response': 'MsgPreVoteResp',
  snapshot: 'MsgSnap',
  'timeout-now': 'MsgTimeoutNow',
  'transfer-leader': 'MsgTransferLeader',
  propose: 'MsgProp',
  'read-index': 'MsgReadIndex',
  'read-index-response': 'MsgReadIndexResp',
};

const STEP_LETTERS: Readonly<Record<ConfChangeType, string>> = {
  'add-voter': 'v',
  'add-learner': 'l',
  remove: 'r',
  update: 'u',
};

/** A replica, or one of the two threads that etcd imagines at each. */
export type Address = number | 'AppendThread' | 'ApplyThread';

/** The fields of a message that are shown. */
export interface Shown {
  readonly name: string;
  readonly from: Address;
  readonly to: Address;
  readonly term?: number;
  readonly index?: number;
  readonly logTerm?: number;
  readonly reject?: boolean;
  readonly rejectHint?: number;
  readonly commit?: number;
  readonly vote?: number;
  readonly entries?: readonly Entry[];
  readonly snapshot?: Snapshot | undefined;
  readonly responses?: readonly Shown[];
}

/** A message of the core, to be shown. */
export function shownMessage(message: Message): Shown {
  return { ...message, name: MESSAGE_NAMES[message.type] };
}

export function describeMessage(m: Shown, indent = ''): string {
  const { entries = [], responses = [], snapshot } = m;
  let out = `${indent}${addressName(m.from)}->${addressName(m.to)} ${m.name}`;
  out += ` Term:${m.term ?? 0} Log:${m.logTerm ?? 0}/${m.index ?? 0}`;
  if (m.reject) out += ` Rejected (Hint: ${m.rejectHint ?? 0})`;
  if (m.commit) out += ` Commit:${m.commit}`;
  if (m.vote) out += ` Vote:${m.vote}`;
  if (entries.length === 1) out += ` Entries:[${describeEntry(entries[0]!)}]`;
  else if (entries.length > 1) {
    out += ` Entries:[${entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`).join('')}\n${indent}]`;
  }
  if (snapshot !== undefined && snapshot.index !== 0) out += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  if (responses.length > 0) {
    out += ` Responses:[${responses.map((one) => `\n${describeMessage(one, `${indent}  `)}`).join('')}\n${indent}]`;
  }
  return out;
}

export function describeEntry(entry: Entry): string {
  const name = entry.type === 'normal' ? 'EntryNormal' : 'EntryConfChange';
  const what = entry.type === 'normal' ? quote(entry.data) : describeSteps(entry.data);
  return `${entry.term}/${entry.index} ${name}${what === '' ? '' : ` ${what}`}`;
}

/** One a line. */
export function describeEntries(entries: readonly Entry[]): string {
  return entries.map((entry) => `${describeEntry(entry)}\n`).join('');
}

export function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === 0 ? '' : ` Vote:${vote}`} Commit:${commit}`;
}

export function describeSnapshot({ index, term, config }: Snapshot): string {
  return `Index:${index} Term:${term} ConfState:${describeConfState(config)}`;
}

/** A line `id: state match=… next=…`. */
export function describeProgress(status: ProgressStatus): string {
  let out = `${status.id}: ${PROGRESS_NAMES[status.state]} match=${status.match} next=${status.next}`;
  if (status.learner) out += ' learner';
  if (status.paused) out += ' paused';
  if (status.pendingSnapshot > 0) out += ` pendingSnap=${status.pendingSnapshot}`;
  if (!status.recentActive) out += ' inactive';
  if (status.inflight > 0) out += ` inflight=${status.inflight}${status.inflightFull ? '[full]' : ''}`;
  return `${out}\n`;
}

function describeConfState(config: ConfState): string {
  const list = (ids: readonly number[]) => `[${ids.join(' ')}]`;
  return (
    `Voters:${list(config.voters)} VotersOutgoing:${list(config.votersOutgoing)} ` +
    `Learners:${list(config.learners)} LearnersNext:${list(config.learnersNext)} AutoLeave:${config.autoLeave}`
  );
}

function describeSteps(data: Uint8Array): string {
  return decodeConfChange(data)
    .steps.map(({ type, id }) => `${STEP_LETTERS[type]}${id}`)
    .join(' ');
}

function addressName(address: Address): string {
  if (typeof address === 'string') return address;
  return address === 0 ? 'None' : address.toString(16);
}

/** Go's `%q` of text that is ASCII or sound UTF-8. */
function quote(data: Uint8Array): string {
  const escapes: Readonly<Record<string, string>> = {
    '"': '\\"',
    '\\': '\\\\',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\u0007': '\\a',
    '\b': '\\b',
    '\f': '\\f',
    '\v': '\\v',
  };
  let out = '';
  for (const char of new TextDecoder().decode(data)) {
    const code = char.codePointAt(0)!;
    if (escapes[char] !== undefined) out += escapes[char];
    else out += code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, '0')}` : char;
  }
  return `"${out}"`;
}
