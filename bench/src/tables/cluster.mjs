// The cluster: three nodes and one, each a process of its own, beside etcd and Redis in the same run. What each row does is told in
// bench/README.md.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { goClient } from '../cluster/go-client.mjs';
import { stopServers } from '../cluster/servers.mjs';
import { failover, halfLoad, idle, load } from '../cluster/workloads.mjs';
import { fineMilliseconds, milliseconds, percent, perSecond, seconds } from '../figures.mjs';
import { describeProfiles } from '../profile.mjs';
import { stopChildren, temporaryPath } from '../storage/children.mjs';
import { versionsOf } from '../storage/versions.mjs';

const STORES = ['nori', 'etcd', 'etcd3', 'redis'];
const MANY = 512;
const BESIDE_REDIS = 64;
const mebibytes = (figure) => `${figure.toFixed(0)} MiB`;

const cpuText = (list) => list.map((share) => share.toFixed(0)).join(' + ');

const connectionsText = ({ clients, toLeader }) =>
  clients === undefined ? '' : `; ${clients} connections${toLeader ? ' to the leader' : ''}`;

const errorsText = ({ errors }) => Object.entries(errors).map(([name, count]) => `; ${name} ${count} times`);

const loadText = (result) =>
  `${perSecond(result.perSecond)}, p50 ${fineMilliseconds(result.p50Ms)}, p95 ${fineMilliseconds(result.p95Ms)}, ` +
  `p99 ${fineMilliseconds(result.p99Ms)}, max ${milliseconds(result.maxMs)}; CPU ${cpuText(result.serverCpu)} %, ` +
  `generator ${cpuText([result.generatorCpu])} %${connectionsText(result)}${errorsText(result).join('')}`;

const halfText = (result) => `half of ${perSecond(result.greatestPerSecond)}: ${loadText(result)}`;

const idleText = ({ eachCpu, eachResident, peakResidentMib, shards }) =>
  `CPU ${eachCpu.map(percent).join(', ')}; resident ${eachResident.map(mebibytes).join(', ')}, ` +
  `at most ${mebibytes(peakResidentMib)} before${shards === undefined ? '' : `; ${shards.join(', ')} shards`}`;

const failoverText = ({ medianGapS, perSecond: rate, failed, victim }) =>
  `median key ${seconds(medianGapS)}; ${perSecond(rate)} over the whole time; ${failed} writes failed; killed: ${victim}`;

/** What the first measurement of each store says beside its figure. */
const notesOf = (text) => (runs) => Object.entries(runs).map(([store, [first]]) => `${store}: ${text(first)}`);

/** Both a multiple of a peer's figure and a number of its own. */
const beyond = (times, of, and) => ({ times, of, and });

const many = ({ id, what, nodes = 3, operation, callers = MANY, stores, floor, goal }) => ({
  id,
  stores,
  measure: load({ nodes, operation, callers }),
  rows: [{ what, figure: 'perSecond', floor, goal, format: perSecond }],
  notesOf: notesOf(loadText),
});

const one = ({ id, what, operation, floor, goal }) => ({
  id,
  stores: ['nori', 'etcd', 'etcd3'],
  measure: load({ nodes: 3, operation, callers: 1 }),
  rows: [{ what, figure: 'p50Ms', smallerIsBetter: true, floor, goal, format: fineMilliseconds }],
  notesOf: notesOf(loadText),
});

const half = ({ id, what, operation, floor, goal }) => ({
  id,
  stores: ['nori', 'etcd'],
  measure: halfLoad({ nodes: 3, operation, callers: MANY }),
  rows: [{ what, figure: 'p95Ms', smallerIsBetter: true, floor, goal, format: fineMilliseconds }],
  notesOf: notesOf(halfText),
});

/** Measurements in the order in which they are made. */
const measurements = [
  many({
    id: 'put-512',
    what: 'three nodes, PUT, 512 callers',
    operation: 'put',
    stores: ['nori', 'etcd', 'etcd3'],
    floor: beyond(1.2, 'etcd', 13_000),
    goal: beyond(4, 'etcd', 40_000),
  }),
  many({
    id: 'get-lease-512',
    what: 'three nodes, GET `lease`, 512 callers',
    operation: 'get',
    stores: ['nori', 'etcd', 'etcd3'],
    floor: 50_000,
    goal: 100_000,
  }),
  many({
    id: 'get-linearizable-512',
    what: 'three nodes, GET `linearizable`, 512 callers',
    operation: 'get-linearizable',
    stores: ['nori', 'etcd', 'etcd3'],
    floor: 30_000,
    goal: 60_000,
  }),
  many({
    id: 'get-stale-512',
    what: 'three nodes, GET `stale_ok`, 512 callers',
    operation: 'get-stale',
    stores: ['nori', 'etcd', 'etcd3'],
    floor: 60_000,
    goal: 150_000,
  }),
  one({
    id: 'put-1',
    what: 'three nodes, PUT, one caller, median',
    operation: 'put',
    floor: { times: 1.3, of: 'etcd' },
    goal: { times: 0.85, of: 'etcd' },
  }),
  one({
    id: 'get-lease-1',
    what: 'three nodes, GET `lease`, one caller, median',
    operation: 'get',
    floor: { times: 0.8, of: 'etcd' },
    goal: { times: 0.4, of: 'etcd' },
  }),
  half({ id: 'half-put', what: 'three nodes, half load, PUT, p95', operation: 'put', floor: 20, goal: 5 }),
  half({ id: 'half-get', what: 'three nodes, half load, GET `lease`, p95', operation: 'get', floor: 10, goal: 2 }),
  half({
    id: 'half-stale',
    what: 'three nodes, half load, GET `stale_ok`, p95',
    operation: 'get-stale',
    floor: 5,
    goal: 1,
  }),
  half({ id: 'half-scan', what: 'three nodes, half load, SCAN of 1 KiB, p95', operation: 'scan', floor: 15, goal: 10 }),
  many({
    id: 'one-put-512',
    what: 'one node, PUT, 512 callers',
    nodes: 1,
    operation: 'put',
    stores: ['nori', 'etcd'],
    floor: 25_000,
    goal: 50_000,
  }),
  many({
    id: 'one-get-512',
    what: 'one node, GET, 512 callers',
    nodes: 1,
    operation: 'get',
    stores: ['nori', 'etcd'],
    floor: 80_000,
    goal: 150_000,
  }),
  many({
    id: 'one-put-64',
    what: 'one node, PUT beside SET of Redis, 64 callers',
    nodes: 1,
    operation: 'put',
    callers: BESIDE_REDIS,
    stores: ['nori', 'redis'],
    floor: { times: 0.5, of: 'redis' },
    goal: { times: 1, of: 'redis' },
  }),
  many({
    id: 'one-get-64',
    what: 'one node, GET beside GET of Redis, 64 callers',
    nodes: 1,
    operation: 'get',
    callers: BESIDE_REDIS,
    stores: ['nori', 'redis'],
    floor: { times: 0.7, of: 'redis' },
    goal: { times: 1, of: 'redis' },
  }),
  {
    id: 'idle',
    stores: ['nori', 'etcd'],
    measure: idle({ nodes: 3 }),
    rows: [
      { what: 'idle with all 1,024 shards, CPU a node', figure: 'cpuPercent', floor: 4, goal: 1, format: percent },
      { what: '… resident memory a node', figure: 'residentMib', floor: 350, goal: 200, format: mebibytes },
    ].map((row) => ({ ...row, smallerIsBetter: true })),
    notesOf: notesOf(idleText),
  },
  {
    id: 'failover',
    stores: ['nori', 'etcd'],
    measure: failover({ nodes: 3 }),
    rows: [
      {
        what: 'leader killed under load, longest gap in writes of a key',
        figure: 'longestGapS',
        smallerIsBetter: true,
        floor: 5,
        goal: 2.5,
        format: seconds,
      },
    ],
    notesOf: notesOf(failoverText),
  },
];

const firstLineOf = (command, ...args) => execFileSync(command, args, { encoding: 'utf8' }).split('\n')[0];

/** What each store needs here. Throws or rejects if it is not there. */
const PROBES = {
  nori: () => undefined,
  etcd: async () => {
    firstLineOf('etcd', '--version');
    await goClient();
  },
  etcd3: () => firstLineOf('etcd', '--version'),
  redis: () => firstLineOf('redis-server', '--version'),
};

const PACKAGES = { etcd: 'etcd-server', etcd3: 'etcd-server', redis: 'redis-server' };

const findStores = async () => {
  const available = [];
  const missing = {};
  for (const store of STORES) {
    try {
      await PROBES[store]();
      available.push(store);
    } catch (error) {
      missing[store] =
        error.code === 'ENOENT' ? `it is not installed; apt-get install ${PACKAGES[store]}` : error.message;
    }
  }
  return { available, missing };
};

const versionOf = (pattern, command, ...args) => {
  try {
    return pattern.exec(firstLineOf(command, ...args))[1];
  } catch {
    return 'not installed';
  }
};

const versions = () => ({
  ...versionsOf(['norikv-server', 'norikv-client']),
  etcd: versionOf(/Version: (\S+)/, 'etcd', '--version'),
  ...versionsOf(['etcd3']),
  redis: versionOf(/v=(\S+)/, 'redis-server', '--version'),
  ...versionsOf(['ioredis']),
});

/** Measures once with nori under Node's profiler: a profile of each node, and of the load generator. */
const profile = async (measurement, plan) => {
  const dir = temporaryPath('profiles');
  const dirOf = (name) => join(dir, name);
  await measurement.measure('nori', { ...plan, execArgvOf: (name) => ['--cpu-prof', `--cpu-prof-dir=${dirOf(name)}`] });
  mkdirSync(dir, { recursive: true });
  return readdirSync(dir)
    .toSorted()
    .map((name) => `## ${name}\n\n${describeProfiles(dirOf(name))}`)
    .join('\n');
};

export const cluster = {
  measurements: measurements.map((measurement) => ({ ...measurement, goesOn: true })),
  stores: STORES,
  usesDisk: true,
  isTimed: true,
  defaults: { repetitions: 1, durationS: 60, warmupS: 10 },
  findStores,
  profile,
  versions,
  stop: () => {
    stopServers();
    stopChildren();
  },
};
