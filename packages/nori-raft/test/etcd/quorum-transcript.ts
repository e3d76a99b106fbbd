// etcd's recorded quorum tests: `committed` draws what each voter has acknowledged and prints the committed index, `vote`
// prints the outcome. Arguments: cfg=(ids), cfgj=(ids)|zero for a joint configuration, idx=(…) or votes=(y|n|_), one for
// each voter in the order of its first mention; _ means that nothing was heard.
import {
  committedIndex,
  jointVote,
  majorityCommitted,
  majorityVote,
  UNLIMITED,
  type VoteResult,
} from '../../src/quorum.js';
import { type Directive, parseId } from './data-driven.js';

const VOTE_NAMES: Readonly<Record<VoteResult, string>> = { won: 'VoteWon', lost: 'VoteLost', pending: 'VotePending' };

type Acked = ReadonlyMap<number, number>;

/** What one command prints. */
export function runQuorumDirective(directive: Directive): string {
  const first: number[] = [];
  const second: number[] = [];
  let joint = false;
  // What was heard of each voter: an index, or 1 for no and 2 for yes; 0: nothing.
  const heard: number[] = [];
  for (const { key, values } of directive.args) {
    for (const value of values) {
      if (key === 'cfg') first.push(parseId(value));
      else if (key === 'cfgj') {
        joint = true;
        if (value !== 'zero') second.push(parseId(value));
      } else if (key === 'idx') heard.push(value === '_' ? 0 : parseId(value));
      else if (key === 'votes') heard.push({ _: 0, n: 1, y: 2 }[value] ?? fail(`unknown vote: ${value}`));
      else fail(`unknown argument: ${key}`);
    }
  }
  const ids = [...new Set([...first, ...second])];
  const voters = sorted(new Set(first));
  const outgoing = sorted(new Set(second));
  if (ids.length !== heard.length) {
    const all = sorted(new Set(ids)).map((id) => `${id}:{}`);
    return `error: mismatched input (explicit or _) for voters map[${all.join(' ')}]: [${heard.join(' ')}]`;
  }
  const acked = new Map<number, number>();
  for (const [i, id] of ids.entries()) if (heard[i] !== 0) acked.set(id, heard[i]!);
  if (directive.command === 'committed')
    return joint ? committedJoint(voters, outgoing, acked) : committed(voters, acked);
  if (directive.command === 'vote') return vote(voters, outgoing, joint, acked);
  return fail(`unknown command: ${directive.command}`);
}

function committed(voters: readonly number[], acked: Acked): string {
  const of = (id: number) => acked.get(id);
  const index = majorityCommitted(voters, of);
  let out = drawing(voters, acked);
  const check = (other: number, how: string): void => {
    if (other !== index) out += `${indexName(other)} <-- ${how}\n`;
  };
  check(slowCommitted(voters, acked), 'via alternative computation');
  check(committedIndex(voters, [], of), 'via zero-joint quorum');
  check(committedIndex(voters, voters, of), 'via self-joint quorum');
  for (const id of voters) {
    // Lowering an acknowledgement that is below the committed index changes nothing.
    const own = acked.get(id) ?? 0;
    if (own === 0 || own >= index) continue;
    for (const lower of [own - 1, 0]) {
      const lowered = new Map(acked).set(id, lower);
      check(
        majorityCommitted(voters, (one) => lowered.get(one)),
        `overlaying ${id}->${lower}`,
      );
    }
  }
  return `${out}${indexName(index)}\n`;
}

function committedJoint(voters: readonly number[], outgoing: readonly number[], acked: Acked): string {
  const of = (id: number) => acked.get(id);
  const index = committedIndex(voters, outgoing, of);
  const swapped = committedIndex(outgoing, voters, of);
  const note = swapped === index ? '' : `${indexName(swapped)} <-- via symmetry\n`;
  return `${drawing(sorted(new Set([...voters, ...outgoing])), acked)}${note}${indexName(index)}\n`;
}

function vote(voters: readonly number[], outgoing: readonly number[], joint: boolean, heard: Acked): string {
  const votes = (id: number) => (heard.has(id) ? heard.get(id) === 2 : undefined);
  if (!joint) return `${VOTE_NAMES[majorityVote(voters, votes)]}\n`;
  const result = jointVote(voters, outgoing, votes);
  const swapped = jointVote(outgoing, voters, votes);
  const note = swapped === result ? '' : `${VOTE_NAMES[swapped]} <-- via symmetry\n`;
  return `${note}${VOTE_NAMES[result]}\n`;
}

/** A bar for each voter: as long as there are voters behind it. */
function drawing(voters: readonly number[], acked: Acked): string {
  const count = voters.length;
  if (count === 0) return '<empty majority quorum>';
  const rows = voters.map((id) => {
    const index = acked.get(id) ?? 0;
    const behind = voters.filter((other) => (acked.get(other) ?? 0) < index).length;
    const bar = acked.has(id) ? `${'x'.repeat(behind)}>${' '.repeat(count - behind)}` : `?${' '.repeat(count)}`;
    return `${bar} ${String(index).padStart(5)}    (id=${id.toString(16)})\n`;
  });
  return `${' '.repeat(count)}    idx\n${rows.join('')}`;
}

function slowCommitted(voters: readonly number[], acked: Acked): number {
  if (voters.length === 0) return UNLIMITED;
  const indexes = voters.map((id) => acked.get(id) ?? 0);
  return Math.max(
    0,
    ...indexes.filter((index) => indexes.filter((other) => other >= index).length > indexes.length / 2),
  );
}

function indexName(index: number): string {
  return index === UNLIMITED ? '∞' : String(index);
}

function sorted(ids: ReadonlySet<number>): number[] {
  return [...ids].sort((a, b) => a - b);
}

function fail(why: string): never {
  throw new Error(why);
}
