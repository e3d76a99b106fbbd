// What happens to a cluster, drawn from a seed: to its processes, disks and clocks on the one hand, to the ways between them on the
// other, both at the same time.
import type { Rng } from 'nori-testkit';
import type { ServerCluster } from './server-cluster.js';
import type { FaultCommand } from './server-process.js';
import { pause } from './store-client.js';

/** Names what happens, and takes it back after a while. */
export type Misfortune = (cluster: ServerCluster, rng: Rng, tell: (what: string) => void) => Promise<void>;

export const killed: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  tell(`kill n${number}`);
  await cluster.kill(number);
  await pause(rng.range(100, 4000));
  await cluster.startNode(number);
};

const allKilled: Misfortune = async (cluster, rng, tell) => {
  tell('kill all');
  await Promise.all(cluster.numbers.map((number) => cluster.kill(number)));
  await pause(rng.int(500));
  await Promise.all(cluster.numbers.map((number) => cluster.startNode(number)));
};

const stopped: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  const node = cluster.node(number)!;
  tell(`stop n${number}`);
  node.signal('SIGSTOP');
  await pause(rng.range(100, 4000));
  node.signal('SIGCONT');
};

const ofDisk =
  (name: string, command: (rng: Rng) => FaultCommand): Misfortune =>
  async (cluster, rng, tell) => {
    const number = rng.pick(cluster.numbers);
    tell(`the disk of n${number} is ${name}`);
    await cluster.tell(number, command(rng));
    await pause(rng.range(300, 4000));
    await cluster.tell(number, { disk: 'fine' });
  };

const diskIsSlow = ofDisk('slow', (rng) => ({ disk: 'slow', slowMs: rng.range(5, 300) }));
const diskStalls = ofDisk('stalled', () => ({ disk: 'stalled' }));
const diskIsFull = ofDisk('full', () => ({ disk: 'full' }));

/** The next sync fails: the process ends by itself (or else is killed when nothing is written). */
const diskFails: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  tell(`the disk of n${number} fails`);
  const node = cluster.dismiss(number)!;
  await node.tell({ disk: 'failing' });
  await Promise.race([node.exited, pause(4000)]);
  await node.kill();
  await pause(rng.int(1000));
  await cluster.startNode(number);
};

/** Wall clocks may be wrong by any amount; rates by as much as leases allow for. */
const clockJumps: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  const jumpMs = rng.range(-20_000, 20_000);
  const rate = rng.range(96, 104) / 100;
  tell(`the wall clock of n${number} jumps by ${jumpMs} ms, and goes at ${rate}`);
  await cluster.tell(number, { clock: { jumpMs, rate } });
};

export const nodeIsCutOff: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  const mode = rng.pick(['held', 'cut'] as const);
  const gossip = rng.chance(0.5);
  tell(`ways of n${number} are ${mode}${gossip ? ', gossip too' : ''}`);
  for (const link of cluster.linksOf(number)) link.mode = mode;
  if (gossip) await cluster.cutGossip(number, true);
  await pause(rng.range(300, 4000));
  for (const link of cluster.linksOf(number)) link.mode = 'open';
  if (gossip) await cluster.cutGossip(number, false);
};

const oneWay: Misfortune = async (cluster, rng, tell) => {
  const [from, to] = rng.shuffle(cluster.numbers);
  const mode = rng.pick(['held', 'cut'] as const);
  tell(`the way from n${from} to n${to} is ${mode}`);
  const link = cluster.link(from!, to!);
  link.mode = mode;
  await pause(rng.range(300, 4000));
  link.mode = 'open';
};

/** Nobody hears a node, and it hears everybody; or the other way round. */
const halfCutOff: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  const mode = rng.pick(['held', 'cut'] as const);
  const isMute = rng.chance(0.5);
  tell(`n${number} is ${isMute ? 'mute' : 'deaf'} (${mode})`);
  const links = cluster
    .others(number)
    .map((other) => (isMute ? cluster.link(number, other) : cluster.link(other, number)));
  for (const link of links) link.mode = mode;
  await pause(rng.range(300, 4000));
  for (const link of links) link.mode = 'open';
};

const reset: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  tell(`reset the ways of n${number}`);
  for (const link of cluster.linksOf(number)) link.reset();
};

const slow: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  const delayMs = rng.range(5, 400);
  tell(`ways of n${number} are slower by ${delayMs} ms`);
  for (const link of cluster.linksOf(number)) link.delayMs = delayMs;
  await pause(rng.range(300, 3000));
  for (const link of cluster.linksOf(number)) link.delayMs = 0;
};

const lossy: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  const lossRate = rng.range(1, 10) / 100;
  tell(`ways of n${number} lose ${lossRate * 100} %`);
  for (const link of cluster.linksOf(number)) link.lossRate = lossRate;
  await pause(rng.range(300, 3000));
  for (const link of cluster.linksOf(number)) link.lossRate = 0;
};

/** Answers of a node get lost on their way to clients, which do not know what became of their requests. */
export const answersLost: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(cluster.numbers);
  tell(`answers of n${number} get lost`);
  const link = cluster.clientLink(number);
  for (let times = rng.range(2, 8); times > 0; times--) {
    link.delayMs = 20;
    await pause(rng.range(20, 100));
    link.reset();
    link.delayMs = 0;
    await pause(rng.int(200));
  }
};

const OF_NODES: readonly Misfortune[] = [
  ...[killed, killed, killed, allKilled, stopped, stopped, stopped],
  ...[diskIsSlow, diskStalls, diskStalls, diskIsFull, diskFails, clockJumps],
];
const OF_LINKS: readonly Misfortune[] = [
  nodeIsCutOff,
  nodeIsCutOff,
  oneWay,
  oneWay,
  halfCutOff,
  reset,
  slow,
  lossy,
  answersLost,
];

/** What may happen, in series that run beside each other; what stands there twice happens twice as often. */
const ALL_KINDS: readonly (readonly Misfortune[])[] = [OF_NODES, OF_LINKS];

/** Lets misfortunes happen until `untilMs`, by `performance.now()`, and each end as it does. */
export const misfortunes = async (
  cluster: ServerCluster,
  rng: Rng,
  untilMs: number,
  tell: (what: string) => void,
  kinds = ALL_KINDS,
): Promise<void> => {
  const series = async (some: readonly Misfortune[], own: Rng) => {
    while (performance.now() < untilMs) {
      await pause(own.range(200, 2000));
      await own.pick(some)(cluster, own, tell);
    }
  };
  await Promise.all(kinds.map((some) => series(some, rng.fork())));
};
