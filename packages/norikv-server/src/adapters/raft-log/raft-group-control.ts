// GroupControl over a group of nori-raft.
import { RaftError, type RaftGroup } from 'nori-raft';
import type { GroupConfig } from '../../domain/group-config.js';
import { NodeError } from '../../domain/node-error.js';
import type { GroupControl } from '../../ports/group-control.js';

/** Entries that a replica may lack and still count as caught up. */
const LAG_MAX = 64;

export class RaftGroupControl implements GroupControl {
  readonly group: RaftGroup;
  readonly #peers = new Map<number, string>();

  constructor(group: RaftGroup) {
    this.group = group;
  }

  get leads(): boolean {
    return this.group.role === 'leader';
  }

  get leaderNode(): string | undefined {
    return this.group.leaderNode;
  }

  get config(): GroupConfig {
    return this.group.status().config;
  }

  caughtUp(replicaId: number): boolean {
    const { progress, lastIndex } = this.group.status();
    const replica = progress.find(({ id }) => id === replicaId);
    return replica?.recentActive === true && replica.match + LAG_MAX >= lastIndex;
  }

  add(replicaId: number, as: 'learner' | 'voter'): Promise<void> {
    return this.#change(as === 'learner' ? 'add-learner' : 'add-voter', replicaId);
  }

  remove(replicaId: number): Promise<void> {
    return this.#change('remove', replicaId);
  }

  async #change(type: 'add-learner' | 'add-voter' | 'remove', id: number): Promise<void> {
    try {
      await this.group.changeConfig({ transition: 'auto', steps: [{ type, id }] });
    } catch (cause) {
      if (!(cause instanceof RaftError)) throw cause;
      throw new NodeError('UNAVAILABLE', `The replicas of the group could not be changed: ${cause.message}`, { cause });
    }
  }

  setPeer(replicaId: number, nodeId: string): void {
    // A group at rest wakes up for it.
    if (this.#peers.get(replicaId) === nodeId) return;
    this.#peers.set(replicaId, nodeId);
    this.group.setPeer(replicaId, nodeId);
  }
}
