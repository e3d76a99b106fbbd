// What a node tells all others of itself through membership gossip, in at most 512 bytes (docs/formats/node-card.md): which cluster it
// belongs to or helps to form, where it is, and what it must have in common with them.
import type { BootstrapNotice } from './bootstrap.js';
import { ByteReader } from './byte-reader.js';
import { readText, writeText } from './byte-text.js';
import { ByteWriter } from './byte-writer.js';
import type { StoreAddresses } from './meta-command.js';

/** Version of what nodes say to each other: gossip, peer connections, entries of the meta group. */
export const PROTOCOL_VERSION = 1;

/** How far a node is. Positions are what is sent: append only. */
const PHASES = ['blank', 'accepted', 'formed', 'joining'] as const;

/** `blank`: has stored nothing; `accepted`: a proposal; `formed`: it belongs to the cluster; `joining`: it wants to. */
export type NodePhase = (typeof PHASES)[number];

/** A node's card. */
export interface NodeCard {
  readonly protocolVersion: number;
  readonly shardCount: number;
  readonly phase: NodePhase;
  /** As hex; empty while the node is blank. */
  readonly clusterId: string;
  /** Names the nodes of the proposal that was accepted: `membersKey`. */
  readonly members: string;
  /** Of the software. */
  readonly version: string;
  /** host:port. */
  readonly http: string;
  /** `peer` is empty while the node does not listen for its peers yet. */
  readonly stores: readonly StoreAddresses[];
}

/** The first byte of a card; it and the two numbers behind it stay where they are in all versions. */
const FORMAT = 1;
const STORES_MAX = 64;

export const encodeCard = (card: NodeCard): Uint8Array => {
  const to = new ByteWriter(256);
  to.u8(FORMAT);
  to.varint(card.protocolVersion);
  to.varint(card.shardCount);
  to.u8(PHASES.indexOf(card.phase));
  for (const text of [card.clusterId, card.members, card.version, card.http]) writeText(text, to);
  to.varint(card.stores.length);
  for (const { client, peer } of card.stores) {
    writeText(client, to);
    writeText(peer, to);
  }
  return to.view().slice();
};

/** Undefined if the bytes are no card; of another protocol version, only the numbers are known. */
export const decodeCard = (bytes: Uint8Array): NodeCard | undefined => {
  try {
    const from = new ByteReader(bytes);
    if (from.u8() !== FORMAT) return undefined;
    const protocolVersion = from.varint();
    const shardCount = from.varint();
    if (protocolVersion !== PROTOCOL_VERSION) {
      const unknown = { clusterId: '', members: '', version: '', http: '', stores: [] };
      return { protocolVersion, shardCount, phase: 'blank', ...unknown };
    }
    const phase = PHASES[from.u8()];
    if (phase === undefined) return undefined;
    const [clusterId, members, version, http] = Array.from({ length: 4 }, () => readText(from)) as [
      string,
      string,
      string,
      string,
    ];
    const count = from.varint();
    if (count > STORES_MAX) return undefined;
    const stores = Array.from({ length: count }, () => ({ client: readText(from), peer: readText(from) }));
    return { protocolVersion, shardCount, phase, clusterId, members, version, http, stores };
  } catch {
    return undefined;
  }
};

/** What a card says about forming a cluster. */
export const noticeOf = (nodeId: string, { phase, clusterId, members }: NodeCard): BootstrapNotice => ({
  nodeId,
  // Who is joining belongs to no cluster yet.
  clusterId: phase === 'joining' ? '' : clusterId,
  members,
  isFormed: phase === 'formed',
});
