// What MultiRaft needs of the world, and what an application gives it: a clock, a durable log, a transport, state machines.
// Interfaces only. `nori-raft/wal-storage` has a RaftStorage, `nori-raft` PeerTransports; state machines are the user's.
import type { RaftError } from '../errors.js';
import type { ConfState, Entry, EntryId, HardState, LogReader } from '../types.js';

/** Names a machine in the cluster; a replica id names one of its replicas in one group. */
export type NodeId = string;

/** Time, as nori-io's `Clock` has it. */
export interface DriverClock {
  /** Wall-clock time, milliseconds since the epoch. May jump. */
  now(): number;
  /** Monotonic time in milliseconds, from an arbitrary origin. May stand still while the machine sleeps. */
  monotonic(): number;
  setTimer(delayMs: number, fn: () => void, options?: { readonly unref?: boolean }): { cancel(): void };
  /** Calls `fn` at the end of the current turn of the event loop. */
  nextTurn(fn: () => void): void;
}

// Storage.

/** What one group has to make durable in a turn. */
export interface GroupWrite {
  readonly groupId: number;
  readonly hardState: HardState | undefined;
  /** The log starts anew behind it. The state machine has installed it already. */
  readonly snapshot: EntryId | undefined;
  /** Replace what is there from the first one's index on. */
  readonly entries: readonly Entry[];
}

/** How a replica comes into being. */
export interface NewGroup {
  readonly groupId: number;
  readonly replicaId: number;
  /**
   * `true` for the first replicas of a new group: the log begins behind (term 1, index 1), with hard state
   * (term 1, vote 0, commit 1). `false` for replicas that join later: the log is empty.
   */
  readonly bootstrap: boolean;
}

/** One group as it was found at the start. */
export interface StoredGroup {
  readonly groupId: number;
  readonly replicaId: number;
  /** The replica was removed; its id must not come back. */
  readonly removed: boolean;
}

/** The log of one group: what the core reads, without the configuration and snapshots, which the state machine keeps. */
export type GroupLog = Omit<LogReader, 'initialState' | 'snapshot'> & { readonly hardState: HardState };

/**
 * The durable logs of all groups of a node. One write is under way at a time; what is written meanwhile goes together
 * with the next one.
 */
export interface RaftStorage {
  /** What was found when it was opened, removed groups included. */
  readonly storedGroups: readonly StoredGroup[];
  /** The log of a group that exists. It shows what was passed to {@link RaftStorage.write} at once. */
  log(groupId: number): GroupLog;
  /**
   * Makes what several groups, each named once, have to store durable as one: after a crash all of it is there or none. Resolves when it
   * is durable, in the order of the calls. A rejection is final: nothing is written any more, and what is on disk is
   * unknown until the log is opened again; except RAFT_NO_SPACE, which leaves nothing of this write and lets later ones
   * try again.
   */
  write(writes: readonly GroupWrite[]): Promise<void>;
  createGroup(group: NewGroup): Promise<void>;
  /** Drops a group's log and leaves a tombstone with its replica id. */
  removeGroup(groupId: number): Promise<void>;
  /**
   * Entries up to `index` are durable in the state machine; the log may drop them. Costs nothing: disk space comes back
   * when no group needs it any more. They are committed; a later write that states a lower commit, because it was made before
   * and waited, is stored with this one.
   */
  compact(groupId: number, index: number): void;
  /** Milliseconds since the oldest write that is not durable yet began; 0: none is under way. */
  stalledMs(): number;
  /**
   * Why nothing new should be written, though what is under way still can be: a reserve of space is in use, say. While it is
   * there the node proposes nothing, and others lead where they can, as when a write has found no space.
   */
  readonly refusal?: RaftError | undefined;
  close(): Promise<void>;
}

// Transport.

/** `control`: votes, heartbeats, acknowledgements. `bulk`: entries, snapshots. Neither waits for the other. */
export type Lane = 'control' | 'bulk';

/** What a transport tells its node. */
export interface PeerReceiver {
  /** A frame has come. It must not be kept without copying if `onFrame` says so; transports hand over fresh buffers. */
  onFrame(from: NodeId, lane: Lane, frame: Uint8Array): void;
  /** Nothing can be delivered to a peer right now: a connection broke or could not be made. */
  onUnreachable(peer: NodeId): void;
}

/** Carries frames between nodes, in order per peer and lane, without promising that they arrive. */
export interface PeerTransport {
  readonly nodeId: NodeId;
  start(receiver: PeerReceiver): Promise<void>;
  /**
   * Sends a frame, or drops it: when the peer is unknown, unreachable, or its queue is full (then the return value is
   * false). Frames given within one turn of the event loop are written together.
   */
  send(to: NodeId, lane: Lane, frame: Uint8Array): boolean;
  /** Bytes accepted for a peer and not yet taken by the operating system. */
  queuedBytes(to: NodeId, lane: Lane): number;
  close(): Promise<void>;
}

// State machines.

/** How far a state machine has come, durably: entries up to there never need to be applied again. */
export interface Mark extends EntryId {
  readonly config: ConfState;
  /**
   * Bytes that a wrapper of the state machine, such as `exactlyOnce`, wants to find again: what it says is to be made
   * durable with the mark, as one, and to be given back by {@link StateMachine.mark} after a restart. Ask for it when the
   * mark is stored, and before the next one comes. Marks from the driver itself have none.
   */
  readonly attachment?: (() => Uint8Array) | undefined;
}

/** A snapshot that can be read while the state machine goes on. */
export interface SnapshotSource extends Mark {
  /** The state as bytes from `offset` on, in chunks of any size; the same bytes each time it is asked. */
  read(offset: number): AsyncIterable<Uint8Array>;
  /** Lets go of what it holds. May be called while it is read: the reading then ends, one way or the other, and is not looked at. */
  release(): void;
}

/** A snapshot that has arrived and is not in force. */
export interface StagedSnapshot {
  /** Replaces the state by it, durably and as one: a crash leaves the old state or the new one with its mark. */
  install(): Promise<void>;
  /** It is not needed. */
  discard(): Promise<void>;
}

/** What a group replicates. */
export interface StateMachine<Result = unknown> {
  /** Where the state stands when the replica starts; for a new group (term 1, index 1) and its first configuration. */
  readonly mark: Mark;
  /**
   * Applies committed entries of type `normal`, in order; entries without data (a new leader's first) are not among them.
   * @returns a result for each
   */
  apply(entries: readonly Entry[]): readonly Result[] | Promise<readonly Result[]>;
  /** Everything up to `mark` is applied, and this is the configuration there: to be made durable with the state. */
  applied(mark: Mark): void;
  /** Up to where the state is durable: the log may be dropped up to there. */
  durableIndex(): number;
  /** The state as applied now. */
  snapshot(): SnapshotSource;
  /**
   * Receives a snapshot without touching the state yet. Chunks come as the leader's {@link SnapshotSource} gave them;
   * the iteration throws if the transfer is given up, and then nothing is staged. The next one may begin before what was given up is
   * cleared away.
   */
  stage(mark: Mark, chunks: AsyncIterable<Uint8Array>): Promise<StagedSnapshot>;
  close?(): Promise<void>;
}
