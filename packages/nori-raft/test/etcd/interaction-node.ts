// One replica of a transcript: a core, its log, and what its two imagined threads, for appending and for applying, have
// yet to do.
//
// In asynchronous mode etcd speaks to these threads in messages. The core has none of them; they are made up here from a
// Ready, and their answers become calls of `appendDone` and `applyDone`. In synchronous mode each Ready is carried out at
// once.
import { decodeConfChange } from '../../src/conf-change-codec.js';
import { RaftError } from '../../src/errors.js';
import type { RaftOptions } from '../../src/options.js';
import { RaftCore } from '../../src/raft-core.js';
import type { AppendToken, DropReason, Entry, HardState, Message, Ready, Snapshot } from '../../src/types.js';
import {
  describeEntries,
  describeHardState,
  describeMessage,
  describeSnapshot,
  ROLE_NAMES,
  type Shown,
  shownMessage,
} from './description.js';
import type { HistoryStorage } from './history-storage.js';
import type { InteractionOutput } from './interaction-output.js';

/** Something on its way to a replica. */
export interface Mail {
  readonly shown: Shown;
  /** Never lost: from the replica itself or from one of its threads. */
  readonly local: boolean;
  /** Returns etcd's error text. */
  readonly deliver: (to: InteractionNode) => string | undefined;
}

interface AppendWork {
  readonly shown: Shown;
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
  readonly responses: readonly Mail[];
}

interface ApplyWork {
  readonly shown: Shown;
  readonly entries: readonly Entry[];
  readonly responses: readonly Mail[];
}

const DROPPED_PROPOSAL = 'raft proposal dropped';

export class InteractionNode {
  readonly core: RaftCore;
  readonly storage: HistoryStorage;
  readonly #async: boolean;
  readonly #output: InteractionOutput;
  readonly #appendWork: AppendWork[] = [];
  readonly #applyWork: ApplyWork[] = [];

  constructor(options: RaftOptions, storage: HistoryStorage, output: InteractionOutput) {
    this.core = new RaftCore(options);
    this.storage = storage;
    this.#async = options.etcd?.asyncStorageWrites === true;
    this.#output = output;
  }

  get appendWorkCount(): number {
    return this.#appendWork.length;
  }

  get applyWorkCount(): number {
    return this.#applyWork.length;
  }

  /** Prints and handles what the core has ready; what leaves the replica goes to `mail`. */
  processReady(mail: Mail[]): string | undefined {
    const ready = this.core.ready();
    const leaving = ready.messages.map(networkMail);
    if (!this.#async) {
      leaving.push(...ready.afterAppend.map(networkMail));
      this.#output.write(describeReady(ready, leaving));
      const problem = this.#persist(ready.hardState, ready.snapshot, ready.entries);
      if (problem !== undefined) return problem;
      this.#apply(ready.committed);
      mail.push(...leaving);
      this.core.appendDone(ready.token);
      if (ready.committed.length > 0) this.core.applyDone(ready.committed.at(-1)!.index);
      return undefined;
    }
    const shown = leaving.map((one) => one.shown);
    const append = appendWork(this.core.id, ready);
    if (append !== undefined) {
      this.#appendWork.push(append);
      shown.push({ ...append.shown, responses: append.responses.map((one) => one.shown) });
    }
    if (ready.committed.length > 0) {
      const apply = applyWork(this.core.id, ready.committed);
      this.#applyWork.push(apply);
      shown.push({ ...apply.shown, responses: apply.responses.map((one) => one.shown) });
    }
    this.#output.write(
      describeReady(
        ready,
        shown.map((one) => ({ shown: one })),
      ),
    );
    mail.push(...leaving);
    return undefined;
  }

  /** Carries out the oldest append. */
  processAppend(mail: Mail[]): string | undefined {
    const work = this.#appendWork.shift();
    if (work === undefined) {
      this.#output.write('no append work to perform');
      return undefined;
    }
    this.#output.write(`Processing:\n${describeMessage(work.shown)}\n`);
    const problem = this.#persist(work.hardState, work.snapshot, work.entries);
    if (problem !== undefined) return problem;
    this.#respond(work.responses, mail);
    return undefined;
  }

  /** Applies the oldest batch of committed entries. */
  processApply(mail: Mail[]): string | undefined {
    const work = this.#applyWork.shift();
    if (work === undefined) {
      this.#output.write('no apply work to perform');
      return undefined;
    }
    this.#output.write(`Processing:\n${describeMessage(work.shown)}\n`);
    this.#apply(work.entries);
    this.#respond(work.responses, mail);
    return undefined;
  }

  #respond(responses: readonly Mail[], mail: Mail[]): void {
    this.#output.line('Responses:');
    for (const response of responses) this.#output.line(describeMessage(response.shown));
    mail.push(...responses);
  }

  #persist(
    hardState: HardState | undefined,
    snapshot: Snapshot | undefined,
    entries: readonly Entry[],
  ): string | undefined {
    if (hardState !== undefined) this.storage.setHardState(hardState);
    if (snapshot !== undefined) {
      if (entries.length > 0) return "can't apply snapshot and entries at the same time";
      return this.storage.install(snapshot);
    }
    this.storage.append(entries);
    return undefined;
  }

  // The state machine: what it has been given, one after the other.
  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const before = this.storage.snapshot();
      let { config } = before;
      let update = entry.data;
      if (entry.type === 'conf-change') {
        update = decodeConfChange(entry.data).context ?? new Uint8Array(0);
        config = this.core.applyConfChange(entry);
      }
      const data = new Uint8Array([...before.data, ...update]);
      this.storage.history.push({ term: entry.term, index: entry.index, config, data });
    }
  }
}

/** A message between replicas, or of a replica to itself. */
export function networkMail(message: Message): Mail {
  return {
    shown: shownMessage(message),
    local: message.from === message.to,
    deliver: ({ core }) => dropText(message, core.step(message, 0)),
  };
}

/** etcd says nothing about leadership transfers that cannot begin. */
export function transferLeader(core: RaftCore, to: number): undefined {
  try {
    core.transferLeader(to);
  } catch (error) {
    if (!(error instanceof RaftError) || error.code !== 'RAFT_NOT_LEADER') throw error;
  }
}

/** Runs a proposal; returns etcd's error text when it was refused. */
export function proposalProblem(propose: () => unknown): string | undefined {
  try {
    propose();
    return undefined;
  } catch (error) {
    const codes = ['RAFT_PROPOSAL_DROPPED', 'RAFT_NOT_LEADER', 'RAFT_TRANSFER_IN_PROGRESS'];
    if (error instanceof RaftError && codes.includes(error.code)) return DROPPED_PROPOSAL;
    throw error;
  }
}

function dropText(message: Message, reason: DropReason | undefined): string | undefined {
  if (reason === 'unknown-replica') return 'raft: cannot step as peer not found';
  if (message.type === 'propose' && (reason === 'not-leader' || reason === 'refused')) return DROPPED_PROPOSAL;
  return undefined;
}

function appendWork(id: number, ready: Ready): AppendWork | undefined {
  const { hardState, snapshot, entries, token } = ready;
  // In this mode the token has the messages to others, too.
  const responses = token.acks.map((m) => (m.to === id ? ownMail(m, token) : networkMail(m)));
  if (hardState === undefined && snapshot === undefined && entries.length === 0 && responses.length === 0) {
    return undefined;
  }
  if (token.index !== 0 || token.snapshotIndex !== 0) {
    const shown: Shown = {
      name: 'MsgStorageAppendResp',
      from: 'AppendThread',
      to: id,
      term: token.term,
      index: token.index,
      logTerm: token.logTerm,
      snapshot,
    };
    responses.push({ shown, local: true, deliver: ({ core }) => void core.appendDone({ ...token, acks: [] }) });
  }
  const shown: Shown = {
    name: 'MsgStorageAppend',
    from: id,
    to: 'AppendThread',
    term: hardState?.term ?? 0,
    commit: hardState?.commit ?? 0,
    vote: hardState?.vote ?? 0,
    entries,
    snapshot,
  };
  return { shown, hardState, snapshot, entries, responses };
}

/** The replica's own vote or acknowledgement, which its append thread delivers by itself. */
function ownMail(ack: Message, token: AppendToken): Mail {
  const alone: AppendToken = { ...token, index: 0, logTerm: 0, snapshotIndex: 0, acks: [ack] };
  return { shown: shownMessage(ack), local: true, deliver: ({ core }) => void core.appendDone(alone) };
}

function applyWork(id: number, entries: readonly Entry[]): ApplyWork {
  const shown: Shown = { name: 'MsgStorageApplyResp', from: 'ApplyThread', to: id, entries };
  const index = entries.at(-1)!.index;
  return {
    shown: { name: 'MsgStorageApply', from: id, to: 'ApplyThread', entries },
    entries,
    responses: [{ shown, local: true, deliver: ({ core }) => void core.applyDone(index) }],
  };
}

function describeReady(ready: Ready, messages: readonly { readonly shown: Shown }[]): string {
  const { softState, hardState, readStates, entries, snapshot, committed } = ready;
  let out = '';
  if (softState !== undefined) out += `Lead:${softState.leader} State:${ROLE_NAMES[softState.role]}\n`;
  if (hardState !== undefined) out += `HardState ${describeHardState(hardState)}\n`;
  if (readStates.length > 0) {
    out += `ReadStates [${readStates.map(({ index, token }) => `{${index} [${token}]}`).join(' ')}]\n`;
  }
  if (entries.length > 0) out += `Entries:\n${describeEntries(entries)}`;
  if (snapshot !== undefined) out += `Snapshot ${describeSnapshot(snapshot)}\n`;
  if (committed.length > 0) out += `CommittedEntries:\n${describeEntries(committed)}`;
  if (messages.length > 0) out += `Messages:\n${messages.map((one) => `${describeMessage(one.shown)}\n`).join('')}`;
  return out === '' ? '<empty Ready>' : `Ready MustSync=${ready.mustSync}:\n${out}`;
}
