// The driven port to other nodes, for what is neither Raft nor gossip: few and small questions, mostly by nodes that do not take part
// in the meta group yet.

/** What can be asked; numbers are what is sent. */
export const PEER_METHOD = {
  /** Body: nothing. Answer: the whole meta state, as it is applied there. */
  fetchMeta: 1,
  /** Body: a command of the meta group. Answer: what it came to, and the meta state afterwards. */
  proposeMeta: 2,
  /** Body and answer: domain/scan-part.ts. */
  scanPart: 3,
} as const;

/** One of {@link PEER_METHOD}. */
export type PeerMethod = (typeof PEER_METHOD)[keyof typeof PEER_METHOD];

/** Questions to other nodes. */
export interface PeerCalls {
  /** Nodes that can be asked now. */
  reachable(): readonly string[];
  /** @throws NodeError what the other side says; `UNAVAILABLE` when it does not answer in time */
  call(nodeId: string, method: PeerMethod, body: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
}

/** Answers the questions of other nodes. @throws NodeError, which travels */
export type PeerHandler = (from: string, method: number, body: Uint8Array) => Promise<Uint8Array>;
