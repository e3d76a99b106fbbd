// Since when a leader at rest is known to have led: by the rounds that a majority has answered.
import { expect, test } from 'vitest';
import type { Outbox } from '../../src/multi/outbox.js';
import { RestTable } from '../../src/multi/rest-table.js';

const GROUP = 7;

/** A leader (replica 1) at rest since round 10, with four that follow; `answer` lets one of them answer a round. */
function resting() {
  const outbox = { addHeartbeat: () => {} } as unknown as Outbox;
  const table = new RestTable(outbox, 3, 60);
  const slot = table.add(GROUP, 1);
  const followers = [2, 3, 4, 5].map((id) => ({ id, node: `n${id}` }));
  table.restLeader(slot, 10, { term: 3, commit: 9, transfer: 0 }, followers);
  const answer = (from: number, context: number) => {
    const m = { isAnswer: true, groupId: GROUP, from, to: 1, term: 3, commit: 0, context, transfer: 0 };
    expect(table.take(`n${from}`, m, 0, 0, true)).toBe(true);
  };
  return { table, slot, answer };
}

test('a round counts from its beginning, once a majority has answered it or a later one', () => {
  const { table, slot, answer } = resting();
  const voters = [1, 2, 3, 4, 5];
  const since = () => table.confirmedStartMs(slot, voters);
  table.tick(3, 1000, true);
  table.tick(6, 1150, true);
  answer(2, 12);
  expect(since()).toBeUndefined();
  answer(3, 11);
  expect(since()).toBe(1000);
  answer(4, 12);
  expect(since()).toBe(1150);
});

test('answers to rounds from before it rested, and of those without a vote, do not count', () => {
  const { table, slot, answer } = resting();
  table.tick(3, 1000, true);
  answer(2, 10);
  answer(3, 10);
  expect(table.confirmedStartMs(slot, [1, 2, 3])).toBeUndefined();
  answer(4, 11);
  answer(5, 11);
  expect(table.confirmedStartMs(slot, [1, 2, 3])).toBeUndefined();
  expect(table.confirmedStartMs(slot, [1, 4, 5])).toBe(1000);
});
