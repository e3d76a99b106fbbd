// What goes into the core and what comes out of it: entries, messages, snapshots, configurations, Ready.
//
// Everything here is a plain immutable value. Terms, indexes and replica ids are integers from 1 to 2^53 - 1; 0 stands
// for "none". Byte arrays are never copied and must not be changed once handed over.

/** (term, index): names an entry of the log. */
export interface EntryId {
  readonly term: number;
  readonly index: number;
}

/** `normal` carries the application's bytes, `conf-change` an encoded {@link ConfChange}. */
export type EntryType = 'normal' | 'conf-change';

/** One entry of the replicated log. A leader begins its term with a normal entry without data. */
export interface Entry extends EntryId {
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** Who votes and who listens. Arrays ascend. */
export interface ConfState {
  readonly voters: readonly number[];
  /** The old voters while the configuration is joint, else empty. A joint configuration needs a majority of both. */
  readonly votersOutgoing: readonly number[];
  readonly learners: readonly number[];
  /** Voters of the old half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly number[];
  /** Whether the leader leaves the joint configuration by itself once it is applied. */
  readonly autoLeave: boolean;
}

/** `update` changes no quorum: it lets an application agree on, say, a new address. */
export type ConfChangeType = 'add-voter' | 'add-learner' | 'remove' | 'update';

/** One step of a {@link ConfChange}. */
export interface ConfChangeStep {
  readonly type: ConfChangeType;
  readonly id: number;
}

/**
 * `auto`: joint only when more than one voter changes, and left by itself. `joint-implicit`: joint, left by itself.
 * `joint-explicit`: joint until an empty change is proposed.
 */
export type ConfChangeTransition = 'auto' | 'joint-implicit' | 'joint-explicit';

/** A change of the configuration; without steps (and `auto`) it leaves a joint one. */
export interface ConfChange {
  readonly transition: ConfChangeTransition;
  readonly steps: readonly ConfChangeStep[];
  /** Whatever the application wants to travel with the change. */
  readonly context?: Uint8Array;
}

/** The state of the state machine at an index, standing for all entries up to it. */
export interface Snapshot extends EntryId {
  readonly config: ConfState;
  /** The state itself, or what the receiver needs to fetch it. */
  readonly data: Uint8Array;
}

/** What must be durable besides entries. */
export interface HardState {
  readonly term: number;
  /** Whom this replica voted for in `term`; 0: nobody. */
  readonly vote: number;
  readonly commit: number;
}

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

/** What is worth telling, but not storing. */
export interface SoftState {
  /** 0: unknown. */
  readonly leader: number;
  readonly role: Role;
}

export type MessageType =
  | 'append'
  | 'append-response'
  | 'heartbeat'
  | 'heartbeat-response'
  | 'vote'
  | 'vote-response'
  | 'pre-vote'
  | 'pre-vote-response'
  | 'snapshot'
  | 'timeout-now'
  | 'transfer-leader'
  | 'propose'
  | 'read-index'
  | 'read-index-response';

/**
 * What replicas send each other. One shape for all types, so that it stays cheap; fields that a type does not use are 0,
 * false, empty or undefined.
 */
export interface Message {
  readonly type: MessageType;
  readonly from: number;
  readonly to: number;
  /** The sender's term; for votes and pre-votes the term asked for. `propose` and `read-index` carry none. */
  readonly term: number;
  /**
   * `append`: index before the entries. `append-response`: last matching index, or the refused one. `vote`,
   * `pre-vote`: last index of the candidate. A refused vote: what is known to be committed. `read-index-response`: the
   * index to wait for.
   */
  readonly index: number;
  /** Term of the entry at `index`; in a refused `append-response` the term at `rejectHint`. */
  readonly logTerm: number;
  /** What the sender knows to be committed and the receiver may take for committed. */
  readonly commit: number;
  readonly entries: readonly Entry[];
  readonly reject: boolean;
  /** Where the leader should look next when an `append` was refused. */
  readonly rejectHint: number;
  readonly snapshot: Snapshot | undefined;
  /** Heartbeats and their answers: number of the round in this term. Read index: the read's token. */
  readonly context: number;
  /**
   * Guards the leases against late leadership transfers. `heartbeat`: transfers given up in this term. `timeout-now`
   * and the votes it causes: that number when the transfer began, plus one.
   */
  readonly transfer: number;
}

/** A read that may be answered once `index` is applied. */
export interface ReadState {
  /** What {@link RaftCore.readIndex} returned. */
  readonly token: number;
  readonly index: number;
}

/**
 * What the caller has to do, in this order or better:
 *
 * 1. Send `messages` at once.
 * 2. Make `snapshot`, `entries` and `hardState` durable, together: a crash must not keep the entries and lose the hard
 *    state they came with. Entries replace stored ones from their first index on. A snapshot replaces the whole log.
 *    With `mustSync` false, durability may wait for a later write.
 * 3. After that send `afterAppend` and call `appendDone(token)`. Tokens are reported in the order in which they came.
 * 4. Apply `committed`, in order, and `applyConfChange` for each of type `conf-change`; then call `applyDone(index)`.
 *    These entries are durable here. A snapshot is installed in the state machine before `appendDone`.
 *
 * The next `ready()` may be asked for before the writes of the last are done.
 */
export interface Ready {
  readonly softState: SoftState | undefined;
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
  readonly messages: readonly Message[];
  readonly afterAppend: readonly Message[];
  readonly committed: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /** Tokens of reads that will not be answered, because leadership changed; ask again. */
  readonly readsFailed: readonly number[];
  readonly mustSync: boolean;
  readonly token: AppendToken;
}

/**
 * Says what a {@link Ready} gave to be stored. Opaque: hand it back to {@link RaftCore.appendDone}.
 */
export interface AppendToken {
  /** Term of the replica when the token was made. */
  readonly term: number;
  /** Last entry of the log then, if any of it is not durable yet; else 0. */
  readonly index: number;
  readonly logTerm: number;
  /** Index of the snapshot to be stored, or 0. */
  readonly snapshotIndex: number;
  /** What this replica owes itself once all is durable: its own vote, its own acknowledgement. */
  readonly acks: readonly Message[];
}

/**
 * The durable log as the core sees it. The log of a new group begins behind a snapshot at (term 1, index 1) that holds the
 * first configuration, with hard state (term 1, vote 0, commit 1), at all its first replicas alike; a replica that joins
 * later begins with nothing, and is sent a snapshot. Calls are synchronous and cheap: keep the tail of the log in memory. It shows what
 * was handed over by `ready()` no later than `appendDone` of that Ready's token is called.
 */
export interface LogReader {
  /** State to start from: the last hard state stored, the configuration as of the applied index. */
  initialState(): { readonly hardState: HardState; readonly config: ConfState };
  /** Index of the first entry that is kept; `lastIndex() + 1` when there is none. */
  firstIndex(): number;
  /** Index of the last entry, or of the snapshot before the log when it is empty; 0 at the very start. */
  lastIndex(): number;
  /** Term of the entry at `index`, also at `firstIndex() - 1`; undefined outside of that. */
  term(index: number): number | undefined;
  /**
   * Entries from `from` (included) to `to` (excluded), as many as fit in `bytesMax` by {@link entryBytes}, at least
   * one. Undefined when some of them are compacted.
   */
  entries(from: number, to: number, bytesMax: number): readonly Entry[] | undefined;
  /** The latest snapshot, for a follower that is too far behind; undefined when there is none at the moment. */
  snapshot(): Snapshot | undefined;
}

/** How a leader sends to a replica: one append at a time, many in flight, or nothing until a snapshot has arrived. */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** What a leader knows of a replica. */
export interface ProgressStatus {
  readonly id: number;
  readonly match: number;
  readonly next: number;
  readonly state: ProgressState;
  readonly learner: boolean;
  readonly recentActive: boolean;
  readonly paused: boolean;
  readonly pendingSnapshot: number;
  readonly inflight: number;
  readonly inflightFull: boolean;
  /** The latest heartbeat round of this term that it has answered; 0: none. */
  readonly ackedRound: number;
}

/** Why a message changed nothing. */
export type DropReason =
  /** Not for this replica, or said to be from itself. */
  | 'wrong-address'
  /** An answer of a replica that the configuration does not know. */
  | 'unknown-replica'
  /** A field is missing, of the wrong type, or contradicts another. */
  | 'malformed'
  /** Term or index too far ahead to be true. */
  | 'far-future'
  /** An entry or a batch over the limits. */
  | 'too-large'
  /** Of an earlier term. */
  | 'stale-term'
  /** A vote asked for while a leader is known to be alive. */
  | 'leader-alive'
  /** A proposal or read that reached a replica that does not lead and does not forward. */
  | 'not-leader'
  /** A forwarded proposal that the leader refused. */
  | 'refused';

/** What happened while a leader rested. */
export interface LeaderRest {
  /** Ticks that passed. */
  readonly ticks: number;
  /** Ticks since the last round began. */
  readonly ticksSinceRound: number;
  /** When rounds began, on the clock of leases, oldest first. */
  readonly startsMs: readonly number[];
  /** Last round that each replica has answered; who has answered none is missing. */
  readonly answered: ReadonlyMap<number, number>;
}

/** How things stand. */
export interface RaftStatus extends HardState, SoftState {
  readonly id: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Entries up to here are durable here, or will be with the snapshot that is being installed. */
  readonly durableIndex: number;
  readonly config: ConfState;
  /** Target of a leadership transfer under way, else 0. */
  readonly transferee: number;
  readonly uncommittedBytes: number;
  /** Heartbeat rounds begun in this term, those for reads included. */
  readonly heartbeatRounds: number;
  /** By id, ascending; empty unless leader. */
  readonly progress: readonly ProgressStatus[];
  /** Messages dropped since the start, by reason. */
  readonly dropped: Readonly<Record<DropReason, number>>;
}
