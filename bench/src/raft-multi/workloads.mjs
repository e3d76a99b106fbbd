// What is measured of MultiRaft. Every workload runs in a process of its own, or in that and three more.
import { setTimeout as sleep } from 'node:timers/promises';
import { openCluster } from './cluster.mjs';

const NODES = 3;

const withCluster = async ({ form, dir }, use) => {
  const cluster = await openCluster(form, dir);
  try {
    return await use(cluster);
  } finally {
    await cluster.close();
  }
};

/** CPU time of all nodes while `work` runs, as a share of one core, percent. */
const withCpu = async (cluster, work) => {
  const before = await cluster.all('stats');
  const result = await work();
  const after = await cluster.all('stats');
  const percents = after.map(
    (stats, i) => (stats.cpuMicros - before[i].cpuMicros) / (stats.nowMs - before[i].nowMs) / 10,
  );
  const cpuPercent = percents.reduce((sum, percent) => sum + percent, 0) / cluster.nodesPerProcess;
  const writes = after.reduce((sum, stats, i) => sum + stats.writes - before[i].writes, 0);
  return { ...result, cpuPercent, writes };
};

/** One group, whose leader is called. */
const oneGroup = (job) =>
  withCluster(job, async (cluster) => {
    await cluster.createGroups({ count: 1, leader: 1 });
    const { callers, bytes, warmupMs, durationMs } = job;
    return withCpu(cluster, () => cluster.node(1).call('proposeInTurns', { callers, bytes, warmupMs, durationMs }));
  });

/** Callers at all nodes, each at the groups that its node leads. */
const manyGroups = (job) =>
  withCluster(job, async (cluster) => {
    const { groups, callers, bytes, warmupMs, durationMs } = job;
    await cluster.createGroups({ count: groups });
    const share = (i) => Math.floor((callers + i) / NODES);
    return withCpu(cluster, async () => {
      const results = await Promise.all(
        cluster.nodes.map((node, i) => node.call('proposeInTurns', { callers: share(i), bytes, warmupMs, durationMs })),
      );
      const sum = (name) => results.reduce((total, result) => total + result[name], 0);
      const most = (name) => Math.max(...results.map((result) => result[name]));
      return { perSecond: sum('perSecond'), failed: sum('failed'), p50Ms: most('p50Ms'), p99Ms: most('p99Ms') };
    });
  });

/** Groups that have seen some traffic and see none now. */
const idle = (job) =>
  withCluster(job, async (cluster) => {
    const { groups, bytes, entries, durationMs } = job;
    // Code and what is made once are none of the groups'.
    await cluster.createGroups({ first: groups + 1, count: 6 });
    await cluster.all('proposeToAll', { bytes, times: entries });
    await sleep(2000);
    const before = await cluster.node(1).call('heap');
    await cluster.all('createGroups', { count: groups, led: false });
    await cluster.all('createGroups', { count: groups, led: true });
    await cluster.awaitLeaders({ count: groups + 6 });
    await cluster.all('proposeToAll', { bytes, times: entries });
    // Until all logs are compacted and nothing has to be told any more.
    await sleep(3000);
    const after = await cluster.node(1).call('heap');
    const { cpuPercent, elections } = await withCpu(cluster, async () => {
      const electionsBefore = await cluster.all('stats');
      await sleep(durationMs);
      const electionsAfter = await cluster.all('stats');
      return {
        elections: electionsAfter.reduce((sum, { elections }, i) => sum + elections - electionsBefore[i].elections, 0),
      };
    });
    return {
      cpuPercent: cpuPercent / NODES,
      heapKib: (after - before) / cluster.nodesPerProcess / groups / 1024,
      elections,
    };
  });

/** A node is killed; until the others know a leader among them for every group. */
const failover = (job) =>
  withCluster(job, async (cluster) => {
    const { groups, bytes } = job;
    await cluster.createGroups({ count: groups });
    await cluster.all('proposeToAll', { bytes });
    await sleep(1000);
    const startMs = Date.now();
    const killed = cluster.node(3).kill();
    const survivors = [cluster.node(1), cluster.node(2)];
    const ledMs = await Promise.all(survivors.map((node) => node.call('ledBy', { alive: [1, 2], count: groups })));
    const answeredMs = await Promise.all(survivors.map((node) => node.call('proposeToAll', { bytes })));
    await killed;
    return {
      seconds: (Math.max(...ledMs) - startMs) / 1000,
      answeredSeconds: (Math.max(...answeredMs) - startMs) / 1000,
    };
  });

/** Reads at one node, of as many groups as it leads; all nodes are otherwise idle. */
const leaseReads = (job) =>
  withCluster(job, async (cluster) => {
    const { groups, distinct, warmupMs, durationMs } = job;
    await cluster.createGroups({ count: groups, leader: 1 });
    return withCpu(cluster, () => cluster.node(1).call('readByLease', { distinct, warmupMs, durationMs }));
  });

/** A replica of another group joins whose state is large, while one group is proposed to at a steady rate. */
const snapshot = (job) =>
  withCluster(job, async (cluster) => {
    const { bytes, perSecond, snapshotBytes, warmupMs, beforeMs } = job;
    const leader = 1;
    const large = 2;
    await cluster.createGroups({ count: 1, leader });
    const isFirst = { groupId: large, isFirst: true, bytes: snapshotBytes, leader };
    await cluster.node(2).call('createLargeGroup', isFirst);
    await cluster.node(1).call('createLargeGroup', isFirst);
    await sleep(1500);
    await cluster.node(1).call('proposeToAll', { bytes, times: 10 });
    await sleep(1500);
    await cluster.node(1).call('startRate', { groupId: 1, perSecond, bytes });
    await sleep(warmupMs);
    await cluster.node(1).call('markRate');
    await sleep(beforeMs);
    const before = await cluster.node(1).call('markRate');
    const elections = async () => (await cluster.all('stats')).reduce((sum, stats) => sum + stats.elections, 0);
    const electionsBefore = await elections();
    const startMs = performance.now();
    const during = await withCpu(cluster, async () => {
      await cluster.node(3).call('createLargeGroup', { ...isFirst, isFirst: false });
      const received = await cluster.node(3).call('installed');
      if (received !== snapshotBytes) throw new Error(`${received} bytes of ${snapshotBytes} were installed.`);
      return cluster.node(1).call('markRate');
    });
    const seconds = (performance.now() - startMs) / 1000;
    const electionsDuring = (await elections()) - electionsBefore;
    await cluster.node(1).call('stopRate');
    return { ratio: during.p99Ms / before.p99Ms, elections: electionsDuring, seconds, before, during };
  });

export const multiWorkloads = { oneGroup, manyGroups, idle, failover, leaseReads, snapshot };
