// etcd's recorded tests of configuration changes: `simple`, `enter-joint [autoleave=true]` and `leave-joint`, with steps
// such as `v1 l2 r3 u4` as input, print the configuration and what is known of each replica, or why not.
import { RaftError } from '../../src/errors.js';
import { changeSimple, EMPTY_CONFIG, enterJoint, leaveJoint, type Membership } from '../../src/membership.js';
import type { ConfChangeStep, ConfChangeType, ConfState } from '../../src/types.js';
import { type Directive, parseBoolean, parseId } from './data-driven.js';
import { describeProgress } from './description.js';

const LIMITS = { appendsMax: 10, bytesMax: Number.MAX_SAFE_INTEGER };

const STEP_TYPES: Readonly<Record<string, ConfChangeType>> = {
  v: 'add-voter',
  l: 'add-learner',
  r: 'remove',
  u: 'update',
};

/** Steps from `v1 l2 r3 u4`. @throws Error with etcd's text */
export function parseSteps(text: string): ConfChangeStep[] {
  const words = text.trim();
  if (words === '') return [];
  return words.split(' ').map((word) => {
    if (word.length < 2) throw new Error(`unknown token ${word}`);
    const type = STEP_TYPES[word[0]!];
    if (type === undefined) throw new Error(`unknown input: ${word}`);
    return { type, id: parseId(word.slice(1)) };
  });
}

/** A fresh transcript: runs its commands one after the other. */
export function membershipTranscript(): (directive: Directive) => string {
  let members: Membership = { config: EMPTY_CONFIG, progress: [] };
  let lastIndex = -1;
  return ({ command, args, input }) => {
    lastIndex++;
    let steps: ConfChangeStep[];
    try {
      steps = parseSteps(input);
    } catch (error) {
      return (error as Error).message;
    }
    try {
      if (command === 'simple') members = changeSimple(members, lastIndex, LIMITS, steps);
      else if (command === 'enter-joint') {
        const autoLeave = args.find(({ key }) => key === 'autoleave')?.values[0] ?? 'false';
        members = enterJoint(members, lastIndex, LIMITS, parseBoolean(autoLeave), steps);
      } else if (command === 'leave-joint') {
        if (steps.length > 0) return 'this command takes no input\n';
        members = leaveJoint(members);
      } else return 'unknown command';
    } catch (error) {
      if (!(error instanceof RaftError) || error.code !== 'RAFT_CONF_CHANGE_INVALID') throw error;
      return `${error.message.replace(/^Configuration change refused: (.*)\.$/, '$1')}\n`;
    }
    const progress = members.progress.map((replica) => describeProgress(replica.status()));
    return `${describeConfig(members.config)}\n${progress.join('')}`;
  };
}

function describeConfig(config: ConfState): string {
  const list = (ids: readonly number[]) => `(${ids.map((id) => id.toString(16)).join(' ')})`;
  let out = `voters=${list(config.voters)}`;
  if (config.votersOutgoing.length > 0) out += `&&${list(config.votersOutgoing)}`;
  if (config.learners.length > 0) out += ` learners=${list(config.learners)}`;
  if (config.learnersNext.length > 0) out += ` learners_next=${list(config.learnersNext)}`;
  return config.autoLeave ? `${out} autoleave` : out;
}
