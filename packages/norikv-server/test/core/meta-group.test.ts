// The meta group on one node: a state that another node has lent stands in for its own, and never becomes part of it.
import { expect, test } from 'vitest';
import { MetaGroup } from '../../src/core/meta-group.js';
import { encodeMetaCommand, type MetaCommand } from '../../src/domain/meta-command.js';
import { MetaState } from '../../src/domain/meta-state.js';
import type { MetaFile } from '../../src/ports/meta-file.js';

const SETTINGS = { shardCount: 4, replicationFactor: 1, protocolVersion: 1 };
const COMMANDS: readonly MetaCommand[] = [
  { type: 'form', settings: SETTINGS, members: ['n1', 'n2'] },
  { type: 'add-replica', shard: 0, nodeId: 'n2' },
  { type: 'remove-replica', shard: 0, replicaId: 1 },
  { type: 'add-replica', shard: 0, nodeId: 'n1' },
  { type: 'prefer', shard: 0, replicaId: 3 },
];
const config = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

const memoryFile = (): MetaFile => {
  let content: Uint8Array | undefined;
  return {
    load: async () => content,
    save: async (bytes) => {
      content = bytes;
    },
  };
};

test('a node that was lent the state and then applies the log from its beginning ends with the same state as the others', async () => {
  const agreed = new MetaState();
  for (const [i, command] of COMMANDS.entries()) agreed.apply(command, i + 2);
  const group = await MetaGroup.open(memoryFile());
  const told: number[] = [];
  group.onChange(() => told.push(group.state.epoch));
  group.lend(MetaState.decode(agreed.encode()));
  expect(group.position()).toBeUndefined();
  for (const [i, command] of COMMANDS.entries()) {
    const place = { group: 0, term: 1, index: i + 2 };
    group.apply(place, encodeMetaCommand(command));
    group.moved({ ...place, config });
    // What is older than what was lent is not shown.
    expect(group.state.encode()).toEqual(agreed.encode());
  }
  expect(new Set(told)).toEqual(new Set([agreed.epoch]));
  // From then on it is its own.
  group.apply({ group: 0, term: 1, index: 20 }, encodeMetaCommand({ type: 'prefer', shard: 0, replicaId: 2 }));
  expect(group.state.epoch).toBe(20);
  await group.close();
});

test('what is older than what is known is not lent', async () => {
  const old = new MetaState();
  old.apply(COMMANDS[0]!, 2);
  const group = await MetaGroup.open(memoryFile());
  for (const [i, command] of COMMANDS.entries()) {
    group.apply({ group: 0, term: 1, index: i + 2 }, encodeMetaCommand(command));
  }
  group.lend(old);
  expect(group.state.epoch).toBe(COMMANDS.length + 1);
  await group.close();
});
