import { MemoryFileSystem } from 'nori-io/memory';
import { afterEach, describe, expect, test } from 'vitest';
import { type Fixture, get, HeldClock, openFixture, put, remove, utf8, write } from './fixture.js';

let fixture: Fixture | undefined;
const open = async (options: Parameters<typeof openFixture>[0] = {}) => (fixture = await openFixture(options));
const CLIENT = '0f'.repeat(16);
const identity = (sequence: number, floor = 1, ageMs = 0) => ({ clientId: CLIENT, sequence, floor, ageMs });

afterEach(async () => {
  await fixture?.store.close({ flush: false });
  fixture = undefined;
});

describe('versions and conditions', () => {
  test('a version is the position of the write in its shard, and grows', async () => {
    const { node } = await open();
    const first = await put(node, 'k', 'one');
    const second = await put(node, 'k', 'two');
    // Behind the group's first configuration and the entry of its leader.
    expect(first).toMatchObject({ term: 2, index: 3 });
    expect(second.index).toBeGreaterThan(first.index);
    expect(await get(node, 'k')).toEqual({ value: 'two', term: 2, index: second.index });
  });

  test('two writes of one key in one turn get versions of their own', async () => {
    const { node } = await open();
    const [a, b] = await Promise.all([put(node, 'k', 'a'), put(node, 'k', 'b')]);
    expect(a.index).not.toBe(b.index);
    expect((await get(node, 'k'))?.value).toBe('b');
  });

  test('ifAbsent holds once', async () => {
    const { node } = await open();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) => put(node, 'lock', `owner ${i}`, { ifAbsent: true })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const lost = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    expect(lost.reason).toMatchObject({ code: 'ALREADY_EXISTS', current: { term: 2 } });
  });

  test('ifVersion lets one of many through, and names the version there is', async () => {
    const { node } = await open();
    const version = await put(node, 'k', 'zero');
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) => put(node, 'k', `${i}`, { ifVersion: version })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const now = (await get(node, 'k'))!;
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') {
        expect(outcome.reason).toMatchObject({
          code: 'VERSION_MISMATCH',
          current: { term: now.term, index: now.index },
        });
      }
    }
    await expect(put(node, 'missing', 'x', { ifVersion: version })).rejects.toMatchObject({
      code: 'VERSION_MISMATCH',
      current: undefined,
    });
  });

  test('a delete says whether its key existed', async () => {
    const { node } = await open();
    await put(node, 'k', 'v');
    expect((await remove(node, 'k')).existed).toBe(true);
    expect((await remove(node, 'k')).existed).toBe(false);
    expect(await get(node, 'k')).toBeUndefined();
  });

  test('an atomic batch happens whole or not at all', async () => {
    const { node } = await open();
    await put(node, '{t}a', 'old');
    const operation = (key: string, value: string, ifAbsent = false) => ({
      kind: 'put' as const,
      key: utf8(key),
      value: utf8(value),
      ttlMs: 0,
      ifAbsent,
      ifVersion: undefined,
    });
    await expect(write(node, [operation('{t}b', 'new'), operation('{t}a', 'new', true)])).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    expect(await get(node, '{t}b')).toBeUndefined();
    const [b, a] = await write(node, [operation('{t}b', 'new'), operation('{t}a', 'new')]);
    expect(a?.index).toBe(b?.index);
    expect((await get(node, '{t}a'))?.value).toBe('new');
    await expect(write(node, [operation('a', ''), operation('b', '')])).rejects.toMatchObject({ code: 'CROSS_SHARD' });
  });
});

describe('exactly once', () => {
  test('a retried write is answered with its first outcome and not applied again', async () => {
    const { node } = await open();
    const first = await put(node, 'k', 'first', { identity: identity(1) });
    await put(node, 'k', 'later', { identity: identity(2) });
    expect(await put(node, 'k', 'first', { identity: identity(1, 1, 50) })).toEqual(first);
    expect((await get(node, 'k'))?.value).toBe('later');
  });

  test('a retried condition keeps its first answer, failure included', async () => {
    const { node } = await open();
    const first = await put(node, 'k', 'v', { ifAbsent: true, identity: identity(1) });
    await expect(put(node, 'k', 'w', { ifAbsent: true, identity: identity(2) })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    await remove(node, 'k', { identity: identity(3) });
    await expect(put(node, 'k', 'w', { ifAbsent: true, identity: identity(2) })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    expect(await put(node, 'k', 'v', { ifAbsent: true, identity: identity(1) })).toEqual(first);
    expect(await get(node, 'k')).toBeUndefined();
  });

  test('outcomes survive a restart, from the log and from the marks', async () => {
    for (const flush of [false, true]) {
      const { node, store, fs } = await open();
      const first = await put(node, 'k', 'first', { identity: identity(1) });
      await put(node, 'k', 'second', { identity: identity(2) });
      await store.close({ flush });
      const again = await open({ fs });
      expect(await put(again.node, 'k', 'first', { identity: identity(1) })).toEqual(first);
      expect((await get(again.node, 'k'))?.value).toBe('second');
      await again.store.close({ flush: false });
      fixture = undefined;
    }
  });

  test('below its floor a write is refused', async () => {
    const { node } = await open();
    await put(node, 'k', 'v', { identity: identity(1) });
    await put(node, 'k', 'w', { identity: identity(2, 2) });
    await expect(put(node, 'k', 'v', { identity: identity(1) })).rejects.toMatchObject({ code: 'STALE_SEQUENCE' });
  });
});

describe('expiry', () => {
  test('a key expires on its shard time, and stays expired when the clock goes back', async () => {
    const clock = new HeldClock();
    const { node } = await open({ clock });
    await put(node, 'k', 'v', { ttlMs: 1000 });
    await clock.advanceAsync(999);
    expect((await get(node, 'k'))?.value).toBe('v');
    await clock.advanceAsync(1);
    expect(await get(node, 'k')).toBeUndefined();
    clock.jumpWallTime(-10_000);
    expect(await get(node, 'k')).toBeUndefined();
    await put(node, 'k', 'again', { ifAbsent: true });
    expect((await get(node, 'k'))?.value).toBe('again');
  });
});

describe('the end of a write', () => {
  test('what is past its deadline when its turn comes is not done', async () => {
    const { node } = await open();
    await expect(put(node, 'k', 'v', { deadlineMs: 0 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(await get(node, 'k')).toBeUndefined();
  });

  test('after close writes are refused and what was accepted is there', async () => {
    const { node, store, fs } = await open();
    const accepted = Array.from({ length: 50 }, (_, i) => put(node, `k${i}`, `v${i}`));
    await store.close({ flush: true });
    await Promise.all(accepted);
    await expect(put(node, 'late', 'v')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const again = await open({ fs });
    for (let i = 0; i < 50; i++) expect((await get(again.node, `k${i}`))?.value).toBe(`v${i}`);
  });

  test('a full disk refuses writes, keeps reading, and lets writes in again when space returns', async () => {
    const { node, store, fs } = await open();
    await put(node, 'k', 'before');
    const fault = fs.inject({
      on: 'write',
      path: /\/data\/raft\//,
      code: 'IO_NO_SPACE',
      times: Number.POSITIVE_INFINITY,
    });
    // It is in the log's hands when the log learns that there is no space, and waits for it there.
    const during = put(node, 'k', 'during');
    await expect.poll(() => store.refusal).toContain('full');
    await expect(put(node, 'k', 'later')).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    expect((await get(node, 'k'))?.value).toBe('before');
    fault.remove();
    await during;
    await put(node, 'k', 'after');
    expect((await get(node, 'k'))?.value).toBe('after');
  });

  test('a failed fdatasync ends the log: the write is in doubt, later ones are refused, the node is told', async () => {
    const { node, fs, log } = await open();
    await put(node, 'k', 'before');
    fs.inject({ on: 'datasync', path: /\/data\/raft\//, code: 'IO_FAILED' });
    await expect(put(node, 'k', 'during')).rejects.toMatchObject({ code: 'COMMIT_TIMEOUT' });
    expect(await log.failed).toMatchObject({ code: 'RAFT_STORAGE_FAILED' });
    await expect(put(node, 'k', 'later')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('restarts', () => {
  test('data comes back from tables and log together, and the log is cut behind the flushes', async () => {
    const fs = new MemoryFileSystem();
    const values = new Map<string, string>();
    for (let round = 0; round < 4; round++) {
      const { node, store } = await open({ fs });
      for (const [key, value] of values) expect((await get(node, key))?.value).toBe(value);
      for (let i = 0; i < 400; i++) {
        const key = `key ${(i * 7 + round) % 500}`;
        const value = `${round}/${i}/`.padEnd(300, 'x');
        values.set(key, value);
        await put(node, key, value);
      }
      await store.close({ flush: round % 2 === 0 });
    }
    const { node, log, report } = await open({ fs });
    expect(report.entriesReplayed).toBeGreaterThan(0);
    for (const [key, value] of values) expect((await get(node, key))?.value).toBe(value);
    await expect.poll(() => log.stats().bytes, { timeout: 10_000 }).toBeLessThan(400 * 1024);
  });
});
