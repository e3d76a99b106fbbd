// What must hold after every event. Only the node that was touched is looked at, against what is known of all: which
// entries exist, which are committed, what applying them led to, who voted for whom, who led when.
//
// What is durable is taken from the simulated disks, of crashed nodes too, not from what anybody says.
import type { ConfState, Entry, Message, Ready, Snapshot } from '../../src/index.js';
import { FOUNDATION } from './node.js';
import type { ObservedReplica as Driver, ObservedNode as SimNode } from './observed.js';
import { SimViolation } from './violation.js';

/** An entry that somebody has had in its log. */
interface KnownEntry {
  readonly entry: Entry;
  readonly previousTerm: number;
}

/** What a node was last seen to have. */
interface Seen {
  epoch: number;
  term: number;
  commit: number;
  applied: number;
  leads: boolean;
}

const TERMS_MAX = 2 ** 20;

export class Invariants {
  /** The highest index that anybody has ever taken for committed. */
  committed = FOUNDATION.index;
  readonly leaderOfTerm = new Map<number, number>();
  #checks = 0;
  readonly #nodes: ReadonlyMap<number, SimNode>;
  /** Every entry by (index, term): equal position and term, equal log up to there. */
  readonly #entries = new Map<number, KnownEntry>();
  readonly #committedTerms: number[] = [0, FOUNDATION.term];
  /** The term in which an index was committed: leaders of later terms have it. */
  readonly #committedIn: number[] = [0, FOUNDATION.term];
  /** The highest term that anybody has led. */
  #highestTermLed = 0;
  /** Hash of the state machine after an index. */
  readonly #appliedHashes: number[] = [];
  readonly #configs: string[] = [];
  /** By node and term, from what is on the disks. */
  readonly #votes = new Map<number, number>();
  readonly #seen = new Map<number, Seen>();
  /** What each node has acknowledged last. */
  readonly #acks = new Map<number, { readonly term: number; readonly index: number }>();

  constructor(nodes: ReadonlyMap<number, SimNode>) {
    this.#nodes = nodes;
  }

  /** How many nodes were looked at. */
  get checks(): number {
    return this.#checks;
  }

  committedTerm(index: number): number | undefined {
    return this.#committedTerms[index];
  }

  /** A process has started from its disk. */
  onStart(node: SimNode, driver: Driver): void {
    const core = driver.core!;
    const { hardState } = node.durable;
    const { term, commit } = hardState;
    if (core.term < term) fail('term', `starts in term ${core.term}, but term ${term} was durable`, node);
    if (core.commitIndex < commit)
      fail('commit', `starts with commit ${core.commitIndex}, but ${commit} was durable`, node);
    this.#checkCommitted(node, driver, driver.log.baseIndex, core.commitIndex);
    this.checkConfig(node, driver.appliedIndex, core.config);
    this.#seen.set(node.id, {
      epoch: node.epoch,
      term: core.term,
      commit: core.commitIndex,
      applied: driver.appliedIndex,
      leads: false,
    });
  }

  /** The core hands something out. */
  onReady(node: SimNode, driver: Driver, ready: Ready): void {
    const { entries, hardState, mustSync, snapshot, committed } = ready;
    for (let i = 0; i < committed.length; i++) {
      const { index, term } = committed[i]!;
      if (!node.durable.holds(index, term)) {
        fail('undurable-apply', `may apply ${term}/${index}, which is not on its disk`, node);
      }
    }
    const before = driver.log.hardState;
    const votes = hardState !== undefined && (hardState.term !== before.term || hardState.vote !== before.vote);
    if (!mustSync && (entries.length > 0 || votes || snapshot !== undefined)) {
      fail('must-sync', 'A Ready with entries, a snapshot, a term or a vote need not be synced', node);
    }
    if (hardState !== undefined) {
      if (hardState.term < before.term) fail('term', `goes back from term ${before.term} to ${hardState.term}`, node);
      if (hardState.term === before.term && before.vote !== 0 && hardState.vote !== before.vote) {
        fail('vote', `changes its vote in term ${before.term} from ${before.vote} to ${hardState.vote}`, node);
      }
    }
    if (entries.length === 0) return;
    const first = entries[0]!;
    let previousTerm = snapshot?.index === first.index - 1 ? snapshot.term : driver.log.term(first.index - 1);
    if (previousTerm === undefined) fail('log-gap', `appends ${first.index} behind ${driver.log.lastIndex}`, node);
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (entry.index <= this.committed && this.#committedTerms[entry.index] !== entry.term) {
        // It may hold another entry there as long as it does not know better; but not once it has taken it for committed.
        const seen = this.#seen.get(node.id);
        if (seen !== undefined && entry.index <= seen.commit) {
          fail(
            'committed-overwritten',
            `overwrites committed entry ${entry.index} with one of term ${entry.term}`,
            node,
          );
        }
      }
      this.#learnEntry(node, entry, previousTerm!);
      previousTerm = entry.term;
    }
  }

  #learnEntry(node: SimNode, entry: Entry, previousTerm: number): void {
    const key = entry.index * TERMS_MAX + entry.term;
    const known = this.#entries.get(key);
    if (known === undefined) {
      this.#entries.set(key, { entry, previousTerm });
      return;
    }
    if (known.previousTerm !== previousTerm) {
      const text = `follows term ${known.previousTerm} in one log, ${previousTerm} in another`;
      fail('log-matching', `Entry ${entry.term}/${entry.index} ${text}`, node);
    }
    if (known.entry === entry) return;
    if (known.entry.type !== entry.type || !equalBytes(known.entry.data, entry.data)) {
      fail('log-matching', `Entry ${entry.term}/${entry.index} is not the same in two logs`, node);
    }
  }

  /** A message goes out: it must not promise more than the disk does. */
  onSend(node: SimNode, message: Message): void {
    if (message.reject) return;
    const { hardState, lastIndex } = node.durable;
    if (message.type === 'vote-response') {
      const vote = this.#votes.get(node.id * TERMS_MAX + message.term);
      if (vote === message.to) return;
      // A later term that reached the disk in the same write stands for it: this term is over there.
      if (vote === undefined && hardState.term > message.term) return;
      const durable = `vote for ${hardState.vote} in term ${hardState.term}`;
      fail('undurable-vote', `votes for ${message.to} in term ${message.term} with ${durable} on its disk`, node);
    }
    // A lease may rest on it: after a crash the node must know that it has heard from a leader.
    if (message.type === 'heartbeat-response' && hardState.term < message.term) {
      fail(
        'undurable-ack',
        `answers a heartbeat of term ${message.term} with term ${hardState.term} on its disk`,
        node,
      );
    }
    // What was acknowledged in an earlier term may have been overwritten by the same sync.
    if (message.type !== 'append-response' || hardState.term > message.term) return;
    if (message.index > lastIndex || hardState.term < message.term) {
      const durable = `entries up to ${lastIndex} in term ${hardState.term}`;
      fail('undurable-ack', `acknowledges ${message.index} in term ${message.term} with ${durable} on its disk`, node);
    }
    const { term, index } = message;
    const last = this.#acks.get(node.id);
    if (last === undefined || term > last.term || (term === last.term && index > last.index)) {
      this.#acks.set(node.id, { term, index });
    }
  }

  /** The node's disk holds something new for certain. */
  onDurable(node: SimNode): void {
    const { term, vote } = node.durable.hardState;
    if (vote !== 0) this.#learnVote(node, term, vote);
    const ack = this.#acks.get(node.id);
    if (ack !== undefined && ack.term === term && node.durable.lastIndex < ack.index) {
      fail('lost-ack', `acknowledged ${ack.index} in term ${term}, and has only up to ${node.durable.lastIndex}`, node);
    }
  }

  #learnVote(node: SimNode, term: number, vote: number): void {
    const key = node.id * TERMS_MAX + term;
    const known = this.#votes.get(key);
    if (known === undefined) this.#votes.set(key, vote);
    else if (known !== vote) fail('vote', `votes for ${known} and for ${vote} in term ${term}`, node);
  }

  /** An entry was applied, and led to this state. */
  onApplied(node: SimNode, driver: Driver, { index, term }: Entry): void {
    if (index > this.committed || this.#committedTerms[index] !== term) {
      fail('applied-uncommitted', `applies ${term}/${index}, which is not committed`, node);
    }
    this.#compareHash(node, index, driver.map.hash);
  }

  onInstalled(node: SimNode, driver: Driver, { index, term, config }: Snapshot): void {
    if (index > this.committed || this.#committedTerms[index] !== term) {
      fail('applied-uncommitted', `installs a snapshot at ${term}/${index}, which is not committed`, node);
    }
    this.checkConfig(node, index, config);
    this.#compareHash(node, index, driver.map.hash);
  }

  #compareHash(node: SimNode, index: number, hash: number): void {
    const known = this.#appliedHashes[index];
    if (known === undefined) this.#appliedHashes[index] = hash;
    else if (known !== hash) fail('state-differs', `has another state than others after applying ${index}`, node);
  }

  /** A configuration was applied at an index. */
  onConfig(node: SimNode, index: number, config: ConfState): void {
    const text = JSON.stringify(config);
    this.#configs[index] ??= text;
    if (this.#configs[index] !== text) {
      fail('config-differs', `has ${text} after applying ${index}, others ${this.#configs[index]}`, node);
    }
  }

  /** The configuration of a node that has applied so much. */
  checkConfig(node: SimNode, appliedIndex: number, config: ConfState): void {
    let index = appliedIndex;
    while (index > 0 && this.#configs[index] === undefined) index--;
    // The first of a group brings its foundation along.
    if (index > 0) this.onConfig(node, index, config);
    else if (appliedIndex > 0) this.#configs[FOUNDATION.index] = JSON.stringify(config);
  }

  /**
   * A read is answered from the state after `index`.
   * @param floor what was committed when it was asked for
   * @param withoutLease it was read by a lease that has ended
   */
  onRead(node: SimNode, floor: number, index: number, withoutLease: boolean): void {
    if (withoutLease) fail('lease', 'answers a read by a lease that has ended', node);
    if (index < floor)
      fail('stale-read', `answers from the state after ${index}, when ${floor} was committed before`, node);
  }

  /** Looks at a node after an event. */
  observe(node: SimNode, driver: Driver): void {
    this.#checks++;
    const core = driver.core!;
    const seen = this.#seen.get(node.id)!;
    const { term, commitIndex } = core;
    if (term < seen.term) fail('term', `goes back from term ${seen.term} to ${term}`, node);
    if (commitIndex < seen.commit) fail('commit', `goes back from commit ${seen.commit} to ${commitIndex}`, node);
    if (driver.appliedIndex < seen.applied) fail('applied', `goes back from ${seen.applied}`, node);
    const leads = core.role === 'leader';
    if (leads && (!seen.leads || term !== seen.term)) this.#checkLeader(node, driver, term);
    if (leads && term < this.#highestTermLed && driver.hasLease) {
      fail('lease', `has a lease in term ${term}, when ${this.#highestTermLed} has begun`, node);
    }
    if (commitIndex > seen.commit) this.#checkCommitted(node, driver, seen.commit, commitIndex);
    seen.term = term;
    seen.commit = commitIndex;
    seen.applied = driver.appliedIndex;
    seen.leads = leads;
    const { baseIndex, snapshotIndex } = driver.storage.image;
    const { appliedIndex } = driver;
    if (baseIndex > snapshotIndex) fail('order', `purged up to ${baseIndex} with a snapshot at ${snapshotIndex}`, node);
    // A received snapshot may be stored already and not be installed yet.
    if (snapshotIndex > appliedIndex && driver.log.baseIndex < snapshotIndex) {
      fail('order', `has a snapshot at ${snapshotIndex}, but applied only ${appliedIndex}`, node);
    }
    if (appliedIndex > commitIndex) fail('order', `applied ${appliedIndex}, but committed ${commitIndex}`, node);
    if (commitIndex > core.lastIndex) fail('order', `committed ${commitIndex} of a log up to ${core.lastIndex}`, node);
    if (!core.hasReady() && driver.log.lastIndex !== core.lastIndex) {
      fail('order', `handed out entries up to ${driver.log.lastIndex}, but has up to ${core.lastIndex}`, node);
    }
  }

  /** Election safety and leader completeness. */
  #checkLeader(node: SimNode, driver: Driver, term: number): void {
    const leader = this.leaderOfTerm.get(term) ?? node.id;
    this.leaderOfTerm.set(term, node.id);
    if (leader !== node.id) fail('election-safety', `leads term ${term}, which ${leader} has led`, node);
    const { voters, votersOutgoing } = driver.core!.config;
    if (!voters.includes(node.id) && !votersOutgoing.includes(node.id)) {
      fail('election-safety', `leads term ${term}, but is no voter`, node);
    }
    this.#highestTermLed = Math.max(this.#highestTermLed, term);
    for (const other of this.#nodes.values()) {
      if (other.driver?.hasLease && other.driver.core!.term < term) {
        fail('lease', `leads term ${term}, while ${other.id} has a lease in term ${other.driver.core!.term}`, node);
      }
    }
    const { hardState } = node.durable;
    if (hardState.term !== term || hardState.vote !== node.id) {
      fail('undurable-vote', `leads term ${term} without its own vote on its disk`, node);
    }
    const { log } = driver;
    // A leader that was elected late, in a term that is over, need not know what was committed since.
    for (let index = Math.max(log.baseIndex, 1); (this.#committedIn[index] ?? term) < term; index++) {
      if (log.term(index) !== this.#committedTerms[index]) {
        fail('leader-completeness', `leads term ${term} without committed entry ${index}`, node);
      }
    }
  }

  /** Everything up to `to` is committed, says the node. */
  #checkCommitted(node: SimNode, driver: Driver, from: number, to: number): void {
    const { log } = driver;
    for (let index = Math.max(from + 1, log.baseIndex); index <= Math.min(to, this.committed); index++) {
      if (index > 0 && log.term(index) !== this.#committedTerms[index]) {
        const terms = `${log.term(index)} there, ${this.#committedTerms[index]} elsewhere`;
        fail('committed-differs', `takes entry ${index} for committed, which has term ${terms}`, node);
      }
    }
    if (to <= this.committed) return;
    const core = driver.core!;
    const term = log.term(to);
    if (core.role !== 'leader' || term !== core.term) {
      fail('commit', `commits ${term}/${to} first of all, in term ${core.term} as ${core.role}`, node);
    }
    this.#checkQuorum(node, core.config, to, term!);
    for (let index = this.committed + 1; index <= to; index++) {
      this.#committedTerms[index] = log.term(index)!;
      this.#committedIn[index] = core.term;
    }
    this.committed = to;
  }

  #checkQuorum(node: SimNode, { voters, votersOutgoing }: ConfState, index: number, term: number): void {
    for (const half of [voters, votersOutgoing]) {
      if (half.length === 0) continue;
      const holders = half.filter((id) => this.#nodes.get(id)?.durable.holds(index, term));
      if (holders.length * 2 <= half.length) {
        const text = `commits ${term}/${index}, which only ${holders.join(', ') || 'nobody'} of ${half.join(', ')} have`;
        fail('commit-quorum', `${text} on their disks`, node);
      }
    }
  }
}

function fail(kind: string, text: string, node: SimNode): never {
  throw new SimViolation(kind, `Node ${node.id} ${text}.`, node.id);
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
