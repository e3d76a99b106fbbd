// Packs the writes of a turn into log entries. A shard's writes share an entry, but never two that touch one key
// (rule 7: a version names the one write that made it), and never one that is past its deadline or cancelled.
import { ByteWriter } from '../domain/byte-writer.js';
import { encodeCommands } from '../domain/command.js';
import { NodeError } from '../domain/node-error.js';
import type { WriteRequest } from '../ports/kv.js';
import type { Proposal } from '../ports/replicated-log.js';

/** Bytes of entries in one turn, beyond which the rest waits for the next. */
const TURN_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of keys and values in one entry, beyond which a request begins another; a single request may be larger. */
const ENTRY_BYTES_MAX = 1024 * 1024;
/** The buffer is given back when a turn has grown it beyond this. */
const BUFFER_KEEP_BYTES_MAX = 8 * 1024 * 1024;

/** Requests that wait for the next turn, by group, in order of arrival. */
export type PendingWrites = Map<number, WriteRequest[]>;

/** A write without operations: it only moves its shard's time on, and then calls back. */
export interface TimeRequest extends WriteRequest {
  settled(error: NodeError | undefined): void;
}

/** What {@link TurnPacker} needs to know of the moment and of each group. */
export interface TurnContext {
  readonly monotonicMs: number;
  /** The time an entry of the group gets. */
  entryTimeMs(group: number): number;
}

/** Builds turns in one buffer that it uses again and again. */
export class TurnPacker {
  readonly #writer = new ByteWriter(256 * 1024);

  /**
   * Takes what fits from `pending` (in place) and returns the entries, or none if nothing is left to propose.
   * Requests that must not be started any more are answered here.
   */
  pack(pending: PendingWrites, context: TurnContext): Proposal[] {
    const writer = this.#writer;
    writer.reset(BUFFER_KEEP_BYTES_MAX);
    const entries: { group: number; requests: WriteRequest[]; start: number; end: number }[] = [];
    for (const [group, requests] of pending) {
      if (writer.length >= TURN_BYTES_MAX) break;
      pending.delete(group);
      const taken = takeUpTo(requests, TURN_BYTES_MAX - writer.length);
      for (const entryRequests of splitIntoEntries(startable(taken, context.monotonicMs))) {
        const start = writer.length;
        writer.varint(context.entryTimeMs(group));
        encodeCommands(entryRequests, writer);
        entries.push({ group, requests: entryRequests, start, end: writer.length });
      }
      if (taken.length < requests.length) {
        pending.set(group, requests.slice(taken.length));
        break;
      }
    }
    // The log keeps what it gets, and the writer writes on.
    const all = writer.view().slice();
    return entries.map(({ group, requests, start, end }) => ({
      group,
      data: all.subarray(start, end),
      context: requests,
    }));
  }
}

/** Bytes of keys and values of a request. */
export const requestBytes = (request: WriteRequest): number => {
  let bytes = 0;
  for (const { key, value } of request.operations) bytes += key.length + value.length;
  return bytes;
};

/** The first requests that together have about `bytesMax`: at least one. */
const takeUpTo = (requests: WriteRequest[], bytesMax: number): WriteRequest[] => {
  let bytes = 0;
  for (let i = 0; i < requests.length; i++) {
    if (bytes >= bytesMax) return requests.slice(0, i);
    bytes += requestBytes(requests[i]!);
  }
  return requests;
};

/** The requests that may still be started; the others are answered. */
const startable = (requests: WriteRequest[], monotonicMs: number): WriteRequest[] => {
  let late = false;
  for (const request of requests) late ||= request.cancelled || request.deadlineMs <= monotonicMs;
  if (!late) return requests;
  return requests.filter((request) => {
    if (!request.cancelled && request.deadlineMs > monotonicMs) return true;
    const error = request.cancelled
      ? new NodeError('CANCELLED', 'The write was cancelled before it was started; nothing was done.')
      : new NodeError('DEADLINE_EXCEEDED', 'The deadline passed before the write was started; nothing was done.');
    failRequest(request, error);
    return false;
  });
};

/** Answers every operation of a request with one error. */
export const failRequest = (request: WriteRequest, error: NodeError): void => {
  if (request.operations.length === 0) (request as TimeRequest).settled(error);
  for (const operation of request.operations) request.sink.failed(operation.tag, error);
};

const splitIntoEntries = (requests: WriteRequest[]): WriteRequest[][] => {
  if (requests.length === 0) return [];
  if (requests.length === 1) return [requests];
  const entries: WriteRequest[][] = [];
  let entry: WriteRequest[] = [];
  let keys = new Set<string>();
  let bytes = 0;
  for (const request of requests) {
    const own = request.operations.map(({ key }) => keyText(key));
    if (bytes >= ENTRY_BYTES_MAX || own.some((key) => keys.has(key))) {
      entries.push(entry);
      entry = [];
      keys = new Set();
      bytes = 0;
    }
    bytes += requestBytes(request);
    for (const key of own) keys.add(key);
    entry.push(request);
  }
  entries.push(entry);
  return entries;
};

const keyText = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
