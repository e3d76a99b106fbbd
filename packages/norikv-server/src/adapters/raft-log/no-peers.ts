// The transport of a node that is alone: there is nobody to send to.
import type { PeerTransport } from 'nori-raft';

export const noPeers = (nodeId: string): PeerTransport => ({
  nodeId,
  start: async () => {},
  send: () => false,
  queuedBytes: () => 0,
  close: async () => {},
});
