// etcd's recorded interactions: commands that create replicas, let them propose, tick, handle their Readies and deliver
// their messages, and print what happens. See the README of etcd's package rafttest for the commands; every argument that
// its handlers take is taken here.
import { Rng } from 'nori-testkit';
import { EMPTY_CONFIG } from '../../src/membership.js';
import type { EtcdOptions, RaftOptions } from '../../src/options.js';
import type { ConfChangeTransition, ConfState, Message, Snapshot } from '../../src/types.js';
import { type Directive, parseBoolean, parseId } from './data-driven.js';
import { describeEntries, describeMessage, describeProgress, MESSAGE_NAMES, ROLE_NAMES } from './description.js';
import { HistoryStorage } from './history-storage.js';
import { InteractionNode, type Mail, networkMail, proposalProblem, transferLeader } from './interaction-node.js';
import { InteractionOutput } from './interaction-output.js';
import { parseSteps } from './membership-transcript.js';

// What etcd's harness configures. Nothing is limited.
const ELECTION_TICKS = 3;
const HEARTBEAT_TICKS = 1;
const UNLIMITED = Number.MAX_SAFE_INTEGER;

const MAIL_NAMES = new Set([...Object.values(MESSAGE_NAMES), 'MsgStorageAppendResp', 'MsgStorageApplyResp']);

const TRANSITIONS: Readonly<Record<string, ConfChangeTransition>> = {
  auto: 'auto',
  implicit: 'joint-implicit',
  explicit: 'joint-explicit',
};

type Handler = (directive: Directive) => string | undefined;

/** A fresh transcript: runs its commands one after the other and returns what each prints. */
export class InteractionTranscript {
  readonly #nodes: InteractionNode[] = [];
  readonly #output = new InteractionOutput();
  #mail: Mail[] = [];

  // Each returns etcd's error text, or undefined.
  readonly #handlers: Readonly<Record<string, Handler>> = {
    _breakpoint: () => undefined,
    'add-nodes': (d) => this.#addNodes(d),
    campaign: (d) => void this.#node(d).core.campaign(0),
    compact: (d) => {
      const node = this.#node(d);
      return node.storage.forget(parseId(d.args[1]!.key)) ?? this.#printLog(node);
    },
    'deliver-msgs': (d) => this.#deliverMessages(d),
    'process-ready': (d) => this.#forEach(d, 'handling Ready', (node) => node.processReady(this.#mail)),
    'process-append-thread': (d) =>
      this.#forEach(d, 'processing append thread', (node) => node.processAppend(this.#mail)),
    'process-apply-thread': (d) => this.#forEach(d, 'processing apply thread', (node) => node.processApply(this.#mail)),
    'log-level': (d) => this.#output.setLevel(d.args[0]!.key),
    'raft-log': (d) => this.#printLog(this.#node(d)),
    'raft-state': () => this.#printStates(),
    'set-randomized-election-timeout': (d) =>
      void this.#node(d).core.setRandomizedElectionTicks(parseId(argument(d, 'timeout'))),
    stabilize: (d) => this.#stabilizeCommand(d),
    status: (d) => {
      for (const progress of this.#node(d).core.status().progress) this.#output.write(describeProgress(progress));
      return undefined;
    },
    'tick-election': (d) => this.#tick(d, ELECTION_TICKS),
    'tick-heartbeat': (d) => this.#tick(d, HEARTBEAT_TICKS),
    'transfer-leadership': (d) =>
      transferLeader(this.#byId(parseId(argument(d, 'from'))).core, this.#byId(parseId(argument(d, 'to'))).core.id),
    'forget-leader': (d) => void this.#node(d).core.forgetLeader(),
    'send-snapshot': (d) => this.#sendSnapshot(d),
    propose: (d) => {
      if (d.args.length !== 2 || d.args[1]!.values.length > 0) throw new Error('one word to propose is expected');
      return proposalProblem(() => this.#node(d).core.propose(new TextEncoder().encode(d.args[1]!.key)));
    },
    'propose-conf-change': (d) => this.#proposeConfChange(d),
    'report-unreachable': (d) => {
      const [on, unreachable, ...more] = this.#listed(d);
      if (on === undefined || unreachable === undefined || more.length > 0) {
        return 'must specify exactly two node indexes: node on which to report, and reported node';
      }
      on.core.reportUnreachable(unreachable.core.id);
      return undefined;
    },
  };

  run(directive: Directive): string {
    this.#output.text = '';
    const handler = this.#handlers[directive.command];
    const problem = handler === undefined ? 'unknown command' : handler(directive);
    if (problem !== undefined && this.#output.quiet) return problem;
    if (problem !== undefined) this.#output.write(problem);
    return this.#output.text === '' ? 'ok' : this.#output.text;
  }

  #byId(id: number): InteractionNode {
    const node = this.#nodes[id - 1];
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  /** The node that the first argument names. */
  #node(d: Directive): InteractionNode {
    return this.#byId(parseId(d.args[0]!.key));
  }

  /** The nodes that arguments without values name. */
  #listed(d: Directive): InteractionNode[] {
    return d.args.filter(({ values }) => values.length === 0).map(({ key }) => this.#byId(parseId(key)));
  }

  #addNodes(d: Directive): string | undefined {
    const count = parseId(d.args[0]!.key);
    const config: { -readonly [K in keyof ConfState]: ConfState[K] } = { ...EMPTY_CONFIG };
    const options: Partial<{ -readonly [K in keyof RaftOptions]: RaftOptions[K] }> = {};
    const etcd: { -readonly [K in keyof EtcdOptions]: EtcdOptions[K] } = {
      asyncStorageWrites: false,
      readOnly: 'safe',
      disableConfChangeValidation: false,
    };
    let index = 0;
    let content = '';
    for (const { key, values } of d.args.slice(1)) {
      const value = values.at(-1);
      if (value === undefined) continue;
      if (key === 'voters') config.voters = values.map(parseId).sort((a, b) => a - b);
      else if (key === 'learners') config.learners = values.map(parseId).sort((a, b) => a - b);
      else if (key === 'inflight') options.inflightAppendsMax = parseId(value);
      else if (key === 'index') index = parseId(value);
      else if (key === 'content') content = value;
      else if (key === 'async-storage-writes') etcd.asyncStorageWrites = parseBoolean(value);
      else if (key === 'prevote') options.preVote = parseBoolean(value);
      else if (key === 'checkquorum') options.checkQuorum = parseBoolean(value);
      else if (key === 'max-committed-size-per-ready') options.applyingBytesMax = parseId(value) || UNLIMITED;
      else if (key === 'disable-conf-change-validation') etcd.disableConfChangeValidation = parseBoolean(value);
      else if (key === 'read-only') {
        if (value !== 'safe' && value !== 'lease-based') return `invalid read-only option ${JSON.stringify(value)}`;
        etcd.readOnly = value;
      } else if (key === 'step-down-on-removal') options.stepDownOnRemoval = parseBoolean(value);
    }
    const bootstrapped = index > 0 || content !== '' || config.voters.length > 0 || config.learners.length > 0;
    if (bootstrapped && index <= 1) return 'index must be specified as > 1 due to bootstrap';
    if (options.inflightAppendsMax === 0) return 'max inflight messages must be greater than 0';
    if (etcd.readOnly === 'lease-based' && options.checkQuorum !== true) {
      return 'CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased';
    }
    const start: Snapshot = {
      term: bootstrapped ? 1 : 0,
      index,
      config,
      data: new TextEncoder().encode(content),
    };
    for (let i = 0; i < count; i++) {
      const id = this.#nodes.length + 1;
      const storage = new HistoryStorage(start);
      const rng = new Rng(id);
      const all: RaftOptions = {
        preVote: false,
        checkQuorum: false,
        stepDownOnRemoval: false,
        appendBytesMax: UNLIMITED,
        inflightAppendsMax: 2 ** 31 - 1,
        inflightBytesMax: UNLIMITED,
        uncommittedBytesMax: UNLIMITED,
        applyingBytesMax: UNLIMITED,
        entryBytesMax: UNLIMITED,
        ...options,
        id,
        storage,
        random: () => rng.next(),
        appliedIndex: index,
        electionTicks: ELECTION_TICKS,
        heartbeatTicks: HEARTBEAT_TICKS,
        forwardProposals: true,
        etcd,
      };
      this.#nodes.push(new InteractionNode(all, storage, this.#output));
    }
    return undefined;
  }

  #deliverMessages(d: Directive): string | undefined {
    let name: string | undefined;
    const recipients: { readonly id: number; readonly drop: boolean }[] = [];
    for (const { key, values } of d.args) {
      if (values.length === 0) recipients.push({ id: parseId(key), drop: false });
      for (const value of values) {
        if (key === 'drop') {
          const id = parseId(value);
          if (recipients.some((one) => one.id === id)) throw new Error(`can't both deliver and drop msgs to ${id}`);
          recipients.push({ id, drop: true });
        } else if (key === 'type') {
          if (!MAIL_NAMES.has(value)) throw new Error(`unknown message type ${value}`);
          name = value;
        }
      }
    }
    let count = 0;
    for (const { id, drop } of recipients) count += this.#deliver(id, drop, name);
    if (count === 0) this.#output.line('no messages');
    return undefined;
  }

  /** Delivers or drops what is on its way to a replica; returns how many there were. */
  #deliver(id: number, drop: boolean, name: string | undefined): number {
    const taken = this.#mail.filter((one) => isFor(one, id, drop, name));
    this.#mail = this.#mail.filter((one) => !taken.includes(one));
    for (const one of taken) {
      this.#output.line(`${drop ? 'dropped: ' : ''}${describeMessage(one.shown)}`);
      if (drop) continue;
      const problem = one.deliver(this.#byId(id));
      if (problem !== undefined) this.#output.line(problem);
    }
    return taken.length;
  }

  #forEach(d: Directive, what: string, action: (node: InteractionNode) => string | undefined): string | undefined {
    const nodes = this.#listed(d);
    for (const node of nodes) {
      if (nodes.length > 1) this.#output.line(`> ${node.core.id} ${what}`);
      const problem = nodes.length > 1 ? this.#output.indented(() => action(node)) : action(node);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #stabilizeCommand(d: Directive): string | undefined {
    const listed = this.#listed(d);
    const nodes = listed.length > 0 ? listed : [...this.#nodes];
    const level = d.args.find(({ key }) => key === 'log-level')?.values.at(-1);
    return level === undefined ? this.#stabilize(nodes) : this.#output.atLevel(level, () => this.#stabilize(nodes));
  }

  #stabilize(nodes: readonly InteractionNode[]): string | undefined {
    const out = this.#output;
    for (let round = 0; round < 1000; round++) {
      let done = true;
      for (const node of nodes) {
        if (!node.core.hasReady()) continue;
        done = false;
        out.line(`> ${node.core.id} handling Ready`);
        const problem = out.indented(() => node.processReady(this.#mail));
        if (problem !== undefined) return problem;
      }
      for (const { core } of nodes) {
        if (!this.#mail.some((one) => isFor(one, core.id, false, undefined))) continue;
        done = false;
        out.line(`> ${core.id} receiving messages`);
        out.indented(() => this.#deliver(core.id, false, undefined));
      }
      for (const node of nodes) {
        if (node.appendWorkCount === 0) continue;
        done = false;
        out.line(`> ${node.core.id} processing append thread`);
        while (node.appendWorkCount > 0) {
          const problem = out.indented(() => node.processAppend(this.#mail));
          if (problem !== undefined) return problem;
        }
      }
      for (const node of nodes) {
        if (node.applyWorkCount === 0) continue;
        done = false;
        out.line(`> ${node.core.id} processing apply thread`);
        while (node.applyWorkCount > 0) out.indented(() => node.processApply(this.#mail));
      }
      if (done) return undefined;
    }
    throw new Error('the replicas do not come to rest');
  }

  #printLog({ storage }: InteractionNode): string | undefined {
    const first = storage.firstIndex();
    const last = storage.lastIndex();
    if (last < first) this.#output.write(`log is empty: first index=${first}, last index=${last}`);
    else this.#output.write(describeEntries(storage.entries(first, last + 1, UNLIMITED) ?? []));
    return undefined;
  }

  #printStates(): undefined {
    for (const { core } of this.#nodes) {
      const { id, role, term, leader, config } = core.status();
      const votes = config.voters.includes(id) || config.votersOutgoing.includes(id);
      this.#output.line(`${id}: ${ROLE_NAMES[role]} (${votes ? 'Voter' : 'Non-Voter'}) Term:${term} Lead:${leader}`);
    }
  }

  #tick(d: Directive, ticks: number): undefined {
    const { core } = this.#node(d);
    for (let i = 0; i < ticks; i++) core.tick(0);
  }

  #sendSnapshot(d: Directive): undefined {
    const [from, to] = this.#listed(d);
    if (from === undefined || to === undefined) throw new Error('two nodes are expected');
    const message: Message = {
      type: 'snapshot',
      from: from.core.id,
      to: to.core.id,
      term: from.core.term,
      index: 0,
      logTerm: 0,
      commit: 0,
      entries: [],
      reject: false,
      rejectHint: 0,
      snapshot: from.storage.snapshot(),
      context: 0,
      transfer: 0,
    };
    const mail = networkMail(message);
    this.#mail.push(mail);
    this.#output.write(describeMessage(mail.shown));
  }

  #proposeConfChange(d: Directive): string | undefined {
    const node = this.#node(d);
    let v1 = false;
    let transition: ConfChangeTransition = 'auto';
    for (const { key, values } of d.args.slice(1)) {
      for (const value of values) {
        if (key === 'v1') v1 = parseBoolean(value);
        else if (key === 'transition') {
          const known = TRANSITIONS[value];
          if (known === undefined) return `unknown transition ${value}`;
          transition = known;
        } else return `unknown command ${key}`;
      }
    }
    let steps: ReturnType<typeof parseSteps>;
    try {
      steps = parseSteps(d.input);
    } catch (error) {
      return (error as Error).message;
    }
    if (v1 && (steps.length > 1 || transition !== 'auto')) {
      return 'v1 conf change can only have one operation and no transition';
    }
    return proposalProblem(() => node.core.proposeConfChange({ transition, steps }));
  }
}

function isFor({ shown, local }: Mail, id: number, drop: boolean, name: string | undefined): boolean {
  return shown.to === id && !(drop && local) && (name === undefined || shown.name === name);
}

function argument(d: Directive, key: string): string {
  const value = d.args.find((one) => one.key === key)?.values[0];
  if (value === undefined) throw new Error(`missing argument: ${key}`);
  return value;
}
