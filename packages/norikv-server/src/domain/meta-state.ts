// What the cluster has agreed on: nodes, which of them have a replica of which shard, settings. The state machine of group 0, as data
// and one function: the same commands in the same order give the same state on every node. Nothing in here asks a clock or a network.
import { ByteReader } from './byte-reader.js';
import { readText, writeText } from './byte-text.js';
import { ByteWriter } from './byte-writer.js';
import { initialLayout } from './layout.js';
import {
  type ClusterSettings,
  decodeNode,
  encodeNode,
  type MetaCommand,
  type NodeDescription,
} from './meta-command.js';

/** A node that belongs to the cluster. */
export interface MetaNode extends NodeDescription {
  /** Its replica id in the meta group. Never used again. */
  readonly number: number;
}

/** One replica of a shard. */
export interface ShardReplica {
  /** Unique in the shard for all time. */
  readonly replicaId: number;
  readonly nodeId: string;
}

/** The replicas of a shard; the first one shall lead when it can. */
export interface ShardDescriptor {
  readonly replicas: readonly ShardReplica[];
  /** Those that its group began with. */
  readonly founders: readonly number[];
  readonly nextReplicaId: number;
}

/** What applying a command came to. */
export type MetaResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: MetaRefusal; readonly why: string };

/** Why a command changed nothing. */
export type MetaRefusal =
  | 'NOT_FORMED'
  | 'UNKNOWN_NODE'
  | 'NODE_EXISTS'
  | 'OTHER_LOG'
  | 'NODE_REMOVED'
  | 'NODE_BUSY'
  | 'INVALID';

const FORMAT = 1;
const DONE: MetaResult = Object.freeze({ ok: true });
const refuse = (code: MetaRefusal, why: string): MetaResult => ({ ok: false, code, why });

/** {@link MetaState.apply} changes it; everything else only looks. */
export class MetaState {
  /** Index of the entry that made the last change; 0: there is no cluster yet. */
  #epoch = 0;
  #settings: ClusterSettings | undefined;
  #nextNumber = 1;
  readonly #nodes = new Map<string, MetaNode>();
  /** Names that must not come back. */
  readonly #removed = new Map<string, number>();
  #shards: ShardDescriptor[] = [];

  get epoch(): number {
    return this.#epoch;
  }

  /** Undefined until the cluster is made. */
  get settings(): ClusterSettings | undefined {
    return this.#settings;
  }

  get nodes(): ReadonlyMap<string, MetaNode> {
    return this.#nodes;
  }

  /** Names of nodes that were removed, with their numbers. */
  get removedNodes(): ReadonlyMap<string, number> {
    return this.#removed;
  }

  get shards(): readonly ShardDescriptor[] {
    return this.#shards;
  }

  /** Applies the command of the entry at `index`. A command that is refused changes nothing. */
  apply(command: MetaCommand, index: number): MetaResult {
    const epoch = this.#epoch;
    const result = this.#apply(command, index);
    if (!result.ok) this.#epoch = epoch;
    return result;
  }

  #apply(command: MetaCommand, index: number): MetaResult {
    if (command.type === 'form') return this.#form(command.settings, command.members, index);
    if (this.#settings === undefined) return refuse('NOT_FORMED', 'The cluster is not made yet.');
    switch (command.type) {
      case 'register':
        return this.#register(command.node, index);
      case 'join':
        return this.#join(command.node, index);
      case 'remove-node':
        return this.#removeNode(command.id, index);
      case 'add-replica':
        return this.#addReplica(command.shard, command.nodeId, index);
      case 'remove-replica':
        return this.#removeReplica(command.shard, command.replicaId, index);
      case 'prefer':
        return this.#prefer(command.shard, command.replicaId, index);
    }
  }

  #form(settings: ClusterSettings, members: readonly string[], index: number): MetaResult {
    if (this.#settings !== undefined) return DONE;
    const { shardCount, replicationFactor } = settings;
    if (members.length === 0 || replicationFactor < 1 || replicationFactor > members.length || shardCount < 1) {
      return refuse(
        'INVALID',
        `${replicationFactor} replicas of ${shardCount} shards do not fit on ${members.length} nodes.`,
      );
    }
    this.#settings = settings;
    for (const id of [...members].sort()) {
      this.#nodes.set(id, {
        id,
        number: this.#nextNumber++,
        incarnation: '',
        version: '',
        gossip: '',
        http: '',
        stores: [],
      });
    }
    this.#shards = initialLayout(members, shardCount, replicationFactor).map((nodeIds) => ({
      replicas: nodeIds.map((nodeId, i) => ({ replicaId: i + 1, nodeId })),
      founders: nodeIds.map((_, i) => i + 1),
      nextReplicaId: nodeIds.length + 1,
    }));
    this.#epoch = index;
    return DONE;
  }

  #register(node: NodeDescription, index: number): MetaResult {
    const known = this.#nodes.get(node.id);
    if (known === undefined) return this.#strange(node.id);
    if (known.incarnation !== '' && known.incarnation !== node.incarnation) return otherLog(node.id);
    this.#nodes.set(node.id, { ...node, number: known.number });
    this.#epoch = index;
    return DONE;
  }

  #join(node: NodeDescription, index: number): MetaResult {
    const known = this.#nodes.get(node.id);
    if (known?.incarnation === node.incarnation) return this.#register(node, index);
    if (known !== undefined) return otherLog(node.id);
    if (this.#removed.has(node.id)) return this.#strange(node.id);
    this.#nodes.set(node.id, { ...node, number: this.#nextNumber++ });
    this.#epoch = index;
    return DONE;
  }

  #strange(id: string): MetaResult {
    return this.#removed.has(id)
      ? refuse(
          'NODE_REMOVED',
          `Node ${id} was removed from the cluster, and its name does not come back: choose another --node-id.`,
        )
      : refuse('UNKNOWN_NODE', `Node ${id} does not belong to the cluster.`);
  }

  #removeNode(id: string, index: number): MetaResult {
    const node = this.#nodes.get(id);
    if (node === undefined) return this.#strange(id);
    const busy = this.#shards.findIndex(({ replicas }) => replicas.some(({ nodeId }) => nodeId === id));
    if (busy >= 0) return refuse('NODE_BUSY', `Node ${id} still has a replica of shard ${busy}.`);
    this.#nodes.delete(id);
    this.#removed.set(id, node.number);
    this.#epoch = index;
    return DONE;
  }

  #addReplica(number: number, nodeId: string, index: number): MetaResult {
    const shard = this.#shards[number];
    if (shard === undefined) return refuse('INVALID', `There is no shard ${number}.`);
    if (!this.#nodes.has(nodeId)) return this.#strange(nodeId);
    // Asked for twice: once is enough.
    if (shard.replicas.some((replica) => replica.nodeId === nodeId)) return DONE;
    const replicas = [...shard.replicas, { replicaId: shard.nextReplicaId, nodeId }];
    this.#shards[number] = { ...shard, replicas, nextReplicaId: shard.nextReplicaId + 1 };
    this.#epoch = index;
    return DONE;
  }

  #removeReplica(number: number, replicaId: number, index: number): MetaResult {
    const shard = this.#shards[number];
    if (shard === undefined) return refuse('INVALID', `There is no shard ${number}.`);
    const replicas = shard.replicas.filter((replica) => replica.replicaId !== replicaId);
    if (replicas.length === shard.replicas.length) return DONE;
    if (replicas.length === 0) return refuse('INVALID', `Replica ${replicaId} is the last one of shard ${number}.`);
    this.#shards[number] = { ...shard, replicas };
    this.#epoch = index;
    return DONE;
  }

  #prefer(number: number, replicaId: number, index: number): MetaResult {
    const shard = this.#shards[number];
    const preferred = shard?.replicas.find((replica) => replica.replicaId === replicaId);
    if (shard === undefined || preferred === undefined) {
      return refuse('INVALID', `Shard ${number} has no replica ${replicaId}.`);
    }
    const others = shard.replicas.filter((replica) => replica !== preferred);
    this.#shards[number] = { ...shard, replicas: [preferred, ...others] };
    this.#epoch = index;
    return DONE;
  }

  /** The whole state (docs/formats/meta-group.md). */
  encode(): Uint8Array {
    const to = new ByteWriter(16 * 1024);
    to.u8(FORMAT);
    to.varint(this.#epoch);
    to.u8(this.#settings === undefined ? 0 : 1);
    if (this.#settings === undefined) return to.view().slice();
    const { shardCount, replicationFactor, protocolVersion } = this.#settings;
    for (const number of [shardCount, replicationFactor, protocolVersion, this.#nextNumber]) to.varint(number);
    to.varint(this.#nodes.size);
    for (const node of this.#nodes.values()) {
      to.varint(node.number);
      encodeNode(node, to);
    }
    to.varint(this.#removed.size);
    for (const [id, number] of this.#removed) {
      writeText(id, to);
      to.varint(number);
    }
    const numberOf = (id: string): number => this.#nodes.get(id)!.number;
    for (const { replicas, founders, nextReplicaId } of this.#shards) {
      to.varint(nextReplicaId);
      to.varint(founders.length);
      for (const id of founders) to.varint(id);
      to.varint(replicas.length);
      for (const { replicaId, nodeId } of replicas) {
        to.varint(replicaId);
        to.varint(numberOf(nodeId));
      }
    }
    return to.view().slice();
  }

  /** @throws RangeError if the bytes are not what {@link MetaState.encode} gives. */
  static decode(bytes: Uint8Array): MetaState {
    const from = new ByteReader(bytes);
    const format = from.u8();
    if (format !== FORMAT) throw new RangeError(`meta state format ${format} is not known`);
    const state = new MetaState();
    state.#epoch = from.varint();
    if (from.u8() === 0) return state;
    state.#settings = { shardCount: from.varint(), replicationFactor: from.varint(), protocolVersion: from.varint() };
    state.#nextNumber = from.varint();
    const idOf = new Map<number, string>();
    for (let left = from.varint(); left > 0; left--) {
      const number = from.varint();
      const node = { ...decodeNode(from), number };
      state.#nodes.set(node.id, node);
      idOf.set(number, node.id);
    }
    for (let left = from.varint(); left > 0; left--) state.#removed.set(readText(from), from.varint());
    for (let shard = 0; shard < state.#settings.shardCount; shard++) {
      const nextReplicaId = from.varint();
      const founders = Array.from({ length: bounded(from) }, () => from.varint());
      const replicas = Array.from({ length: bounded(from) }, () => {
        const replicaId = from.varint();
        const nodeId = idOf.get(from.varint());
        if (nodeId === undefined) throw new RangeError(`shard ${shard} has a replica on a node that is not there`);
        return { replicaId, nodeId };
      });
      state.#shards.push({ replicas, founders, nextReplicaId });
    }
    return state;
  }
}

const bounded = (from: ByteReader): number => {
  const count = from.varint();
  if (count > from.remaining) throw new RangeError('the state claims more replicas than it has bytes');
  return count;
};

const otherLog = (id: string): MetaResult =>
  refuse(
    'OTHER_LOG',
    `Node ${id} belongs to the cluster with another log: its data directory was lost or replaced. Start it with its own directory, or as a new node with another --node-id.`,
  );
