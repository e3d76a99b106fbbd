// A log of format 1, checked in. NORI_UPDATE_GOLDEN=1 writes it if it is missing; what is there is never changed.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { MemoryFileSystem } from 'nori-io/memory';
import { encodeConfChange } from 'nori-raft';
import { Rng, VirtualClock } from 'nori-testkit';
import { expect, test } from 'vitest';
import type { GroupWrite, NewGroup } from '../../src/multi/ports.js';
import {
  compacted,
  created,
  DIR,
  difference,
  entriesOf,
  entry,
  type Model,
  NO_GROUPS,
  openStorage,
  readAll,
  removed,
  replaceAll,
  segmentFiles,
  writeOf,
  written,
} from './helpers.js';

const FOLDER = new URL('./golden/v1/', import.meta.url);
const OPTIONS = { nodeId: 'node-ä', clusterId: 'c', segmentBytesMax: 4096, pinnedBytesMax: 4096 };

/** Everything that the format has. */
async function write(fs: MemoryFileSystem): Promise<Model> {
  const rng = new Rng(1);
  const storage = await openStorage(fs, { ...OPTIONS, random: () => rng.next(), clock: new VirtualClock() });
  let model = NO_GROUPS;
  const create = (group: NewGroup) => {
    model = created(model, group);
    return storage.createGroup(group);
  };
  const store = (...writes: GroupWrite[]) => {
    model = written(model, writes);
    return storage.write(writes);
  };
  await create({ groupId: 0, replicaId: 1, bootstrap: true });
  await create({ groupId: 300, replicaId: 70_000, bootstrap: true });
  const change = encodeConfChange({ transition: 'auto', steps: [{ type: 'add-voter', id: 4 }] });
  await store(
    writeOf(0, { hardState: { term: 7, vote: 3, commit: 1 }, entries: entriesOf(2, 5, 7) }),
    writeOf(300, { entries: [{ index: 2, term: 1, type: 'conf-change', data: change }, entry(3, 1, '')] }),
  );
  // Enough for several segments, and for group 300 to be carried.
  for (let last = 5; last < 60; last++) {
    const hardState = { term: 9, vote: 0, commit: last };
    await store(writeOf(0, { hardState, entries: entriesOf(last + 1, last + 1, 9, 400) }));
    storage.compact(0, last - 1);
    model = compacted(model, 0, last - 1);
  }
  await Promise.all([
    create({ groupId: 2, replicaId: 3, bootstrap: false }),
    create({ groupId: 9, replicaId: 4, bootstrap: false }),
    create({ groupId: 10, replicaId: 5, bootstrap: true }),
  ]);
  await store(
    writeOf(0, { entries: [entry(61, 9), entry(62, 9)] }),
    writeOf(2, { hardState: { term: 2 ** 40, vote: 0, commit: 2 ** 41 }, snapshot: { term: 9, index: 2 ** 41 } }),
    writeOf(9, { hardState: { term: 1, vote: 2, commit: 0 }, entries: [{ ...entry(1, 1), type: 'conf-change' }] }),
  );
  await store(
    writeOf(0, { hardState: { term: 11, vote: 1, commit: 60 }, entries: [entry(62, 10), entry(63, 11, '')] }),
    writeOf(2, { entries: [entry(2 ** 41 + 1, 2 ** 40)] }),
  );
  await Promise.all([store(writeOf(300, { hardState: { term: 2, vote: 1, commit: 1 } })), store(writeOf(0, {}))]);
  model = removed(model, 9);
  await storage.removeGroup(9);
  expect(storage.stats().entriesCarried).toBeGreaterThan(0);
  expect(difference(storage, model, true)).toBeUndefined();
  // Not closed: it ends with writes.
  return model;
}

test('the golden log is read', async () => {
  const written = await write(new MemoryFileSystem());
  if (process.env.NORI_UPDATE_GOLDEN === '1' && !existsSync(FOLDER)) await update();
  const fs = new MemoryFileSystem();
  await fs.mkdir(DIR);
  for (const file of await readdir(FOLDER)) {
    await replaceAll(fs, `${DIR}/${file}`, await readFile(new URL(file, FOLDER)));
  }
  const storage = await openStorage(fs, { nodeId: OPTIONS.nodeId });
  expect([storage.incarnation, storage.clusterId]).toEqual(['776578a22aaa3f8b5b3e54594a5c5f8d', 'c']);
  expect(difference(storage, written)).toBeUndefined();
  expect(storage.storedGroups).toEqual([
    { groupId: 0, replicaId: 1, removed: false },
    { groupId: 2, replicaId: 3, removed: false },
    { groupId: 9, replicaId: 4, removed: true },
    { groupId: 10, replicaId: 5, removed: false },
    { groupId: 300, replicaId: 70_000, removed: false },
  ]);
});

test('the golden log is made by the same calls, bit by bit', async () => {
  const fs = new MemoryFileSystem();
  await write(fs);
  const files = await segmentFiles(fs);
  expect(files.map((path) => path.slice(DIR.length + 1))).toEqual((await readdir(FOLDER)).sort());
  for (const path of files) {
    const golden = await readFile(new URL(path.slice(DIR.length + 1), FOLDER));
    expect(Buffer.compare(readAll(fs, path), golden)).toBe(0);
  }
});

async function update(): Promise<void> {
  const fs = new MemoryFileSystem();
  await write(fs);
  await mkdir(FOLDER, { recursive: true });
  for (const path of await segmentFiles(fs)) {
    await writeFile(new URL(path.slice(DIR.length + 1), FOLDER), readAll(fs, path));
  }
}
