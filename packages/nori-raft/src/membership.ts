// Who votes, who listens, and how that changes: the rules of joint consensus (Ongaro's dissertation, 4.3), without any
// log. A configuration is simple, `voters`, or joint, `voters` and `votersOutgoing`, where decisions need both.
//
//            changeSimple: one voter, any learners
//               +-----+
//               v     |      enterJoint: any change
//              simple ------------------------------> joint
//                 ^                                     |
//                 +-------------------------------------+
//                   leaveJoint: `votersOutgoing` goes, `learnersNext` become learners
//
// A replica that stops to be a voter and becomes a learner while the old half still counts its vote waits in
// `learnersNext`, because nobody may be voter and learner at once. Functions here never change their arguments.
import { RaftError } from './errors.js';
import { type InflightLimits, Progress } from './progress.js';
import type { ConfChange, ConfChangeStep, ConfState } from './types.js';

/** A configuration, and what the leader knows of each replica in it. */
export interface Membership {
  readonly config: ConfState;
  /** One for each replica that `config` names, ascending by id. */
  readonly progress: readonly Progress[];
}

/** Nobody: where a new group begins. */
export const EMPTY_CONFIG: ConfState = Object.freeze({
  voters: Object.freeze([]),
  votersOutgoing: Object.freeze([]),
  learners: Object.freeze([]),
  learnersNext: Object.freeze([]),
  autoLeave: false,
});

/** A membership while it is being changed. */
interface Draft {
  readonly voters: Set<number>;
  readonly votersOutgoing: ReadonlySet<number>;
  readonly learners: Set<number>;
  readonly learnersNext: Set<number>;
  readonly progress: Map<number, Progress>;
  readonly lastIndex: number;
  readonly limits: InflightLimits;
}

/**
 * Applies steps that together add or remove at most one voter; learners count as none.
 * @param lastIndex last index of the log: new replicas are probed there first
 * @throws RaftError RAFT_CONF_CHANGE_INVALID
 */
export function changeSimple(
  m: Membership,
  lastIndex: number,
  limits: InflightLimits,
  steps: readonly ConfChangeStep[],
): Membership {
  if (isJoint(m.config)) throw refused("can't apply simple config change in joint config");
  const draft = draftOf(m, [], lastIndex, limits);
  applySteps(draft, steps);
  let changed = 0;
  for (const id of m.config.voters) if (!draft.voters.has(id)) changed++;
  for (const id of draft.voters) if (!m.config.voters.includes(id)) changed++;
  if (changed > 1) throw refused('more than one voter changed without entering joint config');
  return finish(draft, false);
}

/**
 * Makes the configuration joint: the voters of now become the outgoing half, and `steps` change the other one.
 * @throws RaftError RAFT_CONF_CHANGE_INVALID
 */
export function enterJoint(
  m: Membership,
  lastIndex: number,
  limits: InflightLimits,
  autoLeave: boolean,
  steps: readonly ConfChangeStep[],
): Membership {
  if (isJoint(m.config)) throw refused('config is already joint');
  if (m.config.voters.length === 0) throw refused("can't make a zero-voter config joint");
  const draft = draftOf(m, m.config.voters, lastIndex, limits);
  applySteps(draft, steps);
  return finish(draft, autoLeave);
}

/**
 * Drops the outgoing half of a joint configuration.
 * @throws RaftError RAFT_CONF_CHANGE_INVALID
 */
export function leaveJoint(m: Membership): Membership {
  const { config } = m;
  if (!isJoint(config)) throw refused("can't leave a non-joint config");
  const learners = [...config.learners, ...config.learnersNext].sort(ascending);
  const progress: Progress[] = [];
  for (const replica of m.progress) {
    const learner = learners.includes(replica.id);
    if (!learner && !config.voters.includes(replica.id)) continue;
    const copy = replica.clone();
    copy.learner = learner;
    progress.push(copy);
  }
  return {
    config: { voters: config.voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false },
    progress,
  };
}

/**
 * Applies a change as its transition asks: leaves a joint configuration when it is empty, enters one when it has
 * several steps or says so, and is simple otherwise.
 * @throws RaftError RAFT_CONF_CHANGE_INVALID
 */
export function applyChange(m: Membership, lastIndex: number, limits: InflightLimits, change: ConfChange): Membership {
  const { transition, steps } = change;
  if (transition !== 'auto' || steps.length > 1) {
    return enterJoint(m, lastIndex, limits, transition !== 'joint-explicit', steps);
  }
  return steps.length === 0 ? leaveJoint(m) : changeSimple(m, lastIndex, limits, steps);
}

/**
 * The membership of a stored configuration.
 * @throws RaftError RAFT_CORRUPT_STATE when the configuration contradicts itself, see {@link configProblem}
 */
export function restoreMembership(config: ConfState, lastIndex: number, limits: InflightLimits): Membership {
  const problem = configProblem(config);
  if (problem !== undefined) {
    throw new RaftError(
      'RAFT_CORRUPT_STATE',
      `The stored configuration contradicts itself: ${problem}. Do not start this replica; replace it by a new one.`,
    );
  }
  const ids = new Set([...config.voters, ...config.votersOutgoing, ...config.learners]);
  const progress = [...ids]
    .sort(ascending)
    .map((id) => newProgress(id, lastIndex, config.learners.includes(id), limits));
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = config;
  return { config: { voters, votersOutgoing, learners, learnersNext, autoLeave }, progress };
}

/** What makes a configuration impossible, or undefined when it is sound. The empty one is. */
export function configProblem(config: ConfState): string | undefined {
  const { voters, votersOutgoing, learners, learnersNext } = config;
  for (const ids of [voters, votersOutgoing, learners, learnersNext]) {
    if (!Array.isArray(ids)) return 'a list of replicas is missing';
    let before = 0;
    for (const id of ids) {
      if (!Number.isSafeInteger(id) || id <= before) return 'replica ids are not ascending positive integers';
      before = id;
    }
  }
  if (typeof config.autoLeave !== 'boolean') return 'autoLeave is missing';
  if (voters.length === 0 && (votersOutgoing.length > 0 || learners.length > 0)) return 'there are no voters';
  const incoming = new Set(voters);
  const outgoing = new Set(votersOutgoing);
  for (const id of learners) {
    if (incoming.has(id) || outgoing.has(id)) return `${id} is both voter and learner`;
  }
  for (const id of learnersNext) {
    if (!outgoing.has(id)) return `${id} is to become a learner, but is no outgoing voter`;
    if (incoming.has(id)) return `${id} is to become a learner, but stays a voter`;
  }
  if (config.autoLeave && votersOutgoing.length === 0) return 'it is to be left, but is not joint';
  return undefined;
}

function isJoint(config: ConfState): boolean {
  return config.votersOutgoing.length > 0;
}

function draftOf(m: Membership, votersOutgoing: readonly number[], lastIndex: number, limits: InflightLimits): Draft {
  return {
    voters: new Set(m.config.voters),
    votersOutgoing: new Set(votersOutgoing),
    learners: new Set(m.config.learners),
    learnersNext: new Set(m.config.learnersNext),
    progress: new Map(m.progress.map((replica) => [replica.id, replica.clone()])),
    lastIndex,
    limits,
  };
}

function finish(draft: Draft, autoLeave: boolean): Membership {
  return {
    config: {
      voters: [...draft.voters].sort(ascending),
      votersOutgoing: [...draft.votersOutgoing],
      learners: [...draft.learners].sort(ascending),
      learnersNext: [...draft.learnersNext].sort(ascending),
      autoLeave,
    },
    progress: [...draft.progress.values()].sort((a, b) => a.id - b.id),
  };
}

function applySteps(draft: Draft, steps: readonly ConfChangeStep[]): void {
  for (const { type, id } of steps) {
    // Id 0 names nobody: a step that was struck out.
    if (id === 0) continue;
    if (type === 'add-voter') makeVoter(draft, id);
    else if (type === 'add-learner') makeLearner(draft, id);
    else if (type === 'remove') remove(draft, id);
  }
  if (draft.voters.size === 0) throw refused('removed all voters');
}

function makeVoter(draft: Draft, id: number): void {
  const replica = draft.progress.get(id);
  if (replica === undefined) draft.progress.set(id, newProgress(id, draft.lastIndex, false, draft.limits));
  else replica.learner = false;
  draft.learners.delete(id);
  draft.learnersNext.delete(id);
  draft.voters.add(id);
}

function makeLearner(draft: Draft, id: number): void {
  const replica = draft.progress.get(id);
  if (replica?.learner === true) return;
  draft.voters.delete(id);
  if (draft.votersOutgoing.has(id)) {
    draft.learnersNext.add(id);
    return;
  }
  draft.learners.add(id);
  if (replica === undefined) draft.progress.set(id, newProgress(id, draft.lastIndex, true, draft.limits));
  else replica.learner = true;
}

function remove(draft: Draft, id: number): void {
  draft.voters.delete(id);
  draft.learners.delete(id);
  draft.learnersNext.delete(id);
  // The old half still counts its acknowledgements.
  if (!draft.votersOutgoing.has(id)) draft.progress.delete(id);
}

function newProgress(id: number, lastIndex: number, learner: boolean, limits: InflightLimits): Progress {
  const replica = new Progress(id, 0, Math.max(lastIndex, 1), learner, limits);
  // It had no chance to be heard of yet; else the next check of the quorum might depose the leader.
  replica.recentActive = true;
  return replica;
}

function ascending(a: number, b: number): number {
  return a - b;
}

function refused(why: string): RaftError {
  return new RaftError('RAFT_CONF_CHANGE_INVALID', `Configuration change refused: ${why}.`);
}
