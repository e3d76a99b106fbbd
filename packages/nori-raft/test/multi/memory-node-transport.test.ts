import { Rng, seedFromEnv, VirtualClock } from 'nori-testkit';
import { expect, test } from 'vitest';
import { MemoryNodeNetwork } from '../../src/multi/memory-node-transport.js';
import type { PeerReceiver } from '../../src/multi/ports.js';

const seed = seedFromEnv();

function recorder() {
  const log: string[] = [];
  const receiver: PeerReceiver = {
    onFrame: (from, lane, frame) => log.push(`${from} ${lane} ${frame[0]}`),
    onUnreachable: (peer) => log.push(`unreachable ${peer}`),
  };
  return { log, receiver };
}

async function twoNodes(network: MemoryNodeNetwork) {
  const [a, b] = [network.transport('a'), network.transport('b')];
  const [atA, atB] = [recorder(), recorder()];
  await a.start(atA.receiver);
  await b.start(atB.receiver);
  return { a, b, atA: atA.log, atB: atB.log };
}

test('frames arrive in order, not at once', async () => {
  const { a, atB } = await twoNodes(new MemoryNodeNetwork());
  expect(a.send('b', 'control', Uint8Array.of(1))).toBe(true);
  expect(a.send('b', 'bulk', Uint8Array.of(2))).toBe(true);
  expect(a.send('b', 'control', Uint8Array.of(3))).toBe(true);
  expect(a.queuedBytes('b', 'control')).toBe(2);
  expect(atB).toEqual([]);
  await Promise.resolve();
  expect(atB).toEqual(['a control 1', 'a bulk 2', 'a control 3']);
  expect(a.queuedBytes('b', 'control')).toBe(0);
});

test('frames keep their order per lane whatever the delays are', async () => {
  const clock = new VirtualClock();
  const rng = new Rng(seed);
  const network = new MemoryNodeNetwork({ schedule: (fn) => clock.setTimer(rng.int(100), fn) });
  const { a, atB } = await twoNodes(network);
  for (let i = 0; i < 100; i++) a.send('b', rng.chance(0.5) ? 'control' : 'bulk', Uint8Array.of(i));
  clock.runUntilIdle();
  expect(atB).toHaveLength(100);
  for (const lane of ['control', 'bulk']) {
    const numbers = atB.filter((line) => line.includes(lane)).map((line) => Number(line.split(' ')[2]));
    expect(numbers, `seed ${seed}`).toEqual([...numbers].sort((x, y) => x - y));
  }
});

test('a pair that is disconnected loses what is on its way, and both are told', async () => {
  const clock = new VirtualClock();
  const network = new MemoryNodeNetwork({ schedule: (fn) => clock.nextTurn(fn) });
  const { a, atA, atB } = await twoNodes(network);
  a.send('b', 'control', Uint8Array.of(1));
  network.disconnect('b', 'a');
  expect(a.send('b', 'control', Uint8Array.of(2))).toBe(false);
  clock.runUntilIdle();
  expect(atB).toEqual(['unreachable a']);
  expect(atA).toEqual(['unreachable b', 'unreachable b']);
  network.reconnect('a', 'b');
  a.send('b', 'control', Uint8Array.of(3));
  clock.runUntilIdle();
  expect(atB).toEqual(['unreachable a', 'a control 3']);
});

test('a delivery scheduled before a disconnection delivers nothing sent after it too early', async () => {
  const scheduled: (() => void)[] = [];
  const network = new MemoryNodeNetwork({ schedule: (fn) => scheduled.push(fn) });
  const { a, atB } = await twoNodes(network);
  a.send('b', 'control', Uint8Array.of(1));
  network.disconnect('a', 'b');
  network.reconnect('a', 'b');
  a.send('b', 'control', Uint8Array.of(2));
  scheduled.shift()!();
  expect(atB).toEqual([]);
  for (const deliver of scheduled) deliver();
  expect(atB).toEqual(['unreachable a', 'a control 2']);
});

test('what is over the bound of a queue is dropped', async () => {
  const { a, atB } = await twoNodes(new MemoryNodeNetwork({ queueBytesMax: 3 }));
  expect(a.send('b', 'bulk', Uint8Array.of(1, 1))).toBe(true);
  expect(a.send('b', 'bulk', Uint8Array.of(2, 2))).toBe(false);
  expect(a.send('b', 'control', Uint8Array.of(3, 3))).toBe(true);
  await Promise.resolve();
  expect(atB).toEqual(['a bulk 1', 'a control 3']);
});

test('a node that is closed is unreachable, and its place can be taken', async () => {
  const network = new MemoryNodeNetwork();
  const { a, b, atA, atB } = await twoNodes(network);
  await b.close();
  await b.close();
  expect(b.send('a', 'control', Uint8Array.of(1))).toBe(false);
  expect(a.send('b', 'control', Uint8Array.of(2))).toBe(false);
  await Promise.resolve();
  expect(atA).toEqual(['unreachable b', 'unreachable b']);
  expect(atB).toEqual([]);
  const again = network.transport('b');
  const { log, receiver } = recorder();
  await again.start(receiver);
  await expect(network.transport('b').start(receiver)).rejects.toMatchObject({ code: 'RAFT_MISUSE' });
  a.send('b', 'control', Uint8Array.of(3));
  expect(b.send('a', 'control', Uint8Array.of(4))).toBe(false);
  await Promise.resolve();
  expect(log).toEqual(['a control 3']);
});
