// Sizes that both sides rely on.
export const ID_BYTES_MAX = 128;
export const ZONE_BYTES_MAX = 64;
export const CLUSTER_BYTES_MAX = 64;
/** `[v6]:port` with a scope id takes fewer. */
export const ADDRESS_BYTES_MAX = 80;
/** Accusers that a message about a death names. */
export const ACCUSERS_MAX = 5;
/** Messages in one packet. */
export const MESSAGES_PER_PACKET_MAX = 1_024;
/** Largest frame on a stream: 10,000 members with full metadata. */
export const FRAME_BYTES_MAX = 16 * 2 ** 20;
export const HELPER_WAIT_MAX_MS = 10_000;
/** Bytes of an envelope: version, kind, key id, nonce, tag. Without encryption there is a checksum of four bytes instead. */
export const ENVELOPE_BYTES_MAX = 1 + 1 + 4 + 12 + 16;
/** Members in one exchange of views. */
export const RECORDS_MAX = 65_535;
