// Everything is bounded: what is too much is refused by name, before anything of it happens, and taken again when there is
// room. Calls end at their deadline, or when they are aborted, and say what is known of them.
import { expect, test } from 'vitest';
import { bytes, MultiCluster, outcomeOf } from './cluster.js';

const KIB = 'x'.repeat(1000);

/** Keeps machines from applying until the function that is returned is called. */
function holdMachines(c: MultiCluster, numbers: readonly number[], groupId = 0): () => void {
  let release!: () => void;
  const gate = new Promise<void>((resolve) => (release = resolve));
  for (const number of numbers) c.node(number).machine(groupId).gate = gate;
  return () => {
    for (const number of numbers) c.node(number).machine(groupId).gate = undefined;
    release();
  };
}

/** Proposes until `ms` have passed, every 5 ms. */
async function proposeFor(c: MultiCluster, ms: number, text = KIB) {
  const outcomes: ReturnType<typeof outcomeOf>[] = [];
  for (let spent = 0; spent < ms; spent += 5) {
    outcomes.push(outcomeOf(c.node(1).group(0).propose(bytes(text), { timeoutMs: 60_000 })));
    await c.run(5);
  }
  return outcomes;
}

test('proposals of one turn are bounded in bytes, over all groups', async () => {
  const c = await MultiCluster.start({ groups: 3, proposalBytesMax: 5000, preferred: false });
  await c.until(() => [0, 1, 2].every((g) => c.leader(g) !== undefined));
  for (const g of [0, 1, 2]) c.leader(g)!.group(g).transferLeader(1);
  await c.until(() => c.node(1).multi.stats().leading === 3);
  await c.run(100);
  const outcomes = Array.from({ length: 30 }, (_, i) =>
    outcomeOf(
      c
        .node(1)
        .group(i % 3)
        .propose(bytes(KIB)),
    ),
  );
  await c.run(100);
  const codes = outcomes.map(({ code }) => code);
  expect(codes).toEqual([...new Array(5).fill(undefined), ...new Array(25).fill('RAFT_BUSY')]);
  // What was refused did not happen.
  expect([0, 1, 2].map((g) => c.node(1).machine(g).list.length)).toEqual([2, 2, 1]);
  expect(c.node(1).multi.stats().proposalBytes).toBe(0);
  // One that is larger than all the room is taken when nothing else waits.
  expect(
    (
      await c.settled(
        c
          .node(1)
          .group(0)
          .propose(bytes(KIB.repeat(6))),
      )
    ).result,
  ).toBe(3);
  await c.close();
});

test('what is larger than an entry may be is refused', async () => {
  const c = await MultiCluster.start({ entryBytesMax: 100 });
  await c.run(500);
  const group = c.node(1).group(0);
  await expect(group.propose(new Uint8Array(101))).rejects.toMatchObject({ code: 'RAFT_ENTRY_TOO_LARGE' });
  expect((await c.settled(group.propose(new Uint8Array(100).fill(97)))).result).toBe(1);
  await c.close();
});

test('followers that cannot apply stop acknowledging, their leader refuses then, and takes proposals again later', async () => {
  const c = await MultiCluster.start({ unappliedBytesMax: 20_000, uncommittedBytesMax: 50_000 });
  await c.run(500);
  const release = holdMachines(c, [2, 3]);
  const outcomes = await proposeFor(c, 1000);
  for (const number of [2, 3]) {
    const { unappliedBytes } = c.node(number).multi.stats();
    expect(unappliedBytes).toBeGreaterThan(20_000);
    expect(unappliedBytes).toBeLessThan(45_000);
  }
  const refused = outcomes.filter(({ code }) => code === 'RAFT_PROPOSAL_DROPPED').length;
  expect(refused).toBeGreaterThan(100);
  expect(c.node(1).group(0).role).toBe('leader');
  release();
  await c.run(1000);
  const more = await proposeFor(c, 100);
  await c.run(500);
  expect(more.map(({ code }) => code)).toEqual(new Array(20).fill(undefined));
  expect(outcomes.every(({ settled }) => settled)).toBe(true);
  const taken = outcomes.length - refused + more.length;
  for (const node of c.nodes) expect(node.machine(0).list).toHaveLength(taken);
  expect(c.nodes.map(({ multi }) => multi.stats().unappliedBytes)).toEqual([0, 0, 0]);
  await c.close();
});

test('a leader that cannot apply itself refuses, over all groups, and takes proposals again later', async () => {
  const c = await MultiCluster.start({ unappliedBytesMax: 20_000, groups: 4 });
  await c.run(500);
  const release = holdMachines(c, [1]);
  const outcomes = await proposeFor(c, 1000);
  expect(c.node(1).multi.stats().unappliedBytes).toBeLessThan(30_000);
  const busy = outcomes.filter(({ code }) => code === 'RAFT_BUSY').length;
  expect(busy).toBeGreaterThan(100);
  await expect(c.node(1).group(3).propose(bytes('other group'))).rejects.toMatchObject({ code: 'RAFT_BUSY' });
  release();
  await c.run(100);
  expect(outcomes.filter(({ value }) => value !== undefined)).toHaveLength(outcomes.length - busy);
  const more = await proposeFor(c, 100);
  await c.run(100);
  expect(more.map(({ code }) => code)).toEqual(new Array(20).fill(undefined));
  await c.close();
});

test('a deadline ends what was sent as unknown, and a read as not done', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  for (const peer of ['n2', 'n3']) c.network.disconnect('n1', peer);
  const group = c.node(1).group(0);
  const proposal = outcomeOf(group.propose(bytes('a'), { timeoutMs: 200 }));
  const change = outcomeOf(
    group.changeConfig({ transition: 'auto', steps: [{ type: 'add-learner', id: 9 }] }, { timeoutMs: 200 }),
  );
  const read = outcomeOf(group.read({ timeoutMs: 200 }));
  await c.run(190);
  expect([proposal.settled, change.settled, read.settled]).toEqual([false, false, false]);
  await c.run(100);
  expect([proposal.code, change.code, read.code]).toEqual([
    'RAFT_OUTCOME_UNKNOWN',
    'RAFT_OUTCOME_UNKNOWN',
    'RAFT_TIMEOUT',
  ]);
  // It happens all the same.
  for (const peer of ['n2', 'n3']) c.network.reconnect('n1', peer);
  await c.run(1000);
  expect(c.node(2).machine(0).list).toEqual(['a']);
  await c.close();
});

test('what is aborted before its turn does not happen; what was sent by then is unknown', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const group = c.node(1).group(0);
  const reason = new Error('not wanted any more');
  await expect(group.propose(bytes('a'), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  await expect(group.read({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  await expect(
    group.changeConfig(
      { transition: 'auto', steps: [{ type: 'add-learner', id: 9 }] },
      { signal: AbortSignal.abort(reason) },
    ),
  ).rejects.toBe(reason);
  const queued = new AbortController();
  const waiting = outcomeOf(group.propose(bytes('b'), { signal: queued.signal }));
  queued.abort(reason);
  await c.run(100);
  expect(waiting.error).toBe(reason);
  expect(group.status().lastIndex).toBe(group.appliedIndex);
  expect(c.node(1).machine(0).list).toEqual([]);
  expect(group.status().config.learners).toEqual([]);
  expect(c.node(1).multi.stats().proposalBytes).toBe(0);

  for (const peer of ['n2', 'n3']) c.network.disconnect('n1', peer);
  const sent = new AbortController();
  const proposal = outcomeOf(group.propose(bytes('c'), { signal: sent.signal }));
  const read = outcomeOf(group.read({ signal: sent.signal }));
  await c.run(5);
  sent.abort(reason);
  await c.run(1);
  expect(proposal).toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN', error: { cause: reason } });
  expect(read.error).toBe(reason);
  await c.close();
});

test('a proposal whose place another one took is lost, and one that got through is answered, by whoever led then', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  for (const peer of ['n2', 'n3']) c.network.disconnect('n1', peer);
  const lost = Array.from({ length: 3 }, (_, i) =>
    outcomeOf(
      c
        .node(1)
        .group(0)
        .propose(bytes(`lost ${i}`)),
    ),
  );
  await c.until(() => c.node(2).group(0).role === 'leader' || c.node(3).group(0).role === 'leader', 6000);
  const leader = [c.node(2), c.node(3)].find((node) => node.group(0).role === 'leader')!;
  const kept = Array.from({ length: 5 }, (_, i) => outcomeOf(leader.group(0).propose(bytes(`kept ${i}`))));
  await c.run(50);
  for (const peer of ['n2', 'n3']) c.network.reconnect('n1', peer);
  await c.run(2000);
  expect(lost.map(({ code }) => code)).toEqual(new Array(3).fill('RAFT_PROPOSAL_LOST'));
  expect(kept.map(({ value }) => value?.result)).toEqual([1, 2, 3, 4, 5]);
  expect(c.node(1).machine(0).list).toEqual(['kept 0', 'kept 1', 'kept 2', 'kept 3', 'kept 4']);
  await c.close();
});

test('reads that wait for an answer are bounded in number, of each group', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  for (const peer of ['n2', 'n3']) c.network.disconnect('n1', peer);
  const group = c.node(1).group(0);
  const reads = Array.from({ length: 65_537 }, () => outcomeOf(group.read({ timeoutMs: 200 })));
  await c.run(100);
  expect(reads.slice(0, 65_536).some(({ settled }) => settled)).toBe(false);
  expect(reads[65_536]!.code).toBe('RAFT_BUSY');
  await c.run(200);
  expect(new Set(reads.slice(0, 65_536).map(({ code }) => code))).toEqual(new Set(['RAFT_TIMEOUT']));
  for (const peer of ['n2', 'n3']) c.network.reconnect('n1', peer);
  await c.until(() => c.leader(0) !== undefined);
  expect(await c.settled(c.leader(0)!.group(0).read())).toBeGreaterThan(0);
  await c.close();
});

test('a deadline that is no number is refused before anything happens', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const group = c.node(1).group(0);
  for (const timeoutMs of [Number.NaN, -1]) {
    const code = 'RAFT_MISUSE';
    await expect(group.propose(bytes('a'), { timeoutMs })).rejects.toMatchObject({ code });
    await expect(group.read({ timeoutMs })).rejects.toMatchObject({ code });
    const steps = [{ type: 'add-learner', id: 9 }] as const;
    await expect(group.changeConfig({ transition: 'auto', steps }, { timeoutMs })).rejects.toMatchObject({ code });
  }
  await c.run(500);
  expect(c.node(1).machine(0).list).toEqual([]);
  expect(c.node(1).multi.stats().proposalBytes).toBe(0);
  await c.close();
});

test('a transport that throws loses frames, and is not taken for a log that fails', async () => {
  const c = await MultiCluster.start();
  await c.run(500);
  const { multi } = c.node(1);
  const { transport } = multi.options;
  const send = transport.send.bind(transport);
  transport.send = () => {
    throw new Error('not now');
  };
  const outcome = outcomeOf(c.node(1).group(0).propose(bytes('a')));
  await c.run(300);
  transport.send = send;
  await c.until(() => outcome.settled);
  expect(outcome.code).toBeUndefined();
  expect(multi.stats().framesDropped).toBeGreaterThan(0);
  await c.close();
});
