// What entries of the meta group's log say, and their bytes (docs/formats/meta-group.md).
import { ByteReader } from './byte-reader.js';
import { readText, writeText } from './byte-text.js';
import { ByteWriter } from './byte-writer.js';

/** Where one store of a node is reached; both as host:port. */
export interface StoreAddresses {
  /** By clients. */
  readonly client: string;
  /** By the stores of other nodes. */
  readonly peer: string;
}

/** A node as it describes itself. */
export interface NodeDescription {
  readonly id: string;
  /** Names the node's log: one that comes with another has lost what it promised. */
  readonly incarnation: string;
  /** Of the software. */
  readonly version: string;
  readonly gossip: string;
  readonly http: string;
  readonly stores: readonly StoreAddresses[];
}

/** What cannot change once the cluster is made. */
export interface ClusterSettings {
  readonly shardCount: number;
  readonly replicationFactor: number;
  readonly protocolVersion: number;
}

/** A change of what the cluster has agreed on. */
export type MetaCommand =
  /** Makes the cluster of these nodes and lays out all shards. The first command; later ones of its kind do nothing. */
  | { readonly type: 'form'; readonly settings: ClusterSettings; readonly members: readonly string[] }
  /** A node that belongs to the cluster says where it is now. */
  | { readonly type: 'register'; readonly node: NodeDescription }
  /** A node that is new wants to belong to the cluster. */
  | { readonly type: 'join'; readonly node: NodeDescription }
  /** A node that has no replicas any more goes; its name does not come back. */
  | { readonly type: 'remove-node'; readonly id: string }
  /** Gives a node a replica of a shard, with an id of its own. */
  | { readonly type: 'add-replica'; readonly shard: number; readonly nodeId: string }
  /** Takes a replica of a shard away; its id does not come back. */
  | { readonly type: 'remove-replica'; readonly shard: number; readonly replicaId: number }
  /** Says which replica of a shard shall lead. */
  | { readonly type: 'prefer'; readonly shard: number; readonly replicaId: number };

const FORMAT = 1;
/** Positions are what is stored: append only. */
const TYPES: readonly MetaCommand['type'][] = [
  'form',
  'register',
  'join',
  'remove-node',
  'add-replica',
  'remove-replica',
  'prefer',
];
const STORES_MAX = 1024;

/** Appends the description of a node. */
export const encodeNode = (node: NodeDescription, to: ByteWriter): void => {
  for (const text of [node.id, node.incarnation, node.version, node.gossip, node.http]) writeText(text, to);
  to.varint(node.stores.length);
  for (const { client, peer } of node.stores) {
    writeText(client, to);
    writeText(peer, to);
  }
};

/** @throws RangeError if the bytes are no description of a node. */
export const decodeNode = (from: ByteReader): NodeDescription => {
  const [id, incarnation, version, gossip, http] = Array.from({ length: 5 }, () => readText(from)) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const count = from.varint();
  if (count > STORES_MAX) throw new RangeError(`a node claims ${count} stores`);
  const stores = Array.from({ length: count }, () => ({ client: readText(from), peer: readText(from) }));
  return { id, incarnation, version, gossip, http, stores };
};

/** The bytes of a command. */
export const encodeMetaCommand = (command: MetaCommand): Uint8Array => {
  const to = new ByteWriter(256);
  to.u8(FORMAT);
  to.u8(TYPES.indexOf(command.type));
  switch (command.type) {
    case 'form': {
      const { shardCount, replicationFactor, protocolVersion } = command.settings;
      for (const number of [shardCount, replicationFactor, protocolVersion, command.members.length]) to.varint(number);
      for (const member of command.members) writeText(member, to);
      break;
    }
    case 'register':
    case 'join':
      encodeNode(command.node, to);
      break;
    case 'remove-node':
      writeText(command.id, to);
      break;
    case 'add-replica':
      to.varint(command.shard);
      writeText(command.nodeId, to);
      break;
    case 'remove-replica':
    case 'prefer':
      to.varint(command.shard);
      to.varint(command.replicaId);
      break;
  }
  return to.view().slice();
};

/** @throws RangeError if the bytes are no command that this version knows. */
export const decodeMetaCommand = (bytes: Uint8Array): MetaCommand => {
  const from = new ByteReader(bytes);
  const format = from.u8();
  if (format !== FORMAT) throw new RangeError(`meta command format ${format} is not known`);
  const number = from.u8();
  const type = TYPES[number];
  switch (type) {
    case 'form': {
      const settings = { shardCount: from.varint(), replicationFactor: from.varint(), protocolVersion: from.varint() };
      const count = from.varint();
      if (count > from.remaining) throw new RangeError('a command claims more members than it has bytes');
      return { type, settings, members: Array.from({ length: count }, () => readText(from)) };
    }
    case 'register':
    case 'join':
      return { type, node: decodeNode(from) };
    case 'remove-node':
      return { type, id: readText(from) };
    case 'add-replica':
      return { type, shard: from.varint(), nodeId: readText(from) };
    case 'remove-replica':
    case 'prefer':
      return { type, shard: from.varint(), replicaId: from.varint() };
    default:
      throw new RangeError(`meta command ${number} is not known`);
  }
};
