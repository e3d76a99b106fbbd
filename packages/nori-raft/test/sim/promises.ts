// What replicas have promised each other, and what they claim to know: each held against what all of them have really done.
// A broken promise is noticed when it is broken, not only when harm comes of it, which takes more bad luck.
import type { ConfState, Message, RaftCore, Ready } from '../../src/index.js';
import type { ObservedReplica as Driver, ObservedNode as SimNode } from './observed.js';
import { SimViolation } from './violation.js';

/** Somebody was told that this node grants no vote for a while. */
interface Promised {
  readonly term: number;
  /** By the node's own clock. */
  readonly atMs: number;
}

const TERMS_MAX = 2 ** 20;
/** Who sends one of these in a term that is over is told of the new one. */
const TOLD_IF_BEHIND: ReadonlySet<string> = new Set(['append', 'heartbeat', 'pre-vote']);
/** Heartbeats whose answers wait for the disk. */
const HEARD_MAX = 256;

export class Promises {
  readonly #nodes: ReadonlyMap<number, SimNode>;
  /** How long a promise holds; 0: there are no leases. */
  readonly #promiseMs: number;
  /** The event in which a node last took a message of the leader of a term. */
  readonly #heardAt = new Map<number, number>();
  /** Heartbeats taken and not answered yet, by node, term and round: the node's clock then. */
  readonly #unanswered = new Map<string, number>();
  readonly #promised = new Map<number, Promised>();
  /** The greatest index that a node has acknowledged in a term, and the last heartbeat round that it has answered. */
  readonly #acked = new Map<number, number>();
  readonly #answered = new Map<number, number>();
  /** How the receiver of a message of an earlier term was before it took it. */
  #before: string | undefined;
  /** Who may campaign for which term because the leader wanted it. */
  readonly #consents = new Set<number>();

  constructor(nodes: ReadonlyMap<number, SimNode>, promiseMs: number) {
    this.#nodes = nodes;
    this.#promiseMs = promiseMs;
  }

  /** A node is about to take a message. */
  onDelivered(core: RaftCore, { term }: Message): void {
    this.#before = term !== 0 && term < core.term ? stateText(core) : undefined;
  }

  /** A node has taken a message. @param step number of the event @param ownMs the node's clock */
  onTaken(node: SimNode, driver: Driver, message: Message, step: number, ownMs: number): void {
    const core = driver.core!;
    const { type, term, from } = message;
    if (this.#before !== undefined && this.#before !== stateText(core)) {
      fail('stale-message', `has changed by a ${type} of term ${term}, being in ${core.term}`, node);
    }
    const isBehind = this.#before !== undefined && TOLD_IF_BEHIND.has(type);
    if (isBehind && !core.hasReady()) fail('not-told', `does not tell ${from} that term ${term} is over`, node);
    if (type === 'append-response' || type === 'heartbeat-response') this.#checkProgress(node, driver, from);
    if (core.term !== term || core.leader !== from) return;
    if (type !== 'append' && type !== 'heartbeat' && type !== 'snapshot') return;
    this.#heardAt.set(node.id * TERMS_MAX + term, step);
    if (type === 'heartbeat') this.onHeard(node, message, ownMs);
  }

  /** A node has taken a heartbeat of its leader, by its core or for it. */
  onHeard(node: SimNode, { term, context }: Message, ownMs: number): void {
    if (this.#promiseMs === 0) return;
    const key = `${node.id} ${term} ${context}`;
    if (this.#unanswered.has(key)) return;
    if (this.#unanswered.size >= HEARD_MAX) this.#unanswered.delete(this.#unanswered.keys().next().value!);
    this.#unanswered.set(key, ownMs);
  }

  onSend(node: SimNode, { type, term, to, context, index, reject }: Message): void {
    if (type === 'timeout-now') this.#consents.add(to * TERMS_MAX + term + 1);
    if (type === 'append-response' && !reject) raise(this.#acked, node.id * TERMS_MAX + term, index);
    if (type !== 'heartbeat-response') return;
    raise(this.#answered, node.id * TERMS_MAX + term, context);
    const key = `${node.id} ${term} ${context}`;
    const atMs = this.#unanswered.get(key);
    if (atMs === undefined) return;
    this.#unanswered.delete(key);
    const last = this.#promised.get(node.id);
    if (last === undefined || atMs > last.atMs) this.#promised.set(node.id, { term, atMs });
  }

  /** @param ownMs the node's clock */
  onReady(node: SimNode, driver: Driver, { hardState, messages }: Ready, ownMs: number): void {
    const before = driver.log.hardState;
    if (hardState !== undefined && hardState.vote !== 0) {
      if (hardState.vote !== before.vote || hardState.term !== before.term) {
        this.#checkVote(node, hardState.vote, hardState.term, ownMs);
      }
    }
    if (messages.some(({ type }) => type === 'vote' || type === 'pre-vote')) this.#checkCampaign(node, driver);
  }

  /** A write is done: what the core takes for durable since is on the disk. */
  onAppended(node: SimNode, driver: Driver): void {
    const { log, appliedIndex } = driver;
    // The snapshot that is being installed is stored, the entries behind it may have been written before.
    if (log.baseIndex > appliedIndex) return;
    const index = driver.core!.status().durableIndex;
    const term = log.term(index);
    if (term !== undefined && !node.durable.holds(index, term)) {
      fail('undurable', `takes ${term}/${index} for durable, which is not on its disk`, node);
    }
  }

  /** Leases rest on it that who has acknowledged a leader votes for nobody else for a while, over restarts too. */
  #checkVote(node: SimNode, vote: number, term: number, ownMs: number): void {
    const promised = this.#promised.get(node.id);
    if (promised === undefined || promised.term >= term || this.#consents.has(vote * TERMS_MAX + term)) return;
    const sinceMs = ownMs - promised.atMs;
    if (sinceMs >= this.#promiseMs) return;
    const text = `votes for ${vote} in term ${term}, ${Math.round(sinceMs)} ms after a heartbeat of term ${promised.term}`;
    fail('broken-promise', text, node);
  }

  /** Who does not know who votes does not ask for votes. */
  #checkCampaign(node: SimNode, driver: Driver): void {
    const { log, appliedIndex } = driver;
    if (log.baseIndex > appliedIndex) fail('campaign', 'campaigns before its snapshot is installed', node);
    for (let index = appliedIndex + 1; index <= driver.core!.commitIndex; index++) {
      if (log.entries[index - log.baseIndex - 1]?.type !== 'conf-change') continue;
      fail('campaign', `campaigns, while the configuration change at ${index} is committed and not applied`, node);
    }
  }

  /**
   * What a leader takes for acknowledged has been acknowledged to it, and is on that replica's disk, unless a later leader
   * has been there.
   */
  #checkProgress(node: SimNode, driver: Driver, from: number): void {
    const core = driver.core!;
    const progress = core.role === 'leader' ? core.status().progress.find(({ id }) => id === from) : undefined;
    if (progress === undefined || from === node.id) return;
    const { match, ackedRound } = progress;
    const key = from * TERMS_MAX + core.term;
    if (match > (this.#acked.get(key) ?? 0))
      fail('match', `takes ${match} for acknowledged by ${from} in its term`, node);
    if (ackedRound > (this.#answered.get(key) ?? 0)) {
      fail('round', `takes round ${ackedRound} for answered by ${from} in its term`, node);
    }
    const { durable } = this.#nodes.get(from)!;
    const term = driver.log.term(match);
    if (durable.hardState.term > core.term || term === undefined || durable.holds(match, term)) return;
    fail('match', `takes ${term}/${match} for acknowledged by ${from}, which does not have it on its disk`, node);
  }

  /** A read by index is answered: a quorum has taken the leader for the leader since it was asked for, in event `askedAt`. */
  onReadConfirmed(node: SimNode, core: RaftCore, askedAt: number): void {
    const isLeaderFor = (id: number) =>
      id === node.id || (this.#heardAt.get(id * TERMS_MAX + core.term) ?? 0) > askedAt;
    for (const half of halvesOf(core.config)) {
      if (half.filter(isLeaderFor).length * 2 > half.length) continue;
      fail('unconfirmed-read', `answers a read by a round that no quorum of ${half.join(', ')} has taken since`, node);
    }
  }
}

/** All that there is to see of a core, but for its statistics. */
function stateText(core: RaftCore): string {
  const { dropped: _, ...status } = core.status();
  return JSON.stringify(status);
}

function raise(map: Map<number, number>, key: number, value: number): void {
  if (value > (map.get(key) ?? 0)) map.set(key, value);
}

function halvesOf({ voters, votersOutgoing }: ConfState): readonly (readonly number[])[] {
  return votersOutgoing.length === 0 ? [voters] : [voters, votersOutgoing];
}

function fail(kind: string, text: string, node: SimNode): never {
  throw new SimViolation(kind, `Node ${node.id} ${text}.`, node.id);
}
