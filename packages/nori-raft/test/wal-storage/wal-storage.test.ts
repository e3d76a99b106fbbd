import { MemoryFileSystem } from 'nori-io/memory';
import type { HardState } from 'nori-raft';
import { WalStorage } from 'nori-raft/wal-storage';
import { VirtualClock } from 'nori-testkit';
import { Wal } from 'nori-wal';
import { describe, expect, test } from 'vitest';
import { bytes, DIR, entriesOf, entry, openStorage, texts, writeOf } from './helpers.js';

const hard = (term: number, vote: number, commit: number): HardState => ({ term, vote, commit });

describe('a group', () => {
  test('that is bootstrapped begins behind (1, 1), and one that joins later with nothing', async () => {
    const fs = new MemoryFileSystem();
    let storage = await openStorage(fs);
    await storage.createGroup({ groupId: 5, replicaId: 3, bootstrap: true });
    await storage.createGroup({ groupId: 6, replicaId: 4, bootstrap: false });
    for (let opened = 0; opened < 3; opened++) {
      const [first, later] = [storage.log(5), storage.log(6)];
      expect([first.hardState, first.firstIndex(), first.lastIndex(), first.term(1)]).toEqual([hard(1, 0, 1), 2, 1, 1]);
      expect([later.hardState, later.firstIndex(), later.lastIndex(), later.term(0)]).toEqual([hard(0, 0, 0), 1, 0, 0]);
      expect(first.entries(2, 2, 1)).toEqual([]);
      expect(first.entries(1, 2, 1)).toBeUndefined();
      if (opened === 1) await storage.close();
      storage = await openStorage(fs.kill());
    }
    expect(storage.storedGroups).toEqual([
      { groupId: 5, replicaId: 3, removed: false },
      { groupId: 6, replicaId: 4, removed: false },
    ]);
  });

  test('shows a write at once, and after reopening', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs);
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    const done = storage.write([writeOf(0, { hardState: hard(2, 1, 2), entries: entriesOf(2, 4, 2) })]);
    const log = storage.log(0);
    expect([log.lastIndex(), log.term(4), log.hardState]).toEqual([4, 2, hard(2, 1, 2)]);
    await done;
    await storage.write([writeOf(0, { hardState: hard(3, 0, 2), entries: entriesOf(3, 3, 3) })]);
    expect(texts(log)).toEqual(['2@2', '3@3']);
    const again = (await openStorage(fs.kill())).log(0);
    expect(texts(again)).toEqual(['2@2', '3@3']);
    expect(again.hardState).toEqual(hard(3, 0, 2));
  });

  test('hands out as many entries as fit, at least one', async () => {
    const storage = await openStorage();
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    await storage.write([writeOf(0, { entries: entriesOf(2, 9, 1, 84) })]);
    const log = storage.log(0);
    const indexes = (from: number, to: number, bytesMax: number) =>
      log.entries(from, to, bytesMax)?.map(({ index }) => index);
    expect(indexes(2, 10, 0)).toEqual([2]);
    expect(indexes(2, 10, 299)).toEqual([2, 3]);
    expect(indexes(2, 10, 300)).toEqual([2, 3, 4]);
    expect(indexes(5, 7, 10_000)).toEqual([5, 6]);
    expect(indexes(8, 100, 10_000)).toEqual([8, 9]);
    expect(indexes(10, 11, 10_000)).toEqual([]);
    storage.compact(0, 1);
    await storage.write([writeOf(0, { hardState: hard(1, 0, 9) })]);
    storage.compact(0, 5);
    expect(indexes(5, 7, 10_000)).toBeUndefined();
    expect(indexes(6, 7, 10_000)).toEqual([6]);
    expect([log.firstIndex(), log.term(5), log.term(4)]).toEqual([6, 1, undefined]);
  });

  test('starts anew behind a snapshot, with what follows it in the same write', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs);
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: false });
    await storage.write([writeOf(0, { hardState: hard(4, 2, 0), entries: entriesOf(1, 3, 4) })]);
    await storage.write([writeOf(0, { snapshot: { term: 4, index: 100 } })]);
    expect([storage.log(0).lastIndex(), storage.log(0).term(100), storage.log(0).hardState]).toEqual([
      100,
      4,
      hard(4, 2, 100),
    ]);
    await storage.write([
      writeOf(0, { hardState: hard(5, 0, 201), snapshot: { term: 5, index: 200 }, entries: entriesOf(201, 202, 5) }),
    ]);
    const log = (await openStorage(fs.kill())).log(0);
    expect([log.firstIndex(), log.lastIndex(), log.term(200), log.hardState]).toEqual([201, 202, 5, hard(5, 0, 201)]);
  });

  test('that is removed leaves its replica id, which must not come back', async () => {
    const fs = new MemoryFileSystem();
    let storage = await openStorage(fs);
    await storage.createGroup({ groupId: 7, replicaId: 5, bootstrap: true });
    await expect(storage.createGroup({ groupId: 7, replicaId: 6, bootstrap: true })).rejects.toMatchObject({
      code: 'RAFT_GROUP_EXISTS',
    });
    await storage.write([writeOf(7, { entries: entriesOf(2, 20, 1, 100) })]);
    await storage.removeGroup(7);
    await storage.removeGroup(7);
    expect(() => storage.log(7)).toThrow(expect.objectContaining({ code: 'RAFT_UNKNOWN_GROUP' }));
    storage.compact(7, 5);
    expect(storage.stats()).toMatchObject({ groups: 0, entriesInMemory: 0, bytesInMemory: 0 });
    await expect(storage.write([writeOf(7, { hardState: hard(2, 0, 1) })])).rejects.toMatchObject({
      code: 'RAFT_UNKNOWN_GROUP',
    });
    let disk = fs.kill();
    for (const isClosed of [false, true]) {
      storage = await openStorage(disk);
      expect(storage.storedGroups).toEqual([{ groupId: 7, replicaId: 5, removed: true }]);
      for (const replicaId of [4, 5]) {
        await expect(storage.createGroup({ groupId: 7, replicaId, bootstrap: true })).rejects.toMatchObject({
          code: 'RAFT_REPLICA_REMOVED',
        });
      }
      if (!isClosed) await storage.close();
      if (!isClosed) disk = disk.kill();
    }
    await storage.createGroup({ groupId: 7, replicaId: 6, bootstrap: false });
    expect(storage.log(7).lastIndex()).toBe(0);
    const again = await openStorage(disk.kill());
    expect(again.storedGroups).toEqual([{ groupId: 7, replicaId: 6, removed: false }]);
    expect(again.log(7).lastIndex()).toBe(0);
  });
});

describe('a write', () => {
  test('of a thousand groups is one record and one data sync', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs, { segmentBytesMax: 2 ** 24 });
    const ids = Array.from({ length: 1024 }, (_, index) => index);
    await Promise.all(ids.map((groupId) => storage.createGroup({ groupId, replicaId: 1, bootstrap: true })));
    const before = fs.stats().operations;
    await storage.write(
      ids.map((groupId) => writeOf(groupId, { hardState: hard(2, 1, 1), entries: entriesOf(2, 4, 2) })),
    );
    const after = fs.stats().operations;
    expect(after.datasync - before.datasync).toBe(1);
    expect((await storage.verify()).entries).toBe(3 * 1024);
  });

  test('waits for the one under way, and goes with all that waits', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs, { segmentBytesMax: 2 ** 20 });
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    const before = fs.stats().operations.datasync;
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        storage.write([writeOf(0, { entries: entriesOf(2 + i, 2 + i, 1) })]).then(() => order.push(i)),
      ),
    );
    expect(fs.stats().operations.datasync - before).toBe(2);
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  test('without anything in it resolves when what is before it is durable', async () => {
    const storage = await openStorage();
    await storage.write([]);
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    let isDone = false;
    const first = storage.write([writeOf(0, { entries: entriesOf(2, 2, 1) })]).then(() => {
      isDone = true;
    });
    await storage.write([writeOf(0, {})]);
    await first;
    expect(isDone).toBe(true);
  });

  test('keeps large and small data apart and whole', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs, { segmentBytesMax: 2 ** 20 });
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    // Data from one buffer, side by side; and sizes on both sides of what is copied.
    const frame = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251);
    const sizes = [10, 0, 20, 16_383, 16_384, 100, 70_000, 5, 60_000, 1];
    let at = 3;
    const entries = sizes.map((size, i) => {
      at += size;
      return entry(2 + i, 1, frame.subarray(at - size, at));
    });
    for (const some of [entries.slice(0, 3), entries.slice(3, 6), entries.slice(6)]) {
      await storage.write([writeOf(0, { entries: some })]);
    }
    const log = (await openStorage(fs.kill())).log(0);
    const found = log.entries(2, 12, Number.POSITIVE_INFINITY)!;
    for (const [i, { data }] of found.entries()) expect(Buffer.compare(data, entries[i]!.data)).toBe(0);
    expect(found.length).toBe(sizes.length);
  });

  test('that cannot follow what is there is refused whole', async () => {
    const storage = await openStorage();
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    await storage.createGroup({ groupId: 1, replicaId: 1, bootstrap: true });
    await storage.write([writeOf(0, { hardState: hard(3, 2, 3), entries: entriesOf(2, 5, 3) })]);
    const wrong = [
      { entries: entriesOf(7, 7, 3) },
      { entries: entriesOf(1, 1, 3) },
      { entries: [...entriesOf(6, 6, 3), ...entriesOf(8, 8, 3)] },
      { entries: entriesOf(6, 6, 2) },
      { entries: entriesOf(6, 6, 4) },
      { hardState: hard(2, 2, 3) },
      { hardState: hard(3, 1, 3) },
      { hardState: hard(3, 2, 2) },
      { hardState: hard(3, 2, 6) },
      { snapshot: { term: 3, index: 2 } },
    ];
    for (const write of wrong) {
      const writes = [writeOf(1, { entries: entriesOf(2, 2, 1) }), writeOf(0, write)];
      await expect(storage.write(writes)).rejects.toMatchObject({ code: 'RAFT_MISUSE' });
    }
    const twice = [writeOf(1, { entries: entriesOf(2, 2, 1) }), writeOf(1, { entries: entriesOf(3, 3, 1) })];
    await expect(storage.write(twice)).rejects.toMatchObject({ code: 'RAFT_MISUSE' });
    await expect(storage.write([writeOf(9, {})])).rejects.toMatchObject({ code: 'RAFT_UNKNOWN_GROUP' });
    expect([storage.log(1).lastIndex(), storage.log(0).lastIndex()]).toEqual([1, 5]);
  });

  test('that is under way too long is told by stalledMs', async () => {
    const fs = new MemoryFileSystem();
    const clock = new VirtualClock();
    const storage = await openStorage(fs, { clock });
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    expect(storage.stalledMs()).toBe(0);
    let release!: () => void;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    fs.onOperation = ({ kind }) => (kind === 'datasync' ? held : undefined);
    const first = storage.write([writeOf(0, { entries: entriesOf(2, 2, 1) })]);
    await clock.advanceAsync(300);
    const second = storage.write([writeOf(0, { entries: entriesOf(3, 3, 1) })]);
    await clock.advanceAsync(200);
    expect(storage.stalledMs()).toBe(500);
    fs.onOperation = undefined;
    release();
    await Promise.all([first, second]);
    expect(storage.stalledMs()).toBe(0);
    await storage.close();
  });
});

describe('a log', () => {
  test('knows its node, its cluster and its incarnation', async () => {
    const fs = new MemoryFileSystem();
    let storage = await openStorage(fs, { random: () => 0.999 });
    const { incarnation } = storage;
    expect(incarnation).toBe('f'.repeat(32));
    expect([storage.nodeId, storage.clusterId]).toEqual(['n1', '']);
    await storage.close();
    storage = await openStorage(fs, { clusterId: 'c1' });
    expect([storage.incarnation, storage.clusterId]).toEqual([incarnation, 'c1']);
    // It is kept, and need not be said again.
    storage = await openStorage(fs.crash({ next: () => 0 }));
    expect(storage.clusterId).toBe('c1');
    const wrong = { code: 'RAFT_WRONG_NODE' };
    await expect(openStorage(fs.kill(), { nodeId: 'n2' })).rejects.toMatchObject(wrong);
    await expect(openStorage(fs.kill(), { clusterId: 'c2' })).rejects.toMatchObject(wrong);
    expect((await openStorage(new MemoryFileSystem())).incarnation).not.toBe(incarnation);
  });

  test('that is open is refused to others, until it is closed', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs);
    await expect(openStorage(fs)).rejects.toMatchObject({ code: 'RAFT_STORAGE_LOCKED' });
    await storage[Symbol.asyncDispose]();
    await storage.close();
    await expect(storage.write([])).rejects.toMatchObject({ code: 'RAFT_CLOSED' });
    await expect(storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true })).rejects.toMatchObject({
      code: 'RAFT_CLOSED',
    });
    await (await openStorage(fs)).close();
  });

  test('that was refused is as it was, and not locked', async () => {
    const fs = new MemoryFileSystem();
    await (await openStorage(fs)).close();
    const mutations = fs.stats().mutations;
    await expect(openStorage(fs, { nodeId: 'n2' })).rejects.toMatchObject({ code: 'RAFT_WRONG_NODE' });
    // The lock was taken and given back.
    expect(fs.stats().mutations - mutations).toBe(2);
    await (await openStorage(fs)).close();
  });

  test('of a node that does not replicate, or of a newer version, is refused', async () => {
    for (const record of [[1, 0], [4], [0], [3, 2]]) {
      const fs = new MemoryFileSystem();
      const wal = await Wal.open({ dir: DIR, fs });
      await wal.append(Uint8Array.from(record));
      await wal.close();
      await expect(openStorage(fs)).rejects.toMatchObject({ code: 'RAFT_UNSUPPORTED_FORMAT' });
    }
  });

  test('makes what was written before durable when it is closed, and ends with a checkpoint', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs);
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    const done = storage.write([writeOf(0, { hardState: hard(1, 0, 4), entries: entriesOf(2, 5, 1) })]);
    const closing = storage.close();
    await done;
    await closing;
    const written = fs.stats().bytesWritten;
    const again = await openStorage(fs);
    expect(texts(again.log(0)).length).toBe(4);
    await again.close();
    // Nothing happened: no checkpoint is needed.
    expect(fs.stats().bytesWritten).toBe(written);
  });

  test('refuses options that make no sense', async () => {
    const options = { dir: DIR, nodeId: 'n1', random: Math.random, fs: new MemoryFileSystem() };
    for (const wrong of [
      { nodeId: '' },
      { random: undefined },
      { durability: 'none' },
      { pinnedBytesMax: -1 },
      { segmentBytesMax: 1 },
      { dir: '' },
    ]) {
      await expect(WalStorage.open({ ...options, ...wrong } as never)).rejects.toMatchObject({
        code: 'RAFT_INVALID_OPTION',
      });
    }
  });

  test('that was opened does not keep what it was read from in memory', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs, { segmentBytesMax: 2 ** 20 });
    for (const groupId of [0, 1]) await storage.createGroup({ groupId, replicaId: 1, bootstrap: true });
    await storage.write([
      writeOf(0, { entries: entriesOf(2, 4, 1, 100) }),
      writeOf(1, { entries: entriesOf(2, 9, 1, 20_000) }),
    ]);
    const log = (await openStorage(fs.kill())).log(0);
    // A group's entries of one write may share memory, and with nothing else.
    for (const { data } of log.entries(2, 5, 1000)!) expect(data.buffer.byteLength).toBe(300);
  });

  test('does not keep the frame in memory in which a rarely written entry came', async () => {
    const fs = new MemoryFileSystem();
    const storage = await openStorage(fs, { segmentBytesMax: 4096, pinnedBytesMax: 0 });
    await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
    await storage.createGroup({ groupId: 1, replicaId: 1, bootstrap: true });
    const frame = new Uint8Array(100_000);
    frame.set(bytes('cold'), 50);
    await storage.write([writeOf(0, { entries: [entry(2, 1, frame.subarray(50, 54))] })]);
    for (let index = 2; index < 60; index++) {
      await storage.write([writeOf(1, { hardState: hard(1, 0, index), entries: entriesOf(index, index, 1, 500) })]);
      storage.compact(1, index);
    }
    expect(storage.stats().entriesCarried).toBeGreaterThan(0);
    const [kept] = storage.log(0).entries(2, 3, 100)!;
    expect(kept!.data.buffer.byteLength).toBe(4);
    expect(texts(storage.log(0))).toEqual(['cold']);
  });
});

test('a write that waited while its group was compacted is taken, and what is compacted stays committed', async () => {
  const fs = new MemoryFileSystem();
  const storage = await openStorage(fs);
  await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
  await storage.write([writeOf(0, { entries: entriesOf(2, 10, 1) })]);
  storage.compact(0, 9);
  // Made when only 8 was known to be committed.
  await storage.write([writeOf(0, { hardState: { term: 1, vote: 0, commit: 8 }, entries: entriesOf(11, 11, 1) })]);
  expect(storage.log(0).hardState.commit).toBe(9);
  await expect(storage.write([writeOf(0, { hardState: { term: 1, vote: 2, commit: 12 } })])).rejects.toMatchObject({
    code: 'RAFT_MISUSE',
  });
  for (const found of [fs.kill(), fs.crash({ next: () => 0 })]) {
    const again = (await openStorage(found)).log(0);
    expect([again.hardState.commit, again.lastIndex()]).toEqual([9, 11]);
  }
  await storage.close();
  const closed = (await openStorage(fs)).log(0);
  expect([closed.firstIndex(), closed.hardState.commit, closed.lastIndex()]).toEqual([10, 9, 11]);
});
