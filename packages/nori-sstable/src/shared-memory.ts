// Memory that several values lie in, handed out as views.
import { Buffer } from 'node:buffer';
import { markAsUntransferable } from 'node:worker_threads';

/**
 * Memory whose views go to callers; its content is undefined. Whoever posts one of them to another thread with its buffer in the transfer list
 * would take all the others along: Node refuses that (before version 21 it copies instead), as it does for its own small Buffers.
 */
export function sharedMemory(bytes: number): Uint8Array<ArrayBuffer> {
  // Not filled with zeros first: it is written before it is read.
  const memory = Buffer.allocUnsafeSlow(bytes);
  markAsUntransferable(memory.buffer);
  return new Uint8Array(memory.buffer, memory.byteOffset, bytes);
}
