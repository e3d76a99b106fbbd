// Processes that must not take part: they are refused by name, it is counted, and the others go on as before.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Rng } from 'nori-testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MapClient } from './map-client.js';
import { type Exit, NodeProcess } from './node-process.js';
import { ProcessCluster } from './process-cluster.js';
import { EXIT_NOT_STARTED, type NodeOptions } from './protocol.js';

let cluster: ProcessCluster;
let client: MapClient;
let stranger: NodeProcess | undefined;

beforeEach(async () => {
  cluster = await ProcessCluster.start({ groups: 2 });
  client = new MapClient(cluster, new Rng(1), 0);
  await client.write(0, { f: 'put', key: 'x', value: '1' });
});

afterEach(async () => {
  await stranger?.kill();
  stranger = undefined;
  await cluster.close();
});

/** The three, or those of them that run, are as they were. */
async function expectUnharmed(numbers: readonly number[]): Promise<void> {
  for (const number of numbers) expect(await client.read(0, 'x', 'index', number)).toBe('1');
  expect(await client.write(0, { f: 'cas', key: 'x', expected: '1', value: '2' })).toBe(true);
  for (const number of numbers) expect(await client.read(0, 'x', 'index', number)).toBe('2');
}

async function startsAndIsRefused(options: NodeOptions): Promise<void> {
  const before = (await cluster.state(1))!.refusals;
  const started = await cluster.startStranger(options);
  expect(started).toBeInstanceOf(NodeProcess);
  stranger = started as NodeProcess;
  cluster.leadTo(3, stranger.address);
  const state = async () => (await stranger!.request({ f: 'state' }, 5000)) as { value: { refusals: number } };
  await expect.poll(async () => (await state()).value.refusals, { timeout: 20_000 }).toBeGreaterThan(0);
  await expect.poll(async () => (await cluster.state(1))!.refusals, { timeout: 20_000 }).toBeGreaterThan(before);
  const read = { f: 'read', group: 0, key: 'x', how: 'index', timeoutMs: 300 } as const;
  expect(await stranger.request(read, 5000)).toMatchObject({ failure: { code: 'RAFT_NOT_LEADER', leader: 0 } });
}

test('a second process on the log of a live one does not start', { timeout: 60_000 }, async () => {
  const exit = (await cluster.startStranger(cluster.optionsOf(1))) as Exit;
  expect(exit).toMatchObject({ code: EXIT_NOT_STARTED, stderr: expect.stringContaining('RAFT_STORAGE_LOCKED') });
  await expectUnharmed([1, 2, 3]);
});

test('a process with the log of another node, or of another cluster, does not start', { timeout: 60_000 }, async () => {
  await cluster.kill(3);
  const { dir } = cluster.optionsOf(3);
  const wrongNode = { ...cluster.optionsOf(2), dir };
  const wrongCluster = { ...cluster.optionsOf(3), clusterId: 'other' };
  for (const options of [wrongNode, wrongCluster]) {
    const exit = (await cluster.startStranger(options)) as Exit;
    expect(exit).toMatchObject({ code: EXIT_NOT_STARTED, stderr: expect.stringContaining('RAFT_WRONG_NODE') });
  }
  await expectUnharmed([1, 2]);
  await cluster.startNode(3);
  expect(await client.read(0, 'x', 'index', 3)).toBe('2');
});

test('a node of another cluster is refused by its peers', { timeout: 60_000 }, async () => {
  await cluster.kill(3);
  await startsAndIsRefused({ ...cluster.optionsOf(3), clusterId: 'other', dir: join(cluster.dir, 'other') });
  await expectUnharmed([1, 2]);
});

test('a node that has lost its log is refused by its peers', { timeout: 60_000 }, async () => {
  await cluster.kill(3);
  await rm(cluster.optionsOf(3).dir, { recursive: true });
  await startsAndIsRefused(cluster.optionsOf(3));
  await expectUnharmed([1, 2]);
});

test('messages for groups that a node does not have are dropped and counted', { timeout: 60_000 }, async () => {
  await cluster.kill(3);
  const started = await cluster.startStranger({ ...cluster.optionsOf(3), groups: 3 });
  stranger = started as NodeProcess;
  cluster.leadTo(3, stranger.address);
  const unknown = async () => (await cluster.state(1))!.unknownGroupMessages;
  await expect.poll(unknown, { timeout: 20_000 }).toBeGreaterThan(0);
  expect((await cluster.state(1))!.maps).toHaveLength(2);
  await expectUnharmed([1, 2]);
  const read = { f: 'read', group: 0, key: 'x', how: 'index', timeoutMs: 5000 } as const;
  await expect.poll(() => stranger!.request(read, 6000), { timeout: 20_000 }).toMatchObject({ value: '2' });
});
