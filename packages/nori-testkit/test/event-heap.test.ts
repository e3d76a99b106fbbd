import { expect, test } from 'vitest';
import { EventHeap, Rng, seedFromEnv } from '../src/index.js';

test('items come out by time, and in order of insertion among equal times', () => {
  const seed = seedFromEnv();
  const rng = new Rng(seed);
  const heap = new EventHeap<number>();
  const model: { atMs: number; item: number }[] = [];
  for (let i = 0; i < 5000; i++) {
    if (rng.chance(0.6)) {
      const atMs = rng.int(50);
      heap.push(atMs, i);
      model.push({ atMs, item: i });
      model.sort((a, b) => a.atMs - b.atMs || a.item - b.item);
    } else {
      const expected = model.shift();
      const popped = heap.pop();
      expect([popped?.atMs, popped?.item], `NORI_SEED=${seed}`).toEqual([expected?.atMs, expected?.item]);
    }
    expect(heap.size, `NORI_SEED=${seed}`).toBe(model.length);
    expect(heap.nextAtMs, `NORI_SEED=${seed}`).toBe(model[0]?.atMs);
  }
});

test('an empty heap has nothing to give', () => {
  const heap = new EventHeap<string>();
  expect(heap.pop()).toBeUndefined();
  heap.push(1, 'a');
  heap.clear();
  expect(heap.size).toBe(0);
  expect(heap.nextAtMs).toBeUndefined();
});
