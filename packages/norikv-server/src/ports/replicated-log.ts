// The driven port to consensus. Entries of all groups of a store are proposed a *turn* at a time; each becomes durable,
// is agreed, and is then applied in its group's order through the `StateMachine`, on every replica alike.

import type { GroupConfig } from '../domain/group-config.js';
import type { NodeError } from '../domain/node-error.js';

/** An entry on its way into the log. */
export interface Proposal {
  readonly group: number;
  /** What every replica applies. It belongs to the log from here on. */
  readonly data: Uint8Array;
  /** Handed back with what applying the entry came to, or with why it was refused. */
  readonly context: unknown;
}

/** A position in the log of one group. */
export interface EntryPosition {
  readonly group: number;
  readonly term: number;
  readonly index: number;
}

/** How far a group is applied, and who replicates it there. */
export interface GroupPosition {
  readonly term: number;
  readonly index: number;
  /** Undefined: as when the group was made. */
  readonly config: GroupConfig | undefined;
}

/** The state of a group at one position, to be sent to another node. */
export interface GroupSnapshot extends GroupPosition {
  readonly config: GroupConfig;
  /** The same bytes each time, from `offset` on, in chunks. */
  read(offset: number): AsyncIterable<Uint8Array>;
  release(): void;
}

/** The state of a group that has arrived, and is not in force yet. */
export interface StagedGroup {
  /** Takes the place of the group's state and position: durably, and as one. */
  install(): Promise<void>;
  discard(): Promise<void>;
}

/** What the log drives. */
export interface StateMachine {
  /** Where a group stood when the storage was opened; undefined: nothing of it is there. */
  position(group: number): GroupPosition | undefined;
  /** Groups of which something is there, ascending. */
  activeGroups(): Iterable<number>;
  /** Applies a committed entry. What it returns is handed to {@link StateMachine.applied}, on the node that proposed it. */
  apply(entry: EntryPosition, data: Uint8Array): unknown;
  /** Everything of a group up to there is applied, entries that are the log's own included. */
  moved(group: number, position: GroupPosition & { readonly config: GroupConfig }): void;
  /** The group as applied now; a group of which nothing was applied is at the given position. */
  snapshot(group: number, position: GroupPosition & { readonly config: GroupConfig }): GroupSnapshot;
  /** Receives a snapshot of another node, without touching the group. */
  stage(group: number, chunks: AsyncIterable<Uint8Array>): Promise<StagedGroup>;
  /** Up to where a group is durable: the log may drop what is before. */
  durableIndex(group: number): number;
  /** An entry this node proposed was applied here. */
  applied(context: unknown, result: unknown): void;
  /** An entry this node proposed was not applied; the error says whether it may still be. */
  refused(context: unknown, error: NodeError): void;
  /** {@link ReplicatedLog.refusal} has come, or gone. */
  refusalChanged(): void;
  /** The log takes a turn again, or no entry that this node proposed is on its way any more. */
  idle(): void;
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
  /** Groups that have a replica here. */
  readonly groups: number;
  readonly entriesReplayed: number;
  /** A torn tail that was cut off: what nobody had been told was stored. */
  readonly cut: { readonly file: string; readonly offset: number; readonly bytes: number } | undefined;
}

/** The log of a store. */
export interface ReplicatedLog {
  /**
   * Takes up the groups that are here. Once, before anything else. Resolves when those that need no other node lead and have
   * applied all that was committed.
   */
  start(machine: StateMachine): Promise<ReplayReport>;
  /** False while so much is on its way that more would only wait, and once the log has failed or is closed. */
  readonly accepting: boolean;
  /** True while an entry that this node proposed is on its way. */
  readonly busy: boolean;
  /** Proposes one turn. Never throws: a failure comes as `refused` for each entry. */
  propose(turn: readonly Proposal[]): void;
  /**
   * Undefined: this node knows who leads the group. Else resolves when it does, or has waited long enough to say that
   * nobody does. Makes the group's replica, if this node is to have one.
   */
  settled(group: number): Promise<void> | undefined;
  /** The term in which this node leads the group; undefined: it does not. */
  leaderTerm(group: number): number | undefined;
  /** Whether nobody else could lead the group: what this node holds to needs nobody's consent, and no entry. */
  isAlone(group: number): boolean;
  /** Whether this node led the group when it last looked: for those who ask of all groups, and then make sure of the few. */
  mayLead(group: number): boolean;
  /** Whether this node never had a replica of the group, nor is about to: it has promised nothing, and voted for nobody. */
  isBlank(group: number): boolean;
  /** Why this node cannot serve the group: who leads it, or that nobody does. */
  notLeader(group: number): NodeError;
  /**
   * Calls `read`, and returns what it returned if that is linearizable without asking anyone. Undefined if not, whether it
   * was called or not: {@link ReplicatedLog.readBarrier} then.
   */
  leaseRead<T>(group: number, read: () => T): { readonly value: T } | undefined;
  /** Resolves when applied state holds everything that was acknowledged before the call. @throws NodeError */
  readBarrier(group: number): Promise<void>;
  /** Why writes are refused at the moment; undefined when they are not. */
  readonly refusal: NodeError | undefined;
  /** The tables beside the log have no space: gives up what is put aside for that. */
  giveUpReserve(): void;
  /** Rejects never, resolves with the error that makes going on unsafe (a failed fsync). */
  readonly failed: Promise<Error>;
  stats(): LogStats;
  /**
   * Lets other nodes lead what this one leads, as far as there are any that can; before {@link ReplicatedLog.close}. Resolves to how many
   * groups were handed over, and how many nobody took.
   */
  handOver(): Promise<{ readonly handedOver: number; readonly kept: number }>;
  close(): Promise<void>;
}
