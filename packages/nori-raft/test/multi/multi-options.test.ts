import { MemoryNodeNetwork, type MultiRaftOptions } from 'nori-raft';
import { VirtualClock } from 'nori-testkit';
import { expect, test } from 'vitest';
import { resolveMultiOptions } from '../../src/multi/multi-options.js';

const given = {
  nodeId: 'n1',
  clock: new VirtualClock(),
  storage: {} as MultiRaftOptions['storage'],
  transport: new MemoryNodeNetwork().transport('n1'),
  random: () => 0.5,
};

test.each([
  { snapshotChunkBytes: 8 * 2 ** 20 },
  { snapshotChunkBytes: 0.5 },
  { entryBytesMax: 8 * 2 ** 20 },
  { entryBytesMax: 1000.5 },
  { snapshotsMax: 1.5 },
  { timeoutMs: Number.NaN },
  { heartbeatMs: 600 },
])('%o is refused', (options) => {
  expect(() => resolveMultiOptions({ ...given, ...options })).toThrowError(
    expect.objectContaining({
      code: 'RAFT_INVALID_OPTION',
      message: expect.stringContaining(Object.keys(options)[0]!),
    }),
  );
});

test('the defaults are accepted', () => {
  expect(resolveMultiOptions(given)).toMatchObject({ electionTicks: 21, heartbeatTicks: 3, tickMs: 50 });
});
