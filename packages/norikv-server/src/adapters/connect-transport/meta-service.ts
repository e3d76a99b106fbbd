// The `Meta` service: the cluster as clients must know it.
import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { type ClusterView, ClusterViewSchema, KEY_HASH_NAME, type Meta, NodeState } from 'norikv-protocol';
import type { ClusterSnapshot, KvNode } from '../../ports/kv.js';
import { LatestValue } from './latest-value.js';
import { toInteger } from './request-fields.js';

const NODE_STATES = {
  alive: NodeState.ALIVE,
  suspect: NodeState.SUSPECT,
  dead: NodeState.DEAD,
  left: NodeState.LEFT,
} as const;

/** A snapshot of the cluster as the protocol's message. */
export const clusterView = (cluster: ClusterSnapshot): ClusterView =>
  create(ClusterViewSchema, {
    clusterId: cluster.clusterId,
    epoch: BigInt(cluster.epoch),
    shardCount: cluster.shardCount,
    replicationFactor: cluster.replicationFactor,
    keyHash: KEY_HASH_NAME,
    nodes: cluster.nodes.map((node) => ({ ...node, state: NODE_STATES[node.state] })),
    shardLeaders: [...cluster.shardLeaders],
    stores: cluster.stores.map((store) => ({ ...store })),
    shardTerms: cluster.shardTerms.map(BigInt),
    shardReplicaCounts: [...cluster.replicaCounts],
    shardReplicas: [...cluster.replicas],
  });

/**
 * Builds the implementation of `norikv.v1.Meta`.
 *
 * @param drainSignal ends watches; its reason is what they end with
 */
export const metaService = (node: KvNode, drainSignal: AbortSignal): ServiceImpl<typeof Meta> => ({
  async *watchCluster(request, context) {
    const knownEpoch = toInteger('known_epoch', request.knownEpoch);
    let revision = 0;
    let isFirst = true;
    const latest = new LatestValue<ClusterSnapshot>();
    const stop = node.onClusterChange(() => latest.set(node.cluster()));
    latest.set(node.cluster());
    try {
      for await (const cluster of latest.values(AbortSignal.any([context.signal, drainSignal]))) {
        const isKnown = cluster.epoch < knownEpoch || (isFirst && cluster.epoch === knownEpoch);
        isFirst = false;
        if (isKnown || cluster.revision <= revision) continue;
        revision = cluster.revision;
        yield { view: clusterView(cluster) };
      }
    } finally {
      stop();
    }
  },
});
