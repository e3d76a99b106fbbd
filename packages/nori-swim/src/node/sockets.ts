// A UDP socket and a TCP server on one port.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import type { HostPort } from '../address.js';
import { formatHostPort } from '../address.js';
import { SwimError } from '../errors.js';

/** With port 0, TCP may be given a port that is taken for UDP: then another one is tried. */
const PORT_TRIES = 16;

export interface Sockets {
  readonly udp: UdpSocket;
  readonly server: Server;
  readonly port: number;
}

/** @throws SwimError SWIM_ADDRESS_IN_USE or SWIM_LISTEN_FAILED */
export async function listen({ host, port }: HostPort, onConnection: (socket: Socket) => void): Promise<Sockets> {
  for (let tries = 1; ; tries++) {
    const server = createServer({ noDelay: true }, onConnection);
    const chosen = await listenTcp(server, host, port);
    try {
      return { server, udp: await bindUdp(host, chosen), port: chosen };
    } catch (error) {
      await new Promise((resolve) => server.close(resolve));
      if (port !== 0 || tries === PORT_TRIES) throw error;
    }
  }
}

function listenTcp(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, 'TCP', host, port)));
    server.listen({ host, port, exclusive: true }, () => {
      server.removeAllListeners('error');
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

function bindUdp(host: string, port: number): Promise<UdpSocket> {
  const isV6 = isIPv6(host);
  // Addresses are literals: nothing is to be looked up, least of all once a packet.
  const lookup = (name: string, _options: unknown, done: (error: null, address: string, family: number) => void) =>
    done(null, name, isV6 ? 6 : 4);
  const udp = createSocket({ type: isV6 ? 'udp6' : 'udp4', lookup: lookup as never });
  return new Promise((resolve, reject) => {
    udp.once('error', (error) => {
      udp.close();
      reject(listenError(error, 'UDP', host, port));
    });
    udp.bind({ address: host, port, exclusive: true }, () => {
      udp.removeAllListeners('error');
      resolve(udp);
    });
  });
}

function listenError(cause: Error, kind: string, host: string, port: number): SwimError {
  const where = `${formatHostPort(host, port)} (${kind})`;
  if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE') {
    return new SwimError('SWIM_ADDRESS_IN_USE', `${where} is in use by another process: choose another port.`, {
      cause,
    });
  }
  return new SwimError('SWIM_LISTEN_FAILED', `Cannot listen on ${where}: ${cause.message}.`, { cause });
}

/** The address without the prefix that an IPv6 socket gives to IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
