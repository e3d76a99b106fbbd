// Carries messages between replicas of one process: for examples and tests. It loses nothing and keeps the order.
import type { Message } from './types.js';

/** Messages in memory. What is sent waits until {@link MemoryTransport.deliver} is called. */
export class MemoryTransport {
  readonly #receivers = new Map<number, (message: Message) => void>();
  #queue: Message[] = [];

  /** Hands the messages for replica `id` to `receive` from now on. */
  listen(id: number, receive: (message: Message) => void): void {
    this.#receivers.set(id, receive);
  }

  /** Lets messages for replica `id` get lost. */
  disconnect(id: number): void {
    this.#receivers.delete(id);
  }

  send(message: Message): void {
    this.#queue.push(message);
  }

  /** Delivers what has been sent so far. @returns how many messages that was, lost ones included */
  deliver(): number {
    const messages = this.#queue;
    this.#queue = [];
    for (const message of messages) this.#receivers.get(message.to)?.(message);
    return messages.length;
  }
}
