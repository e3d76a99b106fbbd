// Sends snapshots in chunks: a few at once, each with few chunks under way, all together at a bounded rate, so that entries
// are not held up. A transfer whose answers stop coming begins again where the receiver stands; one that makes no headway at
// all is given up, and the core tries anew.
import type { Message } from '../types.js';
import { encodeSnapshotChunk, type SnapshotAck, type SnapshotHead } from './frame-codec.js';
import type { GroupDriver } from './group.js';
import type { ResolvedMultiOptions } from './multi-options.js';
import type { NodeId, SnapshotSource } from './ports.js';

/** Chunks on their way to one receiver. */
const WINDOW_CHUNKS = 4;
/** Chunks that may follow each other at once after a pause. */
const BURST_CHUNKS = 2;
/** Without an answer for so many election timeouts a transfer begins again where the receiver stands, or ends. */
const RESUME_TIMEOUTS = 2;
const GIVE_UP_TIMEOUTS = 20;

interface Stream {
  readonly id: number;
  readonly group: GroupDriver;
  readonly to: number;
  readonly node: NodeId;
  readonly term: number;
  readonly head: SnapshotHead;
  readonly source: SnapshotSource;
  /** What the receiver has. */
  acked: number;
  sent: number;
  /** The last chunk was sent: `sent` is the whole length. */
  isWhole: boolean;
  /** Counts resumptions; a reading of the source that sees it change stops. */
  attempt: number;
  answeredAtMs: number;
  resumedAtMs: number;
  done: boolean;
  wake: (() => void) | undefined;
}

export class SnapshotSender {
  readonly #options: ResolvedMultiOptions;
  readonly #streams = new Map<number, Stream>();
  #nextId: number;
  #nowMs = 0;
  /** What may be sent now; below 0: how much too much was sent. */
  #budgetBytes = 0;
  #budgetAtMs: number;

  constructor(options: ResolvedMultiOptions) {
    this.#options = options;
    this.#nextId = Math.floor(options.random() * 2 ** 40) + 1;
    this.#budgetAtMs = options.clock.monotonic();
  }

  /** Snapshots on their way. */
  get size(): number {
    return this.#streams.size;
  }

  send(group: GroupDriver, to: number, node: NodeId, message: Message, source: SnapshotSource): void {
    this.#replace(group, to);
    const { term, index, config } = message.snapshot!;
    const stream: Stream = {
      id: this.#nextId++,
      group,
      to,
      node,
      term: message.term,
      head: { term, index, config },
      source,
      acked: 0,
      sent: 0,
      isWhole: false,
      attempt: 0,
      answeredAtMs: this.#nowMs,
      resumedAtMs: this.#nowMs,
      done: false,
      wake: undefined,
    };
    this.#streams.set(stream.id, stream);
    void this.#run(stream);
  }

  /**
   * An earlier transfer to the same replica is not what the core waits for any more: how it ends must not be taken for the end of the
   * next one, which would be begun anew for that, and so on for ever.
   */
  #replace(group: GroupDriver, to: number): void {
    for (const stream of [...this.#streams.values()])
      if (stream.group === group && stream.to === to) this.#close(stream);
  }

  receiveAck(from: NodeId, ack: SnapshotAck): void {
    const stream = this.#streams.get(ack.streamId);
    if (stream === undefined || stream.node !== from || stream.group.groupId !== ack.groupId) return;
    if (ack.status === 'complete') this.#end(stream, true, '');
    else if (ack.status !== 'accepted') this.#end(stream, false, `The receiver answered "${ack.status}".`);
    else if (ack.offset > stream.acked && ack.offset <= stream.sent) {
      stream.acked = ack.offset;
      stream.answeredAtMs = this.#nowMs;
      stream.wake?.();
    } else if (stream.isWhole && ack.offset === stream.sent) {
      // It has everything, and says so when it is asked: its state machine takes its time.
      stream.answeredAtMs = this.#nowMs;
    }
  }

  tick(nowMs: number): void {
    const { electionTimeoutMs } = this.#options;
    this.#nowMs = nowMs;
    for (const stream of [...this.#streams.values()]) {
      if (nowMs - stream.answeredAtMs > GIVE_UP_TIMEOUTS * electionTimeoutMs) {
        this.#end(stream, false, 'The receiver does not answer.');
      } else if (nowMs - Math.max(stream.answeredAtMs, stream.resumedAtMs) > RESUME_TIMEOUTS * electionTimeoutMs) {
        stream.resumedAtMs = nowMs;
        stream.attempt++;
        stream.wake?.();
        void this.#run(stream);
      } else stream.wake?.();
    }
  }

  drop(groupId: number): void {
    for (const stream of [...this.#streams.values()]) {
      if (stream.group.groupId === groupId) this.#end(stream, false, 'The group was removed.');
    }
  }

  close(): void {
    for (const stream of [...this.#streams.values()]) this.#end(stream, false, 'The node was closed.');
  }

  /** Reads the source from where the receiver stands, and sends. */
  async #run(stream: Stream): Promise<void> {
    const { attempt } = stream;
    const goesOn = () => !stream.done && stream.attempt === attempt;
    try {
      stream.sent = stream.acked;
      stream.isWhole = false;
      for await (const bytes of stream.source.read(stream.acked)) {
        for (let at = 0; at < bytes.length; at += this.#options.snapshotChunkBytes) {
          await this.#room(stream, goesOn);
          if (!goesOn()) return;
          this.#sendChunk(stream, bytes.subarray(at, at + this.#options.snapshotChunkBytes), false);
        }
      }
      if (goesOn()) this.#sendChunk(stream, new Uint8Array(0), true);
    } catch (error) {
      if (goesOn()) this.#end(stream, false, (error as Error).message);
    }
  }

  async #room(stream: Stream, goesOn: () => boolean): Promise<void> {
    const windowBytes = WINDOW_CHUNKS * this.#options.snapshotChunkBytes;
    while (goesOn()) {
      const isFull = stream.sent - stream.acked >= windowBytes;
      const pauseMs = isFull ? 0 : this.#pauseMs();
      if (!isFull && pauseMs === 0) return;
      await new Promise<void>((resolve) => {
        stream.wake = resolve;
        if (!isFull) this.#options.clock.setTimer(pauseMs, resolve, { unref: true });
      });
      stream.wake = undefined;
    }
  }

  /** How long nothing may be sent, to stay below the rate: chunks go one by one, since entries wait behind each burst. */
  #pauseMs(): number {
    const { clock, snapshotBytesPerSecond, snapshotChunkBytes } = this.#options;
    const nowMs = clock.monotonic();
    const earned = ((nowMs - this.#budgetAtMs) * snapshotBytesPerSecond) / 1000;
    this.#budgetBytes = Math.min(this.#budgetBytes + earned, BURST_CHUNKS * snapshotChunkBytes);
    this.#budgetAtMs = nowMs;
    return this.#budgetBytes > 0 ? 0 : Math.max(1, (-this.#budgetBytes * 1000) / snapshotBytesPerSecond);
  }

  #sendChunk(stream: Stream, bytes: Uint8Array, last: boolean): void {
    const { id: streamId, group, to, term, head: snapshot, sent: offset } = stream;
    this.#budgetBytes -= bytes.length;
    stream.sent += bytes.length;
    stream.isWhole = last;
    const { groupId, replicaId: from } = group;
    const frame = encodeSnapshotChunk({ groupId, from, to, term, snapshot, streamId, offset, last, bytes });
    // A frame that is lost is sent again once the answers stop.
    this.#options.transport.send(stream.node, 'bulk', frame);
  }

  #end(stream: Stream, ok: boolean, message: string): void {
    if (stream.done) return;
    this.#close(stream);
    stream.group.snapshotSent(stream.to, ok);
    const { groupId } = stream.group;
    if (ok) this.#options.onEvent({ type: 'raft.snapshot_sent', groupId, to: stream.node, bytes: stream.sent });
    else this.#options.onEvent({ type: 'raft.snapshot_failed', groupId, to: stream.node, message });
  }

  /** Nothing more is sent of it. */
  #close(stream: Stream): void {
    stream.done = true;
    this.#streams.delete(stream.id);
    stream.wake?.();
    stream.source.release();
  }
}
