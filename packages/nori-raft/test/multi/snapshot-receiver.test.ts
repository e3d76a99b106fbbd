// Chunks of a snapshot that are lost, come again, or overlap: what is staged is what was sent.
import { expect, test } from 'vitest';
import type { SnapshotChunk } from '../../src/multi/frame-codec.js';
import type { GroupDriver } from '../../src/multi/group.js';
import type { ResolvedMultiOptions } from '../../src/multi/multi-options.js';
import { SnapshotReceiver } from '../../src/multi/snapshot-receiver.js';

const SENT = Uint8Array.from({ length: 40 }, (_, i) => i);
const config = { voters: [1, 2], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
const snapshot = { term: 2, index: 9, config, data: new Uint8Array(0) };

function chunkOf(offset: number, length: number): SnapshotChunk {
  const bytes = SENT.subarray(offset, offset + length);
  const last = offset + length === SENT.length;
  return { groupId: 1, from: 1, to: 2, term: 2, snapshot, streamId: 7, offset, last, bytes };
}

/** What a state machine stages of these chunks. */
async function stagedOf(chunks: readonly SnapshotChunk[]): Promise<number[]> {
  const staged: number[] = [];
  const transport = { send: () => true };
  const options = { transport, snapshotsMax: 1, electionTimeoutMs: 1000, onEvent: () => {} };
  const done = new Promise<void>((resolve) => {
    const machine = {
      stage: async (_: unknown, parts: AsyncIterable<Uint8Array>) => {
        for await (const part of parts) staged.push(...part);
        return { install: async () => {}, discard: async () => {} };
      },
    };
    const group = { replicaId: 2, appliedIndex: 1, machine, receiveSnapshot: async () => resolve() };
    const receiver = new SnapshotReceiver(
      options as unknown as ResolvedMultiOptions,
      () => group as unknown as GroupDriver,
    );
    for (const chunk of chunks) receiver.receiveChunk('n1', chunk);
  });
  await done;
  return staged;
}

test('chunks after one that was lost are left, until it has come', async () => {
  const chunks = [chunkOf(0, 10), chunkOf(20, 10), chunkOf(30, 10), chunkOf(10, 10), chunkOf(20, 10), chunkOf(30, 10)];
  expect(await stagedOf(chunks)).toEqual([...SENT]);
});

test('chunks that come again, whole or in part, are taken once', async () => {
  const chunks = [chunkOf(0, 10), chunkOf(0, 10), chunkOf(10, 10), chunkOf(5, 20), chunkOf(25, 15)];
  expect(await stagedOf(chunks)).toEqual([...SENT]);
});
