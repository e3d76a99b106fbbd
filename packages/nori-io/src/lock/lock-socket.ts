// A Unix domain socket beside the lock file, on which the holder listens for as long as it lives. The kernel closes it when the
// process ends, however it ends; a connection is then refused, in whatever PID or network namespace one asks. A process that is
// stopped or busy still counts: the kernel accepts for it, until its backlog is full, and then says "try again".
//
// Linux only: elsewhere there are no PID namespaces. Addresses are limited to 107 bytes (and libuv cuts longer ones without a
// word), so the directory is named through /proc/self/fd.
import fs from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';

const ADDRESS_BYTES_MAX = 107;

/** What a connection to a socket tells. */
export type SocketState =
  /** Somebody listens. */
  | 'answers'
  /** Nobody does. */
  | 'refused'
  /** There is no such file. */
  | 'missing'
  /** It could not be tried. */
  | 'unknown';

/** A socket that listens. */
export interface ListeningSocket {
  /** Stops listening. The file stays. */
  close(): Promise<void>;
}

/** Listens at a new socket `name` beside `lockPath`, without keeping the process alive; undefined where that cannot be done. */
export async function listenBeside(lockPath: string, name: string): Promise<ListeningSocket | undefined> {
  if (process.platform !== 'linux') return undefined;
  return await besides(lockPath, name, undefined, listenAt);
}

/** Tries the socket `name` beside `lockPath`. */
export async function probeBeside(lockPath: string, name: string): Promise<SocketState> {
  return await besides<SocketState>(lockPath, name, 'unknown', probeAt);
}

async function besides<T>(
  lockPath: string,
  name: string,
  otherwise: T,
  work: (address: string) => Promise<T>,
): Promise<T> {
  let directory: fs.promises.FileHandle;
  try {
    directory = await fs.promises.open(dirname(lockPath), 'r');
  } catch {
    return otherwise;
  }
  try {
    const address = `/proc/self/fd/${directory.fd}/${name}`;
    if (Buffer.byteLength(address) > ADDRESS_BYTES_MAX) return otherwise;
    return await work(address);
  } finally {
    await directory.close();
  }
}

function listenAt(address: string): Promise<ListeningSocket | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer((connection) => connection.destroy());
    const close = () => new Promise<void>((done) => server.close(() => done()));
    server.on('error', () => resolve(undefined));
    try {
      // Exclusive: in a cluster the primary process must not listen in our place. Writable for all: who may look into the
      // directory may ask, also if the holder runs as another user.
      server.listen({ path: address, exclusive: true, readableAll: true, writableAll: true }, () => resolve({ close }));
    } catch {
      resolve(undefined);
    }
    server.unref();
  });
}

function probeAt(address: string): Promise<SocketState> {
  return new Promise((resolve) => {
    const connection = net.connect({ path: address });
    connection.on('connect', () => {
      connection.destroy();
      resolve('answers');
    });
    connection.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve('refused');
      else if (error.code === 'ENOENT') resolve('missing');
      else resolve(error.code === 'EAGAIN' ? 'answers' : 'unknown');
    });
  });
}
