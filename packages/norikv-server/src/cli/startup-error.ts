// Why a node could not start, in one line that says what to do. Errors of storage come with code and sentence already;
// those of the operating system are put in terms of settings here.
import { type Address, formatAddress } from '../config/address.js';
import type { NodeConfig } from '../config/node-config.js';
import { flagOf, SETTINGS } from '../config/settings.js';

/** An error of a socket as Node reports it. */
interface SocketError {
  readonly code?: unknown;
  readonly syscall?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
  readonly cause?: unknown;
}

const LISTEN_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another process; stop that, or choose another port with',
  EACCES: 'may not be listened on by this user; choose a port above 1023 with',
  EADDRNOTAVAIL: 'is no address of this machine; choose one with',
  ENOTFOUND: 'has a host name that cannot be resolved; choose another with',
};

/** The code and message of the line that ends a failed start. */
export const describeStartupError = (error: unknown, config: NodeConfig): { code: string; message: string } => {
  const socket = socketErrorOf(error);
  if (socket !== undefined) {
    const { flag, address } = listenerOf(socket, config);
    return { code: String(socket.code), message: `${address} ${LISTEN_REASONS[String(socket.code)]} ${flag}.` };
  }
  const code = (error as { code?: unknown } | null | undefined)?.code;
  const message = error instanceof Error ? error.message : String(error);
  return { code: typeof code === 'string' ? code : 'INTERNAL', message };
};

/** The failed `listen` or host look-up behind an error, if that is what it is. */
const socketErrorOf = (error: unknown): SocketError | undefined => {
  for (let at = error as SocketError | undefined, depth = 0; at && depth < 5; at = at.cause as SocketError, depth++) {
    const listening = at.syscall === 'listen' || at.syscall === 'bind' || at.syscall === 'getaddrinfo';
    if (listening && typeof at.code === 'string' && at.code in LISTEN_REASONS) return at;
  }
  return undefined;
};

const listenerOf = (error: SocketError, config: NodeConfig): { flag: string; address: string } => {
  for (const setting of SETTINGS) {
    if (setting.kind.type !== 'address') continue;
    const address = config[setting.field] as Address;
    if (address.port === error.port) return { flag: flagOf(setting), address: formatAddress(address) };
  }
  const { address, hostname, port } = error as { address?: string; hostname?: string; port?: number };
  return { flag: '--rpc-addr or --http-addr', address: `${address ?? hostname ?? 'The address'}:${port ?? 0}` };
};
