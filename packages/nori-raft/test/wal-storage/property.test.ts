// Random writes, compactions, removals and reopenings against a model. NORI_ROUNDS=n makes n rounds.
import { MemoryFileSystem } from 'nori-io/memory';
import { entryBytes } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import {
  compacted,
  created,
  difference,
  type Model,
  NO_GROUPS,
  openStorage,
  randomWrite,
  removed,
  written,
} from './helpers.js';

const SEED = seedFromEnv();
const ROUNDS = Number(process.env.NORI_ROUNDS ?? 40);

async function run(seed: number): Promise<void> {
  const rng = new Rng(seed);
  let fs = new MemoryFileSystem();
  const options = () => ({
    segmentBytesMax: rng.pick([4096, 16_384, 65_536]),
    pinnedBytesMax: rng.pick([0, 8192, 50_000]),
    durability: rng.pick(['sync', 'batch'] as const),
  });
  let storage = await openStorage(fs, options());
  let model: Model = NO_GROUPS;
  let pending: Promise<void>[] = [];
  const replicaIds = new Map<number, number>();
  const style = { groupsMax: rng.range(1, 6), bytesMax: rng.pick([10, 200, 2000]) };
  const groupCount = rng.range(1, 12);
  const check = (isExact = false) => expect(difference(storage, model, isExact)).toBeUndefined();
  for (let step = 0; step < 120; step++) {
    const live = [...model].filter(([, group]) => !group.removed).map(([groupId]) => groupId);
    const dice = rng.next();
    if (live.length === 0 || (dice < 0.1 && live.length < groupCount)) {
      const groupId = rng.int(groupCount);
      if (live.includes(groupId)) continue;
      const replicaId = (replicaIds.get(groupId) ?? 0) + rng.range(1, 3);
      replicaIds.set(groupId, replicaId);
      const group = { groupId, replicaId, bootstrap: rng.chance(0.5) };
      model = created(model, group);
      pending.push(storage.createGroup(group));
    } else if (dice < 0.12) {
      const groupId = rng.pick(live);
      model = removed(model, groupId);
      pending.push(storage.removeGroup(groupId));
    } else if (dice < 0.3) {
      // What is durable in the state machine is durable in the log.
      await Promise.all(pending);
      const groupId = rng.pick(live);
      const { start, hardState } = model.get(groupId)!;
      const index = rng.range(start.index, hardState.commit);
      model = compacted(model, groupId, index);
      storage.compact(groupId, index);
    } else if (dice < 0.35) {
      await Promise.all(pending);
      const isClosed = rng.chance(0.5);
      if (isClosed) await storage.close();
      fs = rng.chance(0.5) ? fs.kill() : fs.crash(rng);
      storage = await openStorage(fs, options());
      check(isClosed);
      for (const [groupId, group] of model) {
        const stored = storage.storedGroups.find((found) => found.groupId === groupId);
        expect(stored).toEqual({ groupId, replicaId: group.replicaId, removed: group.removed });
        // It may have forgotten that it was compacted; the state machine has not.
        storage.compact(groupId, group.start.index);
      }
    } else {
      const writes = randomWrite(rng, model, style);
      model = written(model, writes);
      pending.push(storage.write(writes));
    }
    check();
    if (rng.chance(0.3)) {
      await Promise.all(pending);
      pending = [];
    }
    if (rng.chance(0.05)) {
      await Promise.all(pending);
      const { groups } = await storage.verify();
      expect(groups).toBe(storage.stats().groups);
    }
  }
  await Promise.all(pending);
  const { entriesInMemory, bytesInMemory } = storage.stats();
  let [entries, bytes] = [0, 0];
  for (const [groupId, group] of model) {
    if (group.removed) continue;
    const log = storage.log(groupId);
    const all = log.entries(log.firstIndex(), log.lastIndex() + 1, Number.POSITIVE_INFINITY)!;
    entries += all.length;
    for (const one of all) bytes += entryBytes(one);
  }
  expect({ entriesInMemory, bytesInMemory }).toEqual({ entriesInMemory: entries, bytesInMemory: bytes });
  await storage.close();
}

test('random writes, compactions, removals and reopenings leave what the model says', async () => {
  const rng = new Rng(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    const seed = rng.int(2 ** 31);
    await run(seed).catch((cause: Error) => {
      throw new Error(`NORI_SEED=${SEED}, seed ${seed} of round ${round}: ${cause.message}`, { cause });
    });
  }
}, 3_600_000);
