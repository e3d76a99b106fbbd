// The driven port to one group as such: who leads it, who takes part, and changes of that.
import type { GroupConfig } from '../domain/group-config.js';

/** One group on this node. */
export interface GroupControl {
  /** This node leads it. */
  readonly leads: boolean;
  /** Undefined: nobody, as far as this node knows. */
  readonly leaderNode: string | undefined;
  /** Who takes part, as applied here. */
  readonly config: GroupConfig;
  /** At the leader: replicas that have all that is committed, or nearly. */
  caughtUp(replicaId: number): boolean;
  /** Takes a replica in, to listen only, or lets it vote. Resolves when that is applied here. @throws NodeError */
  add(replicaId: number, as: 'learner' | 'voter'): Promise<void>;
  /** Takes a replica out. @throws NodeError */
  remove(replicaId: number): Promise<void>;
  /** Says where a replica is. */
  setPeer(replicaId: number, nodeId: string): void;
}
