// What the test and its node processes say to each other, as JSON over the channel between parent and child.
import type { ConfState, Outcome } from 'nori-raft';

/** What a node process is started with, as JSON in its first argument. */
export interface NodeOptions {
  /** 1, 2, ...: the replica id in all groups. */
  readonly number: number;
  readonly dir: string;
  readonly clusterId: string;
  /** Where to reach the others, by node id. */
  readonly peers: Readonly<Record<string, string>>;
  readonly config: ConfState;
  readonly groups: number;
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
  /** How fast its clock runs: 0.96 is 4 % too slow. */
  readonly clockRate: number;
  /** A mistake that the test is to find. */
  readonly bug?: 'read-without-check' | 'acknowledge-before-write';
}

/** A write of the replicated map. */
export type MapCommand =
  | { readonly f: 'put'; readonly key: string; readonly value: string }
  /** Writes if the key holds `expected`; without it: if it is absent. */
  | { readonly f: 'cas'; readonly key: string; readonly expected?: string; readonly value: string };

/** Who asks, so that a request that is tried again is applied once. */
export interface WireIdentity {
  /** Hexadecimal. */
  readonly clientId: string;
  readonly sequence: number;
  readonly floor: number;
  readonly ageMs: number;
}

/**
 * How the disk behaves. `stalled`: writes and syncs do not begin until it changes. `failing`: the next sync fails. `full`: no write finds
 * space.
 */
export type DiskMode = 'fine' | 'stalled' | 'failing' | 'full';

export type Command =
  | {
      readonly f: 'write';
      readonly group: number;
      readonly identity: WireIdentity;
      readonly command: MapCommand;
      readonly timeoutMs: number;
    }
  | {
      readonly f: 'read';
      readonly group: number;
      readonly key: string;
      readonly how: 'lease' | 'index';
      readonly timeoutMs: number;
    }
  | { readonly f: 'disk'; readonly mode: DiskMode }
  | { readonly f: 'transfer'; readonly group: number; readonly to: number }
  | { readonly f: 'state' };

/** What a node knows of itself. */
export interface NodeState {
  readonly leading: readonly number[];
  readonly leaseReads: number;
  readonly indexReads: number;
  readonly snapshotsInstalled: number;
  readonly unknownGroupMessages: number;
  readonly framesRefused: number;
  readonly refusals: number;
  /** For people: how groups and the log stand. */
  readonly summary: string;
  /** Maps by group, as JSON of their entries in order. */
  readonly maps: readonly string[];
}

export interface Answers {
  readonly write: Outcome<boolean>;
  /** null: absent. */
  readonly read: string | null;
  readonly disk: null;
  readonly transfer: null;
  readonly state: NodeState;
}

/** Leader: the number of the node that leads, 0 if unknown. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly leader: number;
}

export type Request = Command & { readonly id: number };
export type Response =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: Failure };
export interface ReadyMessage {
  readonly ready: string;
}

/** Exit codes of a node process. */
export const EXIT_STORAGE_FAILED = 3;
export const EXIT_NOT_STARTED = 4;
