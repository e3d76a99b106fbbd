// Listening on a TCP address, with errors that an operator can act on.
import type { Server } from 'node:net';
import { type ListenAddress, ListenError } from '../../ports/transport.js';

const BACKLOG = 1024;

const listenError = (error: NodeJS.ErrnoException, address: ListenAddress, flag: string): ListenError => {
  const where = address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
  const cause = { cause: error };
  switch (error.code) {
    case 'EADDRINUSE':
      return new ListenError(
        'SERVER_PORT_IN_USE',
        `Port ${address.port} on ${address.host} is in use by another process; stop it or choose another address with ${flag}`,
        cause,
      );
    case 'EACCES':
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new ListenError(
        'SERVER_ADDRESS_NOT_ALLOWED',
        `Cannot listen on ${where} (${error.code}); choose another address with ${flag}`,
        cause,
      );
    default:
      return new ListenError('SERVER_LISTEN_FAILED', `Cannot listen on ${where} (${flag}): ${error.message}`, cause);
  }
};

/**
 * Makes `server` listen.
 *
 * @param flag the command line flag that sets the address, for the error's message
 * @throws ListenError
 */
export const listenOn = (server: Server, address: ListenAddress, flag: string): Promise<ListenAddress> =>
  new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(listenError(error, address, flag));
    server.once('error', failed);
    server.listen({ host: address.host, port: address.port, backlog: BACKLOG }, () => {
      server.off('error', failed);
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? { host: bound.address, port: bound.port } : address);
    });
  });
