// Receives snapshots: chunks in order into the state machine's staging, at the pace at which that takes them. Only when all
// is there does the core hear of it.
import { blankMessage } from '../message.js';
import { encodeSnapshotAck, type SnapshotAckStatus, type SnapshotChunk } from './frame-codec.js';
import type { GroupDriver } from './group.js';
import type { ResolvedMultiOptions } from './multi-options.js';
import type { NodeId } from './ports.js';

/** A transfer of which nothing has come for so many election timeouts is given up. */
const GIVE_UP_TIMEOUTS = 30;

interface Stream {
  readonly node: NodeId;
  readonly head: SnapshotChunk;
  /** Chunks that have come and were not taken yet. */
  readonly chunks: Uint8Array[];
  /** Offset of the byte that is to come next, and of the one that is to be taken next. */
  received: number;
  taken: number;
  complete: boolean;
  failure: Error | undefined;
  heardAtMs: number;
  wake: (() => void) | undefined;
}

export class SnapshotReceiver {
  readonly #options: ResolvedMultiOptions;
  readonly #groupOf: (groupId: number) => GroupDriver | undefined;
  /** By group: one at a time. */
  readonly #streams = new Map<number, Stream>();
  #nowMs = 0;

  constructor(options: ResolvedMultiOptions, groupOf: (groupId: number) => GroupDriver | undefined) {
    this.#options = options;
    this.#groupOf = groupOf;
  }

  receiveChunk(node: NodeId, chunk: SnapshotChunk): void {
    const group = this.#groupOf(chunk.groupId);
    if (group === undefined || chunk.to !== group.replicaId) {
      this.#answer(node, chunk, 'refused', 0);
      return;
    }
    let stream = this.#streams.get(chunk.groupId);
    if (stream !== undefined && (stream.head.streamId !== chunk.streamId || stream.node !== node)) {
      // A later leader, or a later attempt, takes over.
      if (chunk.offset !== 0 || chunk.term < stream.head.term) {
        this.#answer(node, chunk, 'refused', 0);
        return;
      }
      this.#fail(chunk.groupId, stream, 'Another transfer took over.');
      stream = undefined;
    }
    if (stream === undefined) {
      if (chunk.snapshot.index <= group.appliedIndex) {
        // What it stands for is here. A leader that was told no would offer it again and again: it does not know better.
        this.#answer(node, chunk, 'complete', 0);
        return;
      }
      if (chunk.offset !== 0 || this.#streams.size >= this.#options.snapshotsMax) {
        this.#answer(node, chunk, 'refused', 0);
        return;
      }
      stream = this.#begin(node, chunk, group);
    }
    stream.heardAtMs = this.#nowMs;
    const known = stream.received - chunk.offset;
    if (known >= 0 && (known < chunk.bytes.length || chunk.last) && !stream.complete) {
      // After a resumption the first bytes of a chunk may be here already.
      const bytes = chunk.bytes.subarray(known);
      stream.received += bytes.length;
      if (bytes.length > 0) stream.chunks.push(bytes);
      stream.complete = chunk.last;
      stream.wake?.();
    } else this.#answer(node, chunk, 'accepted', stream.taken);
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [groupId, stream] of [...this.#streams]) {
      if (nowMs - stream.heardAtMs > GIVE_UP_TIMEOUTS * this.#options.electionTimeoutMs && !stream.complete) {
        this.#fail(groupId, stream, 'The sender fell silent.');
      }
    }
  }

  drop(groupId: number): void {
    const stream = this.#streams.get(groupId);
    if (stream !== undefined) this.#fail(groupId, stream, 'The group was removed.');
  }

  close(): void {
    for (const groupId of [...this.#streams.keys()]) this.drop(groupId);
  }

  #begin(node: NodeId, head: SnapshotChunk, group: GroupDriver): Stream {
    const stream: Stream = {
      node,
      head,
      chunks: [],
      received: 0,
      taken: 0,
      complete: false,
      failure: undefined,
      heardAtMs: this.#nowMs,
      wake: undefined,
    };
    this.#streams.set(head.groupId, stream);
    void this.#stage(stream, group);
    return stream;
  }

  async #stage(stream: Stream, group: GroupDriver): Promise<void> {
    const { head, node } = stream;
    let status: SnapshotAckStatus = 'failed';
    try {
      const staged = await group.machine.stage(head.snapshot, this.#chunks(stream));
      if (stream.failure !== undefined) await staged.discard();
      else {
        const message = blankMessage('snapshot', head.from, head.to, head.term);
        message.snapshot = { ...head.snapshot, data: new Uint8Array(0) };
        await group.receiveSnapshot(node, message, staged);
        status = 'complete';
      }
    } catch (error) {
      // The sender gave up, or the state machine could not take it.
      if (stream.failure === undefined) {
        const { message } = error as Error;
        this.#options.onEvent({ type: 'raft.snapshot_failed', groupId: head.groupId, to: node, message });
      }
    }
    if (this.#streams.get(head.groupId) === stream) this.#streams.delete(head.groupId);
    this.#answer(node, head, status, stream.taken);
  }

  /** The chunks as the state machine takes them; each that is taken makes room for another one. */
  async *#chunks(stream: Stream): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = stream.chunks.shift();
      if (chunk !== undefined) {
        stream.taken += chunk.length;
        this.#answer(stream.node, stream.head, 'accepted', stream.taken);
        yield chunk;
      } else if (stream.failure !== undefined) throw stream.failure;
      else if (stream.complete) return;
      else {
        await new Promise<void>((resolve) => {
          stream.wake = resolve;
        });
        stream.wake = undefined;
      }
    }
  }

  #fail(groupId: number, stream: Stream, why: string): void {
    stream.failure = new Error(why);
    stream.chunks.length = 0;
    this.#streams.delete(groupId);
    stream.wake?.();
  }

  #answer(node: NodeId, chunk: SnapshotChunk, status: SnapshotAckStatus, offset: number): void {
    const { groupId, from, to, streamId } = chunk;
    this.#options.transport.send(
      node,
      'control',
      encodeSnapshotAck({ groupId, from: to, to: from, streamId, status, offset }),
    );
  }
}
