// Snapshots on their way: resumed where they stood, a few at once, at a bounded rate.
import type { PeerTransport } from 'nori-raft';
import { expect, test } from 'vitest';
import { decodeFrame } from '../../src/multi/frame-codec.js';
import { bytes, type ListMachine, MultiCluster, outcomeOf } from './cluster.js';

interface Chunk {
  readonly atMs: number;
  readonly groupId: number;
  readonly streamId: number;
  readonly offset: number;
  readonly bytes: number;
  readonly last: boolean;
}

/** Notes the chunks that pass. */
function watching(c: MultiCluster, transport: PeerTransport, chunks: Chunk[]): PeerTransport {
  return {
    nodeId: transport.nodeId,
    start: (receiver) => transport.start(receiver),
    queuedBytes: (to, lane) => transport.queuedBytes(to, lane),
    close: () => transport.close(),
    send: (to, lane, frame) => {
      decodeFrame(frame, {
        message: () => {},
        snapshotAck: () => {},
        snapshotChunk: ({ groupId, streamId, offset, bytes: { length }, last }) =>
          chunks.push({ atMs: c.clock.monotonic(), groupId, streamId, offset, bytes: length, last }),
      });
      return transport.send(to, lane, frame);
    },
  };
}

/** Counts the snapshots that machines have open. */
function countOpened(machines: readonly ListMachine[]) {
  const opened = { now: 0, most: 0, all: 0 };
  for (const machine of machines) {
    const open = machine.snapshot.bind(machine);
    machine.snapshot = () => {
      opened.all++;
      opened.most = Math.max(opened.most, ++opened.now);
      return { ...open(), release: () => void opened.now-- };
    };
  }
  return opened;
}

/**
 * Node 3 was away while all groups, which node 1 leads, grew by `entries` of about 1,000 bytes, and their logs were cut short.
 * Now it comes back.
 */
async function backAfterLong(options: {
  readonly groups: number;
  readonly entries: number;
  readonly snapshotChunkBytes?: number;
  readonly snapshotBytesPerSecond?: number;
  readonly snapshotsMax?: number;
}) {
  const { groups, entries, ...multi } = options;
  const c = await MultiCluster.start({ size: 3, groups: 0, ...multi });
  const chunks: Chunk[] = [];
  const ids = Array.from({ length: groups }, (_, g) => g);
  await c.node(1).kill();
  await c.settled(c.node(1).open({ transport: watching(c, c.network.transport('n1'), chunks) }));
  for (const number of [1, 2]) for (const g of ids) await c.settled(c.node(number).create(g, { preferredLeader: 1 }));
  await c.until(() => c.node(1).multi.stats().leading === groups);
  for (let i = 0; i < entries; i++) {
    for (const g of ids)
      await c.settled(
        c
          .node(1)
          .group(g)
          .propose(bytes(`${i} ${'x'.repeat(990)}`)),
      );
  }
  await c.run(500);
  for (const number of [1, 2]) for (const g of ids) c.node(number).machine(g).flush();
  await c.run(2000);
  chunks.length = 0;
  const opened = countOpened(ids.map((g) => c.node(1).machine(g)));
  for (const g of ids) await c.settled(c.node(3).create(g));
  const installed = (g: number) => c.node(3).machine(g).installs > 0;
  return { c, chunks, ids, opened, allInstalled: () => ids.every(installed) };
}

test('a snapshot whose connection broke goes on where it stood', async () => {
  const { c, chunks, allInstalled } = await backAfterLong({
    ...{ groups: 1, entries: 200, snapshotChunkBytes: 1000, snapshotBytesPerSecond: 100_000 },
  });
  await c.until(() => chunks.length > 60);
  for (let i = 0; i < 2; i++) {
    const sent = chunks.length;
    c.network.disconnect('n1', 'n3');
    await c.run(300);
    c.network.reconnect('n1', 'n3');
    await c.until(() => allInstalled() || chunks.length > sent + 50, 20_000);
  }
  await c.until(allInstalled, 20_000);
  await c.run(1000);
  expect(new Set(chunks.map(({ streamId }) => streamId)).size).toBe(1);
  const again = chunks.filter(({ offset }, i) => chunks.slice(0, i).some((earlier) => earlier.offset === offset));
  // What was on its way, at most a window, each time.
  expect(again.length).toBeGreaterThan(0);
  expect(again.length).toBeLessThan(80);
  expect(chunks.filter(({ offset }) => offset === 0)).toHaveLength(1);
  expect(c.node(3).machine(0).list).toEqual(c.node(1).machine(0).list);
  expect(c.node(3).machine(0).installs).toBe(1);
  await c.close();
});

test('snapshots of many groups are opened and sent a few at once, and all arrive', async () => {
  const { c, chunks, allInstalled, ids, opened } = await backAfterLong({
    ...{ groups: 7, entries: 20, snapshotChunkBytes: 1000, snapshotsMax: 2 },
  });
  await c.until(allInstalled, 30_000);
  await c.run(1000);
  expect(opened).toEqual({ now: 0, most: 2, all: 7 });
  const ofStream = (id: number) => chunks.flatMap(({ streamId }, i) => (streamId === id ? [i] : []));
  const spans = [...new Set(chunks.map(({ streamId }) => streamId))].map(ofStream);
  expect(spans).toHaveLength(7);
  const underWay = chunks.map((_, i) => spans.filter((span) => span[0]! <= i && i <= span.at(-1)!).length);
  expect(Math.max(...underWay)).toBe(2);
  for (const g of ids) expect(c.node(3).machine(g).list).toEqual(c.node(1).machine(g).list);
  await c.close();
});

test('snapshots are sent at a bounded rate, while entries of other groups pass', async () => {
  const rate = 50_000;
  const { c, chunks, allInstalled } = await backAfterLong({
    ...{ groups: 2, entries: 200, snapshotChunkBytes: 1000, snapshotBytesPerSecond: rate },
  });
  const terms = c.node(1).group(0).term;
  let proposed = 0;
  while (!allInstalled()) {
    expect((await c.settled(c.node(1).group(1).propose(bytes('between')))).result).toBeGreaterThan(200);
    proposed++;
    await c.run(20);
  }
  expect(proposed).toBeGreaterThan(100);
  const firstMs = chunks[0]!.atMs;
  let total = 0;
  for (const { atMs, bytes: size } of chunks) {
    total += size;
    // A second's worth may have been saved up.
    expect(total).toBeLessThanOrEqual(rate * (1 + (atMs - firstMs) / 1000) + 8000);
  }
  expect(total).toBeGreaterThan(2 * 190_000);
  expect(c.node(1).group(0).term).toBe(terms);
  await c.close();
});

test('a snapshot whose receiver restarts is given up, and sent anew', async () => {
  const { c, chunks, allInstalled } = await backAfterLong({
    ...{ groups: 1, entries: 200, snapshotChunkBytes: 1000, snapshotBytesPerSecond: 100_000 },
  });
  await c.until(() => chunks.length > 60);
  await c.node(3).kill();
  await c.run(100);
  await c.settled(c.node(3).open());
  await c.settled(c.node(3).create(0));
  await c.until(allInstalled, 60_000);
  expect(new Set(chunks.map(({ streamId }) => streamId)).size).toBeGreaterThan(1);
  expect(c.node(3).machine(0).list).toEqual(c.node(1).machine(0).list);
  await c.close();
});

test('followers that need a snapshot at the same time each get one with its own mark', async () => {
  const c = await MultiCluster.start({ size: 5, preferred: false, snapshotsMax: 4, snapshotChunkBytes: 1000 });
  await c.until(() => c.leader(0) !== undefined);
  await c.run(500);
  const leader = c.leader(0)!;
  const away = c.nodes.filter((node) => node !== leader).slice(0, 2);
  const all = c.nodes;
  // Entries are applied some time after they were handed out.
  for (const node of all) node.machine(0).gate = Promise.resolve();
  let proposed = 0;
  const propose = (times: number) => {
    for (let i = 0; i < times; i++) outcomeOf(leader.group(0).propose(bytes(`${proposed++}`)));
  };
  for (let round = 0; round < 8; round++) {
    for (const node of away) for (const other of all) if (other !== node) c.network.disconnect(node.id, other.id);
    for (let i = 0; i < 10; i++) {
      propose(5);
      await c.run(20);
    }
    // Long enough for the leader not to wait for them any more.
    await c.run(1500);
    for (const node of all) if (!away.includes(node)) node.machine(0).flush();
    await c.run(700);
    for (const node of away) for (const other of all) if (other !== node) c.network.reconnect(node.id, other.id);
    for (let i = 0; i < 400; i++) {
      propose(2);
      await c.run(0.5);
    }
    await c.run(500);
  }
  await c.run(3000);
  expect(away.map((node) => node.machine(0).installs > 3)).toEqual([true, true]);
  const expected = Array.from({ length: proposed }, (_, i) => `${i}`);
  for (const node of all) expect(node.machine(0).list, node.id).toEqual(expected);
  await c.close();
});
