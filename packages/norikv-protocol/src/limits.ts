// What NoriKV accepts at most. Clients check before they send, servers before they decode; both name limit and size.

const KIB = 1024;
const MIB = 1024 * KIB;

/** Limits of the protocol. Sizes in bytes, both ends inclusive. */
export const LIMITS = Object.freeze({
  /** Keys are not empty. */
  keyBytesMin: 1,
  keyBytesMax: KIB,
  /** Values may be empty. */
  valueBytesMax: MIB,
  /** One request message or operation frame, encoded, without its 5-byte prefix. */
  requestBytesMax: 2 * MIB,
  /** One response message or result frame, encoded: a frame's worth of values and what surrounds them. */
  responseBytesMax: 4 * MIB,
  /** Rows of one operation frame, and ids in its `cancels`. */
  frameRowsMax: 4096,
  /** Entries of a scan page when the caller names no limit. */
  scanLimitDefault: 1000,
  /** Entries of a scan page that a caller may ask for. */
  scanLimitMax: 10_000,
  /** Keys and values of a scan page together; a page holds at least one entry whatever its size. */
  scanPageBytesMax: MIB,
  clientIdBytes: 16,
  clusterIdBytes: 16,
  /** Outcomes of writes above the floor that each shard keeps for a client. */
  outcomesPerClientMax: 1024,
  /** Sequences, floors, terms, indexes and times are integers up to this. */
  integerMax: Number.MAX_SAFE_INTEGER,
} as const);

/** Default ports of a node. */
export const PORTS = Object.freeze({
  /** Clients: Connect, gRPC and gRPC-web over HTTP/1.1 and h2c. */
  client: 7447,
  peer: 7448,
  /** UDP and TCP. */
  gossip: 7449,
  /** Dashboard, REST, health, metrics. */
  http: 8080,
} as const);

/** Shards of a cluster unless configured otherwise at bootstrap. */
export const SHARD_COUNT_DEFAULT = 1024;
