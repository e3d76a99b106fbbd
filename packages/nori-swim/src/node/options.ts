// The options of `Swim.start`, checked.
import type { Meter } from 'nori-observe';
import { SwimError } from '../errors.js';
import type { Address, NodeId } from '../member.js';
import { METADATA_BYTES_MAX, type ProtocolOptions, resolveProtocol } from '../protocol-options.js';
import { CLUSTER_BYTES_MAX, ID_BYTES_MAX, ZONE_BYTES_MAX } from '../wire/limits.js';
import { isValidId } from '../wire/message-codec.js';
import { utf8Bytes } from '../wire/msgpack-writer.js';

/** Options of `Swim.start`. */
export interface SwimOptions {
  /** Unique in the cluster, and the same after a restart: 1 to 128 bytes of UTF-8, no control characters. */
  readonly id: NodeId;
  /** Where to listen, UDP and TCP: `host:port`, IPv6 in brackets; port 0: any. Default `127.0.0.1:7449`. */
  readonly bind?: string;
  /** Where others reach this node, if that is not where it listens; port 0: the same port. */
  readonly advertise?: Address;
  /** Rack, machine or data centre: helpers are taken from different ones. Up to 64 bytes. */
  readonly zone?: string;
  /** Up to 512 bytes that all members get to know. */
  readonly metadata?: Uint8Array;
  /** Packets of clusters with another name are refused. Up to 64 bytes; default none. */
  readonly cluster?: string;
  /** Keys of 32 bytes for AES-256-GCM: the first one encrypts, all decrypt. Default none: plain text. */
  readonly keys?: readonly Uint8Array[];
  /** With keys: encrypt what is sent. Turn it off in the first step of turning encryption on while the cluster runs. Default true. */
  readonly encryptOutgoing?: boolean;
  /** With keys: refuse what is not encrypted. Turn it on in the last step. Default: as `encryptOutgoing`. */
  readonly requireEncrypted?: boolean;
  /** A file of this node's own, in which it keeps its incarnation over restarts. Default none: it learns it from the others. */
  readonly stateFile?: string;
  /** Constants of the protocol; the same on all nodes. */
  readonly protocol?: Partial<ProtocolOptions>;
  /** Default: none. */
  readonly meter?: Meter;
}

/** Half of a character, which UTF-8 cannot write. */
const SURROGATE = /\p{Surrogate}/u;

/** {@link SwimOptions} with all defaults. */
export interface ResolvedOptions {
  readonly id: NodeId;
  readonly bind: string;
  readonly advertise: Address | undefined;
  readonly zone: string;
  readonly metadata: Uint8Array;
  readonly cluster: string;
  readonly keys: readonly Uint8Array[];
  readonly encryptOutgoing: boolean;
  readonly requireEncrypted: boolean;
  readonly stateFile: string | undefined;
  readonly protocol: ProtocolOptions;
}

/** @throws SwimError SWIM_INVALID_OPTION or SWIM_METADATA_TOO_LARGE */
export function resolveOptions(options: SwimOptions): ResolvedOptions {
  const { id, keys = [], encryptOutgoing = true, zone = '', cluster = '', metadata = new Uint8Array() } = options;
  if (typeof id !== 'string' || !isValidId(id) || utf8Bytes(id) > ID_BYTES_MAX || SURROGATE.test(id)) {
    const what = `1 to ${ID_BYTES_MAX} bytes of UTF-8 without control characters`;
    throw new SwimError('SWIM_INVALID_OPTION', `id must be ${what}, not ${JSON.stringify(id)}.`);
  }
  checkText('zone', zone, ZONE_BYTES_MAX);
  checkText('cluster', cluster, CLUSTER_BYTES_MAX);
  checkMetadata(metadata);
  if (keys.length === 0 && (options.encryptOutgoing || options.requireEncrypted)) {
    throw new SwimError('SWIM_INVALID_OPTION', 'encryptOutgoing and requireEncrypted need keys.');
  }
  return Object.freeze({
    id,
    bind: options.bind ?? '127.0.0.1:7449',
    advertise: options.advertise,
    zone,
    metadata: metadata.slice(),
    cluster,
    keys,
    encryptOutgoing,
    requireEncrypted: options.requireEncrypted ?? encryptOutgoing,
    stateFile: options.stateFile,
    protocol: resolveProtocol(options.protocol),
  });
}

/** @throws SwimError SWIM_METADATA_TOO_LARGE */
export function checkMetadata(metadata: Uint8Array): void {
  if (!(metadata instanceof Uint8Array)) throw new SwimError('SWIM_INVALID_OPTION', 'metadata must be a Uint8Array.');
  if (metadata.length <= METADATA_BYTES_MAX) return;
  const what = `Metadata of ${metadata.length} bytes: ${METADATA_BYTES_MAX} are allowed`;
  throw new SwimError('SWIM_METADATA_TOO_LARGE', `${what}. Keep a reference in it, and the rest elsewhere.`);
}

function checkText(name: string, text: unknown, maxBytes: number): void {
  if (typeof text === 'string' && !SURROGATE.test(text) && utf8Bytes(text) <= maxBytes) return;
  throw new SwimError(
    'SWIM_INVALID_OPTION',
    `${name} must be text of at most ${maxBytes} bytes, not ${JSON.stringify(text)}.`,
  );
}
