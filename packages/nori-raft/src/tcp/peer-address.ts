// Addresses of peers as text: `host:port`, IPv6 in brackets.
import { RaftError } from '../errors.js';

export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

const ADDRESS = /^(?:\[([^[\]]+)\]|([^[\]:]+)):(\d{1,5})$/;

/** @throws RaftError RAFT_INVALID_OPTION */
export function parsePeerAddress(text: string): PeerAddress {
  const match = ADDRESS.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new RaftError('RAFT_INVALID_OPTION', `"${text}" is no address; write host:port, or [IPv6]:port.`);
  }
  return { host: match[1] ?? match[2]!, port };
}

export function formatPeerAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
