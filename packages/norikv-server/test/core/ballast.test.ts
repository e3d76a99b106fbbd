// A full disk, with a ballast to give up: what is under way is stored, nothing new is taken, reads go on, the node can be stopped, and
// writes are taken again only when the ballast is there again.
import { MemoryFileSystem } from 'nori-io/memory';
import { afterEach, expect, test } from 'vitest';
import { type Fixture, get, openFixture, put } from './fixture.js';

const BALLAST_BYTES = 1024 * 1024;
const BALLAST = '/data/ballast';

let fixture: Fixture | undefined;
afterEach(async () => {
  await fixture?.store.close({ flush: false });
  fixture = undefined;
});

const usedBytes = async (fs: MemoryFileSystem): Promise<number> => {
  const before = fs.capacityBytes;
  fs.capacityBytes = 2 ** 40;
  const free = await fs.freeBytes('/data');
  fs.capacityBytes = before;
  return 2 ** 40 - free;
};

/** A store with its ballast, on a disk that has no more space. */
const openOnFullDisk = async (fs = new MemoryFileSystem({ capacityBytes: 64 * 1024 * 1024 })) => {
  fixture = await openFixture({ fs, memtableBytes: 8 * 1024 * 1024, ballastBytes: BALLAST_BYTES });
  await put(fixture.node, 'before', 'v');
  await expect.poll(async () => (await fs.stat(BALLAST))?.sizeBytes, { timeout: 10_000 }).toBe(BALLAST_BYTES);
  fs.capacityBytes = await usedBytes(fs);
  return { ...fixture, fs };
};

/** Writes until the disk is found full; resolves with the values that were acknowledged. */
const fill = async ({ node, store }: Fixture): Promise<Map<string, string>> => {
  const acknowledged = new Map<string, string>();
  for (let i = 0; store.refusal === undefined; i++) {
    const value = `${i}/`.padEnd(30_000, 'x');
    await put(node, `key ${i}`, value);
    acknowledged.set(`key ${i}`, value);
    if (i > 1000) throw new Error('The disk never became full');
  }
  return acknowledged;
};

test('the write that finds no space is stored in that of the ballast, and the next one is refused', async () => {
  const { node, fs, store } = await openOnFullDisk();
  const acknowledged = await fill(fixture!);
  expect(acknowledged.size).toBeGreaterThan(0);
  expect(await fs.stat(BALLAST)).toBeUndefined();
  expect(store.refusal).toContain('full');
  await expect(put(node, 'later', 'v')).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  for (const [key, value] of acknowledged) expect((await get(node, key))?.value).toBe(value);
  // A shard that nobody has asked for before.
  expect(await get(node, 'never written')).toBeUndefined();
});

test('writes are taken again when the ballast has been written anew, and not before', async () => {
  const { node, fs, store } = await openOnFullDisk();
  await fill(fixture!);
  // Room for writes, but not for the ballast.
  fs.capacityBytes += BALLAST_BYTES / 8;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(await fs.stat(BALLAST)).toBeUndefined();
  await expect(put(node, 'later', 'v')).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  fs.capacityBytes += 4 * BALLAST_BYTES;
  await expect.poll(() => store.refusal, { timeout: 10_000 }).toBeUndefined();
  expect((await fs.stat(BALLAST))?.sizeBytes).toBe(BALLAST_BYTES);
  await put(node, 'later', 'v');
}, 20_000);

test('a node whose disk is full can be stopped and started, and has all that it acknowledged', async () => {
  const { fs, store } = await openOnFullDisk();
  const acknowledged = await fill(fixture!);
  await store.close({ flush: true });
  fs.capacityBytes += 8 * BALLAST_BYTES;
  fixture = await openFixture({ fs, memtableBytes: 8 * 1024 * 1024, ballastBytes: BALLAST_BYTES });
  for (const [key, value] of acknowledged) expect((await get(fixture.node, key))?.value).toBe(value);
  await put(fixture.node, 'later', 'v');
});

test('a small disk gives a smaller ballast, and one of no bytes is not made', async () => {
  const fs = new MemoryFileSystem({ capacityBytes: 4 * 1024 * 1024 });
  fixture = await openFixture({ fs, ballastBytes: BALLAST_BYTES });
  await expect.poll(async () => (await fs.stat(BALLAST))?.sizeBytes ?? 0, { timeout: 10_000 }).toBeGreaterThan(0);
  expect((await fs.stat(BALLAST))?.sizeBytes).toBeLessThan(BALLAST_BYTES / 2);
  await fixture.store.close({ flush: false });
  fixture = await openFixture({ fs, ballastBytes: 0 });
  expect(await fs.stat(BALLAST)).toBeUndefined();
});
