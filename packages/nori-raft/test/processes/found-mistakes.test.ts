// The check of processes.test.ts finds mistakes: nodes that make them are found out by the histories of their clients, and
// nodes that do not are not, though the same befalls them.
import { checkLinearizability, Rng, registerMap } from 'nori-testkit';
import { afterEach, expect, test } from 'vitest';
import { historyOf } from './judge.js';
import { MapClient } from './map-client.js';
import { NUMBERS, ProcessCluster } from './process-cluster.js';
import type { NodeOptions } from './protocol.js';

let cluster: ProcessCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

async function begin(
  bug: NodeOptions['bug'],
): Promise<{ readonly cluster: ProcessCluster; readonly client: MapClient }> {
  cluster = await ProcessCluster.start({ groups: 1, ...(bug === undefined ? {} : { bug }) });
  const client = new MapClient(cluster, new Rng(1), 0);
  // Of what a node with a mistake says it took at first, all may be lost already: written until everybody has it.
  const scout = new MapClient(cluster, new Rng(2), 1);
  const callAt = performance.now();
  const isOld = async (number: number) => (await scout.read(0, 'x', 'index', number)) === 'old';
  do await scout.write(0, { f: 'put', key: 'x', value: 'old' });
  while (!(await Promise.all(NUMBERS.map(isOld))).every(Boolean));
  const input = { f: 'put', key: 'x', value: 'old' } as const;
  client.history.push({ process: 0, input, output: true, callAt, returnAt: performance.now() });
  return { cluster, client };
}

const verdictOn = (client: MapClient): string => checkLinearizability(registerMap, historyOf(client)).result;

/** Who leads group 0. */
async function leaderOf(one: ProcessCluster): Promise<number> {
  for (;;) {
    for (const number of NUMBERS) if ((await one.state(number))!.leading.includes(0)) return number;
  }
}

test.each([
  [undefined, 'linearizable'],
  ['read-without-check', 'not-linearizable'],
] as const)(
  'reads at a node that is cut off, with the mistake "%s", are %s',
  { timeout: 60_000 },
  async (bug, expected) => {
    const { cluster: one, client } = await begin(bug);
    const cutOff = await leaderOf(one);
    for (const link of one.linksOf(cutOff)) link.mode = 'held';
    client.patienceMs = 10_000;
    expect(await client.write(0, { f: 'put', key: 'x', value: 'new' })).toBe(true);
    client.patienceMs = bug === undefined ? 300 : 10_000;
    expect(await client.read(0, 'x', 'lease', cutOff)).toBe(bug === undefined ? undefined : 'old');
    expect(verdictOn(client)).toBe(expected);
  },
);

test.each([
  [undefined, 'linearizable'],
  ['acknowledge-before-write', 'not-linearizable'],
] as const)(
  'what a node took that could write and send nothing, with the mistake "%s", is %s',
  async (bug, expected) => {
    const { cluster: one, client } = await begin(bug);
    const leader = await leaderOf(one);
    for (const link of one.linksOf(leader)) link.mode = 'cut';
    await one.node(leader)!.request({ f: 'disk', mode: 'stalled' }, 5000);
    client.patienceMs = bug === undefined ? 300 : 10_000;
    const written = await client.write(0, { f: 'put', key: 'x', value: 'new' }, leader);
    expect(written).toBe(bug === undefined ? undefined : true);
    await Promise.all(NUMBERS.map((number) => one.kill(number)));
    await one.heal();
    client.patienceMs = 10_000;
    expect(await client.read(0, 'x', 'index')).toBe('old');
    expect(verdictOn(client)).toBe(expected);
  },
);
