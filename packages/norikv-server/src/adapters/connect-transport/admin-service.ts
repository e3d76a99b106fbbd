// The `Admin` service: what an operator asks of this node.
import type { ServiceImpl } from '@connectrpc/connect';
import type { Admin } from 'norikv-protocol';
import type { KvNode } from '../../ports/kv.js';
import type { Readiness } from '../net/readiness.js';

/** Builds the implementation of `norikv.v1.Admin`. */
export const adminService = (node: KvNode, readiness: Readiness): ServiceImpl<typeof Admin> => ({
  status() {
    const { storage, log, ...status } = node.status();
    return {
      nodeId: status.nodeId,
      version: status.version,
      uptimeMs: BigInt(Math.floor(status.uptimeMs)),
      ready: readiness.verdict().ready,
      clusterId: status.clusterId,
      shardCount: status.shardCount,
      activeShards: status.activeShards,
      storage: {
        memtableBytes: BigInt(storage.memtableBytes),
        memtables: storage.memtables,
        tableBytes: BigInt(storage.tableBytes),
        levelTables: [...storage.levelTables],
        levelBytes: [...storage.levelBytes],
        blockCacheBytes: BigInt(storage.blockCacheBytes),
      },
      log: { segments: log.segments, bytes: BigInt(log.bytes) },
    };
  },

  async flush() {
    await node.flush();
    return {};
  },
});
