// A store that cannot be opened leaves nothing open behind.

import { systemClock } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { inlineExecutor, type TaskExecutor } from 'nori-lsm';
import { noopMeter } from 'nori-observe';
import { Wal } from 'nori-wal';
import { expect, test } from 'vitest';
import { openStore } from '../../src/node.js';

test('tables are closed again when the log cannot be replayed', async () => {
  const fs = new MemoryFileSystem();
  await fs.mkdir('/data/log');
  await fs.mkdir('/data/raft');
  await fs.mkdir('/data/tables');
  const wal = await Wal.open({ dir: '/data/log', fs, lock: false });
  await wal.append(new Uint8Array([9, 9, 9])); // sound, but no entry
  await wal.close();
  let users = 0;
  const inline = inlineExecutor(fs);
  const executor: TaskExecutor = {
    run: (task) => inline.run(task),
    acquire: () => {
      users++;
      inline.acquire();
    },
    release: () => {
      users--;
      inline.release();
    },
  };
  await expect(
    openStore(
      {
        nodeId: 'n1',
        clusterId: '00112233445566778899aabbccddeeff',
        raftDir: '/data/raft',
        foundationLogDir: '/data/log',
        snapshotsDir: '/data/snapshots',
        tablesDir: '/data/tables',
        memtableBytes: 65536,
        blockCacheBytes: 65536,
        logSegmentBytes: 65536,
        ballastPath: '/data/ballast',
        ballastBytes: 0,
        fsync: 'batch',
      },
      { fs, clock: systemClock, meter: noopMeter, random: Math.random, executor },
    ),
  ).rejects.toMatchObject({ code: 'CORRUPTION' });
  expect(users).toBe(0);
});
