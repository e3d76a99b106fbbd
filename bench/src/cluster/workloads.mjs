// What is measured of a cluster. Each measurement starts new servers with empty directories, writes all keys first, and removes
// everything at the end. Results carry what the table's notes tell.
import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSecondsOf, peakResidentMibOf, residentMibOf } from '../process-stats.mjs';
import { syncDisks } from '../storage/children.mjs';
import { inEmptyDirectory } from '../storage/directories.mjs';
import { assertClean, generate } from './generate.mjs';
import { keysOfAllShards } from './keys.mjs';
import { openNori } from './nori-cluster.mjs';
import { openEtcd, openRedis } from './peers.mjs';
import { assertAlive } from './servers.mjs';

const KEYS = 100_000;
const VALUE_BYTES = 1024;
const CALLERS_OF_WRITE_ALL = 512;
const CLIENTS_OF_WRITE_ALL = 16;
/** Flushes and compactions of what was written are over by then. */
const SETTLE_MS = 3000;
/** So many connections of etcd's Go client are tried. */
const CLIENTS_TRIED = [8, 16, 32, 64];
const TRIAL = { warmupMs: 500, durationMs: 2000 };
const QUICK_TRIAL = { warmupMs: 200, durationMs: 500 };
/** How long writes go on before and after the node is killed. */
const BEFORE_KILL_MS = 5000;
const AFTER_KILL_MS = 20_000;

const OPEN = { nori: openNori, etcd: openEtcd, etcd3: openEtcd, redis: openRedis };

const base = (plan) => ({ keys: plan.quick ? KEYS / 10 : KEYS, valueBytes: VALUE_BYTES });
const timesOf = ({ warmupS, durationS }) => ({ warmupMs: warmupS * 1000, durationMs: durationS * 1000 });

/** Runs `use(cluster)` with new servers that hold all keys. */
const withCluster = (store, nodes, plan, use) =>
  inEmptyDirectory(store, async (dir) => {
    mkdirSync(dir, { recursive: true });
    syncDisks();
    const servers = [];
    try {
      const execArgv = (name) => plan.execArgvOf?.(name) ?? [];
      const cluster = await OPEN[store]({ nodes, dir, servers, execArgv });
      await writeAll(store, cluster, plan);
      await cluster.settle();
      await sleep(plan.quick ? SETTLE_MS / 3 : SETTLE_MS);
      return await use(cluster);
    } finally {
      // Under a profiler they have something to write as they end.
      await Promise.all(servers.map((server) => server.end(plan.execArgvOf === undefined ? 'SIGKILL' : 'SIGTERM')));
    }
  });

const writeAll = async (store, { servers, endpoints }, plan) => {
  const job = { ...base(plan), task: 'write-all', operation: 'put', endpoints };
  await generate(store, { ...job, callers: CALLERS_OF_WRITE_ALL, clients: CLIENTS_OF_WRITE_ALL }, servers);
};

/**
 * The connections with which etcd's Go client is fastest at a job: how many, and whether to the leader or spread over all members. Other
 * clients have one connection a node and find the nodes themselves.
 */
const connectionsOf = async (store, cluster, job, plan) => {
  const { endpoints } = cluster;
  if (store !== 'etcd') return { endpoints };
  const leader = [await cluster.leaderEndpoint()];
  if (job.callers === 1) return { endpoints: leader, clients: 1 };
  const targets = endpoints.length === 1 ? [endpoints] : [endpoints, leader];
  const trials = [];
  for (const clients of plan.quick ? CLIENTS_TRIED.slice(1, 3) : CLIENTS_TRIED) {
    for (const target of targets) {
      const connections = { endpoints: target, clients };
      const trial = { ...job, ...(plan.quick ? QUICK_TRIAL : TRIAL), ...connections, task: 'closed' };
      trials.push({ connections, ...(await generate(store, trial, cluster.servers)) });
    }
  }
  return trials.toSorted((a, b) => b.perSecond - a.perSecond)[0].connections;
};

const measured = async (store, job, cluster, plan) => {
  const execArgv = plan.execArgvOf?.('generator') ?? [];
  const result = await generate(store, job, cluster.servers, { execArgv });
  assertClean(result);
  return { ...result, clients: job.clients, toLeader: job.endpoints.length < cluster.endpoints.length };
};

/** As many operations as `callers` get through, each waiting for its answer before it asks again. */
export const load =
  ({ nodes, operation, callers }) =>
  (store, plan) =>
    withCluster(store, nodes, plan, async (cluster) => {
      const job = { ...base(plan), ...timesOf(plan), task: 'closed', operation, callers };
      return measured(store, { ...job, ...(await connectionsOf(store, cluster, job, plan)) }, cluster, plan);
    });

/** First the greatest load that `callers` make, then operations at half that rate, started at their times. */
export const halfLoad =
  ({ nodes, operation, callers }) =>
  (store, plan) =>
    withCluster(store, nodes, plan, async (cluster) => {
      const job = { ...base(plan), ...timesOf(plan), operation, callers };
      const connected = { ...job, ...(await connectionsOf(store, cluster, job, plan)) };
      const greatestMs = plan.quick ? job.durationMs : Math.min(job.durationMs, 15_000);
      const greatest = await measured(store, { ...connected, task: 'closed', durationMs: greatestMs }, cluster, {});
      const half = { ...connected, task: 'open', perSecond: greatest.perSecond / 2 };
      return { ...(await measured(store, half, cluster, plan)), greatestPerSecond: greatest.perSecond };
    });

/** Nothing is asked of the nodes, which hold all keys and so all shards. */
export const idle =
  ({ nodes }) =>
  (store, plan) =>
    withCluster(store, nodes, plan, async (cluster) => {
      const { servers } = cluster;
      await sleep(plan.warmupS * 1000);
      const before = servers.map(({ pid }) => cpuSecondsOf(pid));
      await sleep(plan.durationS * 1000);
      const cpu = servers.map(({ pid }, i) => ((cpuSecondsOf(pid) - before[i]) / plan.durationS) * 100);
      const resident = servers.map(({ pid }) => residentMibOf(pid));
      assertAlive(servers);
      return {
        cpuPercent: Math.max(...cpu),
        residentMib: Math.max(...resident),
        eachCpu: cpu,
        eachResident: resident,
        peakResidentMib: Math.max(...servers.map(({ pid }) => peakResidentMibOf(pid))),
        shards: await cluster.activeShards?.(),
      };
    });

/** The node that leads is killed while as many callers as there are shards write a key each. */
export const failover =
  ({ nodes }) =>
  (store, plan) =>
    withCluster(store, nodes, plan, async (cluster) => {
      const { servers, endpoints } = cluster;
      const indexes = await keysOfAllShards();
      const durationMs = BEFORE_KILL_MS + AFTER_KILL_MS;
      const job = { ...base(plan), task: 'gaps', warmupMs: plan.warmupS * 1000, durationMs, endpoints, indexes };
      const victim = await cluster.leader();
      const onMeasuring = () => setTimeout(() => victim.end(), BEFORE_KILL_MS);
      return { ...(await generate(store, { ...job, clients: 32 }, servers, { onMeasuring })), victim: victim.name };
    });
