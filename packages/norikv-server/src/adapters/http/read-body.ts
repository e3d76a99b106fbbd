// Reading a request's body up to a limit: what exceeds it is neither kept nor waited for.
import type { IncomingMessage } from 'node:http';
import { NodeError } from '../../domain/node-error.js';

/** The body exceeds the limit. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
}

/** Length the request announces; NaN if none. */
export const announcedLength = (request: IncomingMessage): number =>
  Number(request.headers['content-length'] ?? Number.NaN);

/**
 * Reads the body.
 *
 * @throws BodyTooLarge as soon as it is known; what follows has to be discarded by the caller
 * @throws NodeError `CANCELLED`: the client has gone
 */
export const readBody = (request: IncomingMessage, bytesMax: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const announced = announcedLength(request);
    if (announced > bytesMax) {
      reject(new BodyTooLarge(`The value has ${announced} bytes: the limit is ${bytesMax}`));
      return;
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    const stop = () => {
      request.off('data', read);
      request.off('end', done);
      request.off('close', gone);
    };
    const read = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bytesMax) {
        chunks.push(chunk);
        return;
      }
      stop();
      reject(new BodyTooLarge(`The value has more than ${bytesMax} bytes, which is the limit`));
    };
    const done = () => {
      stop();
      const body = Buffer.concat(chunks, bytes);
      resolve(new Uint8Array(body.buffer, body.byteOffset, body.length));
    };
    const gone = () => {
      stop();
      reject(new NodeError('CANCELLED', 'The client went away before its request was whole'));
    };
    request.on('data', read);
    request.on('end', done);
    request.on('close', gone);
  });
