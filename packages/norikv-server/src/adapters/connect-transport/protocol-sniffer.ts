// Tells HTTP/2 with prior knowledge from HTTP/1.1 by the first bytes of a connection, which are then put back.
//
//   new ──"PRI * HTTP/2.0\r\n"──> http2      (16 bytes are enough: no HTTP/1.1 method is called PRI)
//    ├────any other byte───────> http1
//    └────silence──────────────> cut after the timeout
import type { Socket } from 'node:net';
import type { Clock } from 'nori-io';

const PREFACE = new TextEncoder().encode('PRI * HTTP/2.0\r\n');

/** What a connection speaks. */
export type HttpVersion = 'http1' | 'http2';

/** Bytes of `received` that match the preface; -1 if one does not. */
const matchPreface = (received: Uint8Array): number => {
  const length = Math.min(received.length, PREFACE.length);
  for (let i = 0; i < length; i++) if (received[i] !== PREFACE[i]) return -1;
  return length;
};

/**
 * Calls `decided` when the first bytes have told the protocol, with the socket paused and its bytes put back. A socket
 * that stays silent, or in the middle of the preface, for `timeoutMs` is destroyed.
 */
export const sniffProtocol = (
  socket: Socket,
  clock: Clock,
  timeoutMs: number,
  decided: (version: HttpVersion) => void,
): void => {
  let received: Buffer = Buffer.alloc(0);
  const timer = clock.setTimer(timeoutMs, () => socket.destroy(), { unref: true });
  const stop = () => {
    timer.cancel();
    socket.off('data', read);
    socket.off('close', stop);
    socket.off('end', cut);
  };
  const cut = () => socket.destroy();
  const read = (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const matched = matchPreface(received);
    if (matched >= 0 && matched < PREFACE.length) return;
    stop();
    socket.pause();
    socket.unshift(received);
    decided(matched < 0 ? 'http1' : 'http2');
  };
  socket.on('data', read);
  socket.on('close', stop);
  socket.on('end', cut);
};
