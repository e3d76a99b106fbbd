// The driven port to consensus. Entries of all groups of a store are proposed a *turn* at a time; each becomes durable,
// is agreed, and is then applied in its group's order through the `StateMachine`. On a single node a local
// write-ahead log stands behind it; a Raft log takes its place without a change here.

import type { NodeError } from '../domain/node-error.js';

/** An entry on its way into the log. */
export interface Proposal {
  readonly group: number;
  /** The entry's time, never less than its predecessor's. */
  readonly timeMs: number;
  /** The encoded commands; valid until the turn is accepted or refused. */
  readonly body: Uint8Array;
  /** Handed back when the entry is applied or refused on this node. */
  readonly context: unknown;
}

/** A position in the log of one group. */
export interface EntryPosition {
  readonly group: number;
  readonly term: number;
  readonly index: number;
  readonly timeMs: number;
}

/** What the log drives. */
export interface StateMachine {
  /** Position of the last entry applied to a group; index 0: none. Asked at start, before anything is replayed. */
  applied(group: number): { readonly term: number; readonly index: number };
  /** Applies an entry this node proposed. */
  apply(entry: EntryPosition, context: unknown): void;
  /** Applies an entry known by its bytes alone: at restart, or proposed by another node. */
  replay(entry: EntryPosition, body: Uint8Array): void;
  /** An entry this node proposed was not and will not be applied. */
  refused(context: unknown, error: NodeError): void;
  /** The log takes another turn (see {@link ReplicatedLog.propose}). Called before the turn before it is applied, so that the disk works meanwhile. */
  ready(): void;
  /** All entries of a turn are applied. */
  turnApplied(): void;
  /** The log has failed and takes no turn any more. */
  stopped(error: NodeError): void;
  /** Resolves when more entries may be applied; undefined: at once. */
  writable(): Promise<void> | undefined;
}

/** Sizes for status and metrics. */
export interface LogStats {
  readonly segments: number;
  readonly bytes: number;
}

/** What a restart found. */
export interface ReplayReport {
  readonly entriesReplayed: number;
  readonly entriesSkipped: number;
  /** A torn tail that was cut, if any. */
  readonly cut: { readonly file: string; readonly offset: number; readonly bytes: number } | undefined;
}

/** The log of a store. */
export interface ReplicatedLog {
  /** Replays what the state machine has not applied. Once, before anything else. */
  start(machine: StateMachine): Promise<ReplayReport>;
  /** True when {@link propose} may be called. */
  readonly accepting: boolean;
  /** True while a turn is on its way. */
  readonly busy: boolean;
  /** Proposes one turn. Never throws: a failure comes as `refused` for each entry. */
  propose(turn: readonly Proposal[]): void;
  /** The term in which this node leads the group; undefined: it does not. */
  leaderTerm(group: number): number | undefined;
  /** Undefined: a linearizable read may be answered from applied state now; else when it may. */
  readBarrier(group: number, consistency: 'lease' | 'linearizable'): Promise<void> | undefined;
  /** A position below which everything is applied: what {@link truncate} takes. */
  appliedPosition(): number;
  /** Entries below the position are durable in the storage and not needed any more. */
  truncate(position: number): Promise<void>;
  /** Rejects never, resolves with the error that makes going on unsafe (a failed fsync). */
  readonly failed: Promise<Error>;
  stats(): LogStats;
  close(): Promise<void>;
}
