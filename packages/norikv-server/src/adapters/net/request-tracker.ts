// Which HTTP/1.1 connections have a request under way, so that a drain ends the others at once and these after their
// answer. (Node's own `closeIdleConnections` spares connections that have not sent anything yet.)
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Follows requests from their headers to the end of their answers. */
export class RequestTracker {
  readonly #busy = new Map<Socket, number>();
  #draining = false;

  /** To be called with every request, before it is answered. */
  track(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1);
    if (this.#draining) response.shouldKeepAlive = false;
    response.on('close', () => {
      const left = this.#busy.get(socket)! - 1;
      if (left > 0) this.#busy.set(socket, left);
      else {
        this.#busy.delete(socket);
        if (this.#draining) socket.end();
      }
    });
  }

  /** Cuts those of `sockets` that have no request under way; the others end after their answer. */
  drain(sockets: Iterable<Socket>): void {
    this.#draining = true;
    for (const socket of sockets) if (!this.#busy.has(socket)) socket.destroy();
  }
}
