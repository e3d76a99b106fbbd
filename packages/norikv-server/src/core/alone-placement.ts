// The placement of a cluster of one node: it has the only replica of every group.
import { GROUP_COUNT_MAX } from '../domain/placement.js';
import type { Placement, ReplicaDescriptor } from '../ports/placement.js';

export class AlonePlacement implements Placement {
  readonly #replica: ReplicaDescriptor;

  constructor(nodeId: string) {
    const peers = new Map([[1, nodeId]]);
    this.#replica = { replicaId: 1, voters: [1], learners: [], peers, preferredLeader: 1, bootstrap: true };
  }

  replicaOf(group: number): ReplicaDescriptor | undefined {
    return group < GROUP_COUNT_MAX ? this.#replica : undefined;
  }

  expectedLeader(): undefined {
    return undefined;
  }

  clientAddressOf(): undefined {
    return undefined;
  }
}
