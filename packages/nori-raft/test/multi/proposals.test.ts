// Proposals whose leader is replaced, and comes back.
import { expect, test } from 'vitest';
import { type Applied, ProposalQueue } from '../../src/multi/proposals.js';
import { Waiter } from '../../src/multi/waiting.js';
import { bytes, MultiCluster, outcomeOf } from './cluster.js';

type Outcome = ReturnType<typeof outcomeOf<Applied<string>>>;

/** Appends `count` proposals from (term, first) on. */
function append(queue: ProposalQueue<string>, term: number, first: number, count: number): Outcome[] {
  const outcomes = Array.from({ length: count }, () => {
    const promise = Waiter.promise<Applied<string>>(
      1000,
      undefined,
      () => {},
      (waiter) => queue.push(bytes('x'), waiter),
    );
    return outcomeOf(promise);
  });
  queue.append(() => ({ term, index: first + count - 1 }));
  return outcomes;
}

test('a leader that comes back with a shorter log answers its new proposals, and knows that the old ones are lost', async () => {
  const queue = new ProposalQueue<string>();
  const old = append(queue, 2, 10, 5);
  queue.applied(2, 10, 'a');
  // Another leader put an entry of its own at 11, and lost its office again: 12 is where this one goes on.
  const [fresh] = append(queue, 4, 13, 1);
  queue.applied(4, 13, 'b');
  await Promise.resolve();
  expect(fresh).toMatchObject({ settled: true, value: { term: 4, index: 13, result: 'b' } });
  expect(old[0]).toMatchObject({ value: { term: 2, index: 10, result: 'a' } });
  expect(old.slice(1).map(({ code }) => code)).toEqual(new Array(4).fill('RAFT_PROPOSAL_LOST'));
  expect(queue.pending).toBe(0);
});

test('a proposal that the next leader overwrote is known to be lost as soon as what took its place is applied', async () => {
  const c = await MultiCluster.start({ preferred: false });
  await c.until(() => c.leader(0) !== undefined);
  await c.run(100);
  const old = c.leader(0)!;
  for (const other of c.nodes) if (other !== old) c.network.disconnect(old.id, other.id);
  const lost = outcomeOf(old.group(0).propose(bytes('never'), { timeoutMs: 60_000 }));
  await c.until(
    () => c.leader(0) !== undefined && c.nodes.some((node) => node !== old && node.group(0).role === 'leader'),
  );
  expect(lost.settled).toBe(false);
  for (const other of c.nodes) if (other !== old) c.network.reconnect(old.id, other.id);
  // Nobody proposes anything else.
  await c.run(3000);
  expect(lost.code).toBe('RAFT_PROPOSAL_LOST');
  await c.close();
});

test('an empty proposal is refused: entries without data are those of new leaders', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const group = c.node(1).group(0);
  const empty = outcomeOf(group.propose(new Uint8Array(0)));
  const next = outcomeOf(group.propose(bytes('a')));
  await c.run(20);
  expect(empty.code).toBe('RAFT_MISUSE');
  expect(next.value?.result).toBe(1);
  await c.close();
});
