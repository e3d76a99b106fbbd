// Disks that fill up, fail and lie, and files that are damaged.
import { MemoryFileSystem } from 'nori-io/memory';
import { RaftError } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import {
  compacted,
  created,
  difference,
  entriesOf,
  type Model,
  NO_GROUPS,
  openStorage,
  randomWrite,
  readAll,
  removed,
  replaceAll,
  segmentFiles,
  writeOf,
  written,
} from './helpers.js';

const SEED = seedFromEnv();
const ROUNDS = Number(process.env.NORI_ROUNDS ?? 40);

async function withGroup(fs = new MemoryFileSystem()) {
  const storage = await openStorage(fs);
  await storage.createGroup({ groupId: 0, replicaId: 1, bootstrap: true });
  return { fs, storage, log: storage.log(0) };
}

describe('a full disk', () => {
  test('fails the write and all that waits behind it, shows nothing of them, and takes the next', async () => {
    const { fs, storage, log } = await withGroup();
    await storage.write([writeOf(0, { entries: entriesOf(2, 5, 1) })]);
    fs.inject({ on: 'write', code: 'IO_NO_SPACE' });
    const failing = [
      storage.write([writeOf(0, { hardState: { term: 2, vote: 3, commit: 2 }, entries: entriesOf(4, 4, 2) })]),
      storage.write([writeOf(0, { snapshot: { term: 2, index: 50 } })]),
      storage.write([writeOf(0, { entries: entriesOf(51, 52, 2) })]),
      storage.removeGroup(0),
      storage.createGroup({ groupId: 0, replicaId: 2, bootstrap: true }),
      storage.createGroup({ groupId: 1, replicaId: 1, bootstrap: true }),
    ];
    expect(storage.log(0).lastIndex()).toBe(1);
    for (const result of await Promise.allSettled(failing)) {
      expect(result).toMatchObject({ reason: { code: 'RAFT_NO_SPACE' } });
    }
    expect(storage.log(0)).toBe(log);
    expect(log.entries(2, 6, 1000)).toEqual(entriesOf(2, 5, 1));
    expect(log.hardState).toEqual({ term: 1, vote: 0, commit: 1 });
    expect(() => storage.log(1)).toThrow(RaftError);
    await storage.write([writeOf(0, { entries: entriesOf(6, 6, 1) })]);
    const again = (await openStorage(fs.crash({ next: () => 0 }))).log(0);
    expect(again.entries(2, 7, 1000)).toEqual(entriesOf(2, 6, 1));
  });

  test('at random leaves memory and disk as what succeeded', async () => {
    const rng = new Rng(SEED);
    for (let round = 0; round < ROUNDS; round++) {
      const seed = rng.int(2 ** 31);
      await runOutOfSpace(seed).catch((cause: Error) => {
        throw new Error(`NORI_SEED=${SEED}, seed ${seed} of round ${round}: ${cause.message}`, { cause });
      });
    }
  }, 3_600_000);

  test('does not keep a log from being opened, read, compacted and closed', async () => {
    const { fs, storage } = await withGroup();
    for (let last = 1; last < 100; last++) {
      const hardState = { term: 1, vote: 0, commit: last };
      await storage.write([writeOf(0, { hardState, entries: entriesOf(last + 1, last + 1, 1, 1000) })]);
    }
    const full = fs.kill();
    full.capacityBytes = 0;
    const again = await openStorage(full);
    expect(again.log(0).lastIndex()).toBe(100);
    await expect(again.write([writeOf(0, { entries: entriesOf(101, 101, 1) })])).rejects.toMatchObject({
      code: 'RAFT_NO_SPACE',
    });
    again.compact(0, 99);
    await again.close();
    await expect(openStorage(new MemoryFileSystem({ capacityBytes: 0 }))).rejects.toMatchObject({
      code: 'RAFT_NO_SPACE',
    });
  });

  test('takes back a write in full though it was asked to compact beyond what is durable', async () => {
    const { fs, storage, log } = await withGroup();
    await storage.write([writeOf(0, { entries: entriesOf(2, 5, 1) })]);
    fs.inject({ on: 'write', code: 'IO_NO_SPACE' });
    const failing = storage.write([writeOf(0, { entries: entriesOf(6, 9, 1) })]);
    storage.compact(0, 100);
    expect([log.firstIndex(), log.lastIndex()]).toEqual([6, 9]);
    await expect(failing).rejects.toMatchObject({ code: 'RAFT_NO_SPACE' });
    expect([log.firstIndex(), log.lastIndex(), log.term(5), log.term(6)]).toEqual([6, 5, 1, undefined]);
    await storage.write([writeOf(0, { entries: entriesOf(6, 6, 1) })]);
    await storage.close();
    expect((await openStorage(fs)).log(0).entries(6, 9, 1000)).toEqual(entriesOf(6, 6, 1));
  });

  test('keeps what is compacted committed, though the write that said so failed', async () => {
    const { fs, storage, log } = await withGroup();
    await storage.write([writeOf(0, { entries: entriesOf(2, 9, 1) })]);
    fs.inject({ on: 'write', code: 'IO_NO_SPACE' });
    await storage.write([writeOf(0, { hardState: { term: 1, vote: 0, commit: 9 } })]).catch(() => undefined);
    expect(log.hardState.commit).toBe(1);
    storage.compact(0, 7);
    expect([log.hardState.commit, log.firstIndex()]).toEqual([7, 8]);
    await storage.close();
    const again = (await openStorage(fs)).log(0);
    expect([again.hardState.commit, again.firstIndex(), again.lastIndex()]).toEqual([7, 8, 9]);
  });

  test('takes a write again though its log was compacted, and a checkpoint written, beyond the commit that it states', async () => {
    const { fs, storage, log } = await withGroup();
    await storage.write([writeOf(0, { entries: entriesOf(2, 9, 1) })]);
    fs.inject({ on: 'write', code: 'IO_NO_SPACE' });
    const write = writeOf(0, { hardState: { term: 1, vote: 0, commit: 5 }, entries: entriesOf(10, 10, 1) });
    await expect(storage.write([write])).rejects.toMatchObject({ code: 'RAFT_NO_SPACE' });
    // The state machine is durable up to here, so this is committed.
    storage.compact(0, 7);
    await storage.createGroup({ groupId: 1, replicaId: 1, bootstrap: true });
    await storage.write([write]);
    expect([log.hardState.commit, log.lastIndex()]).toEqual([7, 10]);
    await storage.write([writeOf(0, { hardState: { term: 1, vote: 0, commit: 6 } })]);
    await storage.close();
    const again = (await openStorage(fs)).log(0);
    expect([again.hardState.commit, again.firstIndex(), again.lastIndex()]).toEqual([7, 8, 10]);
  });
});

async function runOutOfSpace(seed: number): Promise<void> {
  const rng = new Rng(seed);
  const fs = new MemoryFileSystem();
  const options = { segmentBytesMax: 4096, pinnedBytesMax: rng.pick([0, 8192]) };
  let storage = await openStorage(fs, options);
  let model: Model = NO_GROUPS;
  for (let turn = 0; turn < 40; turn++) {
    if (rng.chance(0.5)) {
      const on = rng.pick(['write', 'write', 'create'] as const);
      fs.inject({ on, code: 'IO_NO_SPACE', after: rng.int(4), times: rng.range(1, 3), writtenFraction: rng.next() });
    }
    // What is told without waiting: it fails from some point on.
    const models: Model[] = [model];
    const done: Promise<unknown>[] = [];
    let isFailed = false;
    const told = (after: Model, result: Promise<void>): void => {
      models.push(after);
      done.push(
        result.catch((error: unknown) => {
          isFailed = true;
          return error;
        }),
      );
    };
    for (let count = rng.range(1, 6); count > 0 && !isFailed; count--) {
      const before = models.at(-1)!;
      const live = [...before].filter(([, group]) => !group.removed).map(([groupId]) => groupId);
      const dice = rng.next();
      if (live.length === 0 || dice < 0.2) {
        const groupId = rng.int(100);
        const replicaId = (before.get(groupId)?.replicaId ?? 0) + 1;
        if (live.includes(groupId)) continue;
        const group = { groupId, replicaId, bootstrap: true };
        told(created(before, group), storage.createGroup(group));
      } else if (dice < 0.25) {
        const groupId = rng.pick(live);
        told(removed(before, groupId), storage.removeGroup(groupId));
      } else {
        const writes = randomWrite(rng, before, { groupsMax: 4, bytesMax: 300 });
        told(written(before, writes), storage.write(writes));
      }
      const durable = [...model].filter(([groupId, group]) => !group.removed && !models.at(-1)!.get(groupId)!.removed);
      if (durable.length > 0 && rng.chance(0.3)) {
        const [groupId, { hardState }] = rng.pick(durable);
        // A group that was removed and made anew meanwhile is another one.
        if (models.at(-1)!.get(groupId)!.replicaId !== model.get(groupId)!.replicaId) continue;
        storage.compact(groupId, hardState.commit);
        for (let i = 0; i < models.length; i++) models[i] = compacted(models[i]!, groupId, hardState.commit);
      }
      if (rng.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
    }
    const results = await Promise.all(done);
    const kept = results.findIndex((error) => error !== undefined);
    for (const error of kept < 0 ? [] : results.slice(kept)) expect(error).toMatchObject({ code: 'RAFT_NO_SPACE' });
    model = models[kept < 0 ? results.length : kept]!;
    const found = difference(storage, model);
    if (found !== undefined) throw new Error(`turn ${turn}: ${found}`);
    if (rng.chance(0.2)) {
      const again = await openStorage(rng.chance(0.5) ? fs.kill() : fs.crash(rng), options);
      expect(difference(again, model)).toBeUndefined();
    }
  }
  await storage.close();
  storage = await openStorage(fs, options).catch((error: RaftError) => {
    // What was injected and not hit.
    if (error.code !== 'RAFT_NO_SPACE') throw error;
    return openStorage(fs.kill(), options);
  });
  expect(difference(storage, model)).toBeUndefined();
}

describe('a disk that fails', () => {
  test('ends the log: nothing is acknowledged any more', async () => {
    for (const on of ['datasync', 'write'] as const) {
      const { fs, storage } = await withGroup();
      fs.inject({ on });
      const failing = [2, 3, 4].map((index) => storage.write([writeOf(0, { entries: entriesOf(index, index, 1) })]));
      for (const result of await Promise.allSettled(failing)) {
        expect(result).toMatchObject({ reason: { code: 'RAFT_STORAGE_FAILED', cause: { code: 'WAL_POISONED' } } });
      }
      const failed = { code: 'RAFT_STORAGE_FAILED' };
      await expect(storage.write([writeOf(0, { entries: entriesOf(2, 2, 1) })])).rejects.toMatchObject(failed);
      await expect(storage.createGroup({ groupId: 1, replicaId: 1, bootstrap: true })).rejects.toMatchObject(failed);
      await expect(storage.removeGroup(0)).rejects.toMatchObject(failed);
      expect(storage.stats().failed).toBe(true);
      expect(storage.stalledMs()).toBe(0);
      await storage.close();
      // Some of what failed may be there, from the first on.
      const last = (await openStorage(fs.kill())).log(0).lastIndex();
      expect(last === 1 || last === 2 || last === 4).toBe(true);
    }
  });

  test('while a segment is begun ends the log as well', async () => {
    const { fs, storage } = await withGroup();
    fs.inject({ on: 'create', code: 'IO_TOO_MANY_FILES' });
    const results = [];
    for (let index = 2; index < 30; index++) {
      results.push(storage.write([writeOf(0, { entries: entriesOf(index, index, 1, 1000) })]));
    }
    const settled = await Promise.allSettled(results);
    const failed = settled.findIndex(({ status }) => status === 'rejected');
    for (const result of settled.slice(failed))
      expect(result).toMatchObject({ reason: { code: 'RAFT_STORAGE_FAILED' } });
    expect(storage.log(0).lastIndex()).toBe(1 + failed);
  });

  test('while it is opened is reported, and leaves no lock', async () => {
    const { fs, storage } = await withGroup();
    await storage.close();
    fs.inject({ on: 'read' });
    await expect(openStorage(fs)).rejects.toMatchObject({ code: 'RAFT_STORAGE_FAILED' });
    await (await openStorage(fs)).close();
  });

  test('while old segments are removed keeps nobody from writing', async () => {
    const { fs, storage } = await withGroup();
    const fault = fs.inject({ on: ['unlink', 'rename'], times: Number.POSITIVE_INFINITY });
    const write = async (from: number, to: number) => {
      for (let last = from; last < to; last++) {
        const hardState = { term: 1, vote: 0, commit: last };
        await storage.write([writeOf(0, { hardState, entries: entriesOf(last + 1, last + 1, 1, 1000) })]);
        storage.compact(0, last);
      }
    };
    await write(1, 100);
    expect(fault.hits).toBeGreaterThan(0);
    expect(storage.stats().segments).toBeGreaterThan(4);
    fault.remove();
    await write(100, 120);
    expect(storage.stats().segments).toBeLessThan(4);
  });
});

describe('files', () => {
  /** A log of several segments. */
  async function longLog(isClosed: boolean) {
    const { fs, storage } = await withGroup();
    for (let last = 1; last < 60; last++) {
      await storage.write([writeOf(0, { entries: entriesOf(last + 1, last + 1, 1, 1000) })]);
    }
    if (isClosed) await storage.close();
    const found = fs.kill();
    return { fs: found, files: await segmentFiles(found) };
  }

  test('with a torn tail lose what was not acknowledged, and no more', async () => {
    const { fs, files } = await longLog(false);
    const last = files.at(-1)!;
    const content = readAll(fs, last);
    for (let cut = 0; cut < 3000; cut += 97) {
      const torn = fs.kill();
      let end = content.length;
      while (end > 0 && content[end - 1] === 0) end -= 1;
      await replaceAll(torn, last, content.subarray(0, Math.max(100, end - cut)));
      const storage = await openStorage(torn);
      const log = storage.log(0);
      expect(log.lastIndex()).toBeGreaterThan(40);
      expect(log.entries(2, 100, 2 ** 30)!.length).toBe(log.lastIndex() - 1);
      await storage.write([writeOf(0, { entries: entriesOf(log.lastIndex() + 1, log.lastIndex() + 1, 1) })]);
      expect((await storage.verify()).entries).toBe(log.lastIndex() - 1);
    }
  });

  test('damaged in the middle are refused, by file and offset', async () => {
    const { fs, files } = await longLog(true);
    expect(files.length).toBeGreaterThan(3);
    for (const path of files) {
      const damaged = fs.kill();
      const content = readAll(damaged, path);
      content[Math.floor(content.length / 2)]! ^= 1;
      await replaceAll(damaged, path, content);
      await expect(openStorage(damaged)).rejects.toMatchObject({
        code: 'RAFT_CORRUPT_STATE',
        message: expect.stringContaining(path),
        cause: { file: path },
      });
    }
  });

  test('of which the first ones are missing are refused, by group and position', async () => {
    const { fs, files } = await longLog(true);
    const before = fs.kill();
    await fs.unlink(files[0]!);
    await expect(openStorage(fs)).rejects.toMatchObject({
      code: 'RAFT_CORRUPT_STATE',
      message: expect.stringMatching(/position \d+: entries 2 to \d+ of group 0 are missing/),
    });
    // In the middle, or at the end with what vouches for it.
    await before.unlink(files[1]!);
    await expect(openStorage(before)).rejects.toMatchObject({ code: 'RAFT_CORRUPT_STATE' });
  });
});
