import { type Entry, type GroupWrite, MemoryStorage } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { mergeWrites } from '../../src/multi/merge-writes.js';

test('merged writes come to the same as the writes one by one, and name each group once', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  for (let round = 0; round < 500; round++) {
    const stores = () => [new MemoryStorage(), new MemoryStorage()];
    const [single, together] = [stores(), stores()];
    const lists: GroupWrite[][] = [];
    const last = [0, 0];
    let term = 1;
    for (let i = rng.range(1, 5); i > 0; i--) {
      const list: GroupWrite[] = [];
      for (const groupId of [0, 1]) {
        if (rng.chance(0.3)) continue;
        const snapshot = rng.chance(0.1) ? { term, index: last[groupId]! + rng.range(1, 5) } : undefined;
        const from =
          snapshot === undefined ? rng.range(Math.max(1, last[groupId]! - 2), last[groupId]! + 1) : snapshot.index + 1;
        const first = single[groupId]!.firstIndex();
        const entries: Entry[] = [];
        const begin = snapshot === undefined ? Math.max(from, first) : from;
        for (let k = 0; k < rng.int(4); k++) {
          entries.push({ term, index: begin + k, type: 'normal', data: Uint8Array.of(rng.int(256)) });
        }
        const hardState = rng.chance(0.5) ? { term, vote: rng.int(4), commit: 0 } : undefined;
        const write = { groupId, hardState, snapshot, entries };
        list.push(write);
        store(single[groupId]!, write);
        last[groupId] = single[groupId]!.lastIndex();
        term++;
      }
      lists.push(list);
    }
    const merged = mergeWrites(lists);
    for (const write of merged) store(together[write.groupId]!, write);
    expect(new Set(merged.map(({ groupId }) => groupId)).size, `seed ${seed}`).toBe(merged.length);
    for (const groupId of [0, 1]) expect(image(together[groupId]!), `seed ${seed}`).toEqual(image(single[groupId]!));
  }
});

function store(storage: MemoryStorage, { hardState, snapshot, entries }: GroupWrite): void {
  const config = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const whole = snapshot === undefined ? undefined : { ...snapshot, config, data: new Uint8Array(0) };
  storage.store({ hardState, snapshot: whole, entries });
}

function image(storage: MemoryStorage) {
  const [first, last] = [storage.firstIndex(), storage.lastIndex()];
  const { term, vote } = storage.initialState().hardState;
  return { first, last, term, vote, entries: storage.entries(first, last + 1, Number.POSITIVE_INFINITY) };
}
