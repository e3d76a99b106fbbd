// What happens to the cluster, drawn from a seed: to its processes and disks on the one hand, to its links on the other, both
// at the same time.
import type { Rng } from 'nori-testkit';
import { pause } from './map-client.js';
import { NUMBERS, type ProcessCluster } from './process-cluster.js';

/** Names what happens, and takes it back after a while. */
type Misfortune = (cluster: ProcessCluster, rng: Rng, tell: (what: string) => void) => Promise<void>;

const killed: Misfortune = async (cluster, rng, tell) => {
  const all = rng.chance(0.2);
  const numbers = all ? NUMBERS : [rng.pick(NUMBERS)];
  tell(`kill ${numbers.join(', ')}`);
  await Promise.all(numbers.map((number) => cluster.kill(number)));
  await pause(rng.int(1200));
  await Promise.all(numbers.map((number) => cluster.startNode(number)));
};

const killedForLong: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(NUMBERS);
  tell(`kill ${number} for long`);
  await cluster.kill(number);
  await pause(rng.range(2500, 4000));
  await cluster.startNode(number);
};

const stopped: Misfortune = async (cluster, rng, tell) => {
  const node = rng.pick(NUMBERS);
  tell(`stop ${node}`);
  const process = cluster.node(node)!;
  process.signal('SIGSTOP');
  await pause(rng.range(100, 2500));
  process.signal('SIGCONT');
};

const diskStalls: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(NUMBERS);
  tell(`stall the disk of ${number}`);
  await cluster.node(number)!.request({ f: 'disk', mode: 'stalled' }, 2000);
  await pause(rng.range(200, 3000));
  await cluster.node(number)!.request({ f: 'disk', mode: 'fine' }, 2000);
};

const diskIsFull: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(NUMBERS);
  tell(`fill the disk of ${number}`);
  await cluster.node(number)!.request({ f: 'disk', mode: 'full' }, 2000);
  await pause(rng.range(200, 3000));
  await cluster.node(number)!.request({ f: 'disk', mode: 'fine' }, 2000);
};

const diskFails: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(NUMBERS);
  tell(`fail the disk of ${number}`);
  await cluster.failDisk(number, 1500);
  await pause(rng.int(1000));
  await cluster.startNode(number);
};

const transferred: Misfortune = async (cluster, rng, tell) => {
  const [from, to] = [rng.pick(NUMBERS), rng.pick(NUMBERS)];
  const group = rng.int(cluster.groups);
  tell(`transfer group ${group} from ${from} to ${to}`);
  await cluster.node(from)!.request({ f: 'transfer', group, to }, 1000);
};

const nodeIsCutOff: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(NUMBERS);
  const mode = rng.pick(['held', 'cut'] as const);
  tell(`links of ${number} are ${mode}`);
  for (const link of cluster.linksOf(number)) link.mode = mode;
  await pause(rng.range(200, 3000));
  for (const link of cluster.linksOf(number)) link.mode = 'open';
};

const oneWay: Misfortune = async (cluster, rng, tell) => {
  const [from, to] = rng.shuffle(NUMBERS);
  const mode = rng.pick(['held', 'cut'] as const);
  tell(`the link from ${from} to ${to} is ${mode}`);
  const link = cluster.link(from!, to!);
  link.mode = mode;
  await pause(rng.range(200, 3000));
  link.mode = 'open';
};

const reset: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(NUMBERS);
  tell(`reset the links of ${number}`);
  for (const link of cluster.linksOf(number)) link.reset();
};

const slow: Misfortune = async (cluster, rng, tell) => {
  const number = rng.pick(NUMBERS);
  const delayMs = rng.range(5, 250);
  tell(`links of ${number} are slower by ${delayMs} ms`);
  for (const link of cluster.linksOf(number)) link.delayMs = delayMs;
  await pause(rng.range(300, 2000));
  for (const link of cluster.linksOf(number)) link.delayMs = 0;
};

const OF_NODES: readonly Misfortune[] = [
  ...[killed, killed, killedForLong, stopped, stopped, diskStalls, diskStalls, diskIsFull, diskFails, transferred],
];
const OF_LINKS: readonly Misfortune[] = [nodeIsCutOff, nodeIsCutOff, oneWay, oneWay, reset, slow];

/** Lets misfortunes happen until `untilMs`, by `performance.now()`, and each end as it does. */
export async function misfortunes(
  cluster: ProcessCluster,
  rng: Rng,
  untilMs: number,
  tell: (what: string) => void,
): Promise<void> {
  const series = async (kinds: readonly Misfortune[], own: Rng) => {
    while (performance.now() < untilMs) {
      await pause(own.range(100, 1500));
      await own.pick(kinds)(cluster, own, tell);
    }
  };
  await Promise.all([series(OF_NODES, rng.fork()), series(OF_LINKS, rng.fork())]);
}
