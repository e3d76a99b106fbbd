// Options of the core, with their defaults and limits.
import { RaftError } from './errors.js';
import type { InflightLimits } from './progress.js';
import type { LogReader, Message } from './types.js';

/**
 * Leader leases (docs: README, "Leases"). The lease runs from the moment a heartbeat round began that a quorum
 * acknowledged, for `electionTimeoutMinMs * (1 - maxClockDrift)`.
 */
export interface LeaseOptions {
  /** Nobody votes within this time of hearing from a leader. Not above `(electionTicks - 1)` ticks. */
  readonly electionTimeoutMinMs: number;
  /** A restarted replica votes for nobody during this time. */
  readonly electionTimeoutMaxMs: number;
  /** Bound of the difference in rate between any two clocks, as a fraction: 0.1 is 10 %. */
  readonly maxClockDrift: number;
  /** What the clock of `tick` and `step` shows now. */
  readonly nowMs: number;
}

/** Makes the core behave as etcd's library does, to replay its recorded transcripts. */
export interface EtcdOptions {
  /**
   * Hand out committed entries only when they are durable here. The token's `acks` then hold all of `afterAppend` as well,
   * in the order in which etcd has them.
   */
  readonly asyncStorageWrites: boolean;
  /** `lease-based`: reads trust the tick count, as etcd's do. */
  readonly readOnly: 'safe' | 'lease-based';
  /** Propose configuration changes unchecked. */
  readonly disableConfChangeValidation: boolean;
}

/** Options of {@link RaftCore}. */
export interface RaftOptions {
  /** Id of this replica, never used by another one before or after it. */
  readonly id: number;
  readonly storage: LogReader;
  /** Source of randomness in [0, 1): spreads elections, makes read tokens unique. */
  readonly random: () => number;
  /** What the state machine has applied already. Default: the index before the first entry of the log. */
  readonly appliedIndex?: number;
  /** A follower that hears nothing for this many to twice as many ticks starts an election. Default 10. */
  readonly electionTicks?: number;
  /** Ticks between heartbeats; below `electionTicks`. Default 1. */
  readonly heartbeatTicks?: number;
  /** Ask whether an election could be won before disturbing with a new term. Default true. */
  readonly preVote?: boolean;
  /** A leader that hears from no quorum for an election timeout steps down; nobody votes while a leader is alive. Default true. */
  readonly checkQuorum?: boolean;
  /** A leader that is removed, or made a learner, steps down. Default true. */
  readonly stepDownOnRemoval?: boolean;
  /** Followers forward proposals to the leader; else `propose` throws `RAFT_NOT_LEADER`. Default false. */
  readonly forwardProposals?: boolean;
  /** Bytes of entries in one append. Default 1 MiB. At least one entry is sent. */
  readonly appendBytesMax?: number;
  /** Appends on the way to one follower. Default 256. */
  readonly inflightAppendsMax?: number;
  /** Bytes on the way to one follower. Default 64 MiB. */
  readonly inflightBytesMax?: number;
  /**
   * Bytes of entries that this leader has appended and not applied yet, above which proposals are refused; one is always taken.
   * Default 64 MiB.
   */
  readonly uncommittedBytesMax?: number;
  /** Bytes of entries handed out to be applied and not reported as applied. Default 64 MiB. */
  readonly applyingBytesMax?: number;
  /** Bytes of data of one entry. Default 16 MiB. */
  readonly entryBytesMax?: number;
  /** Default: no leases; `leaseExpiresAtMs` stays 0. Needs `checkQuorum`. */
  readonly lease?: LeaseOptions;
  /**
   * Followers learn what is committed with the next append or heartbeat, not at once: half as many messages for a proposal that no other
   * follows, and followers apply it up to a heartbeat later. Default false.
   */
  readonly commitsWithHeartbeats?: boolean;
  /**
   * Takes heartbeats, and answers that need not wait for the disk, as they come up, within the call that made them. They may be sent at
   * once. Default: they come with the next Ready. A replica at rest has nothing else to say, so that many at rest cost no Readys.
   */
  readonly sendHeartbeat?: (message: Message) => void;
  readonly etcd?: EtcdOptions;
}

const MIB = 1024 * 1024;

/** {@link RaftOptions}, checked and complete. */
export interface ResolvedOptions
  extends Required<Omit<RaftOptions, 'appliedIndex' | 'lease' | 'sendHeartbeat' | 'etcd'>> {
  readonly appliedIndex: number | undefined;
  readonly lease: LeaseOptions | undefined;
  readonly sendHeartbeat: ((message: Message) => void) | undefined;
  readonly etcd: EtcdOptions | undefined;
  readonly inflight: InflightLimits;
}

/** @throws RaftError RAFT_INVALID_OPTION */
export function resolveOptions(options: RaftOptions): ResolvedOptions {
  // Each property by name: of objects that are made by spreading each has a shape of its own, and what reads them is slow.
  const resolved: ResolvedOptions = {
    id: options.id,
    storage: options.storage,
    random: options.random,
    appliedIndex: options.appliedIndex,
    electionTicks: options.electionTicks ?? 10,
    heartbeatTicks: options.heartbeatTicks ?? 1,
    preVote: options.preVote ?? true,
    checkQuorum: options.checkQuorum ?? true,
    stepDownOnRemoval: options.stepDownOnRemoval ?? true,
    forwardProposals: options.forwardProposals ?? false,
    appendBytesMax: options.appendBytesMax ?? MIB,
    inflightAppendsMax: options.inflightAppendsMax ?? 256,
    inflightBytesMax: options.inflightBytesMax ?? 64 * MIB,
    uncommittedBytesMax: options.uncommittedBytesMax ?? 64 * MIB,
    applyingBytesMax: options.applyingBytesMax ?? 64 * MIB,
    entryBytesMax: options.entryBytesMax ?? 16 * MIB,
    lease: options.lease,
    commitsWithHeartbeats: options.commitsWithHeartbeats ?? false,
    sendHeartbeat: options.sendHeartbeat,
    etcd: options.etcd,
    inflight: {
      appendsMax: options.inflightAppendsMax ?? 256,
      bytesMax: options.inflightBytesMax ?? 64 * MIB,
    },
  };
  positiveInteger('id', resolved.id);
  if (typeof resolved.storage?.initialState !== 'function') refuse('storage must be a LogReader');
  if (typeof resolved.random !== 'function') refuse('random must be a function that returns numbers from 0 to 1');
  if (
    resolved.appliedIndex !== undefined &&
    !(Number.isSafeInteger(resolved.appliedIndex) && resolved.appliedIndex >= 0)
  ) {
    refuse(`appliedIndex must be an integer from 0 on, not ${String(resolved.appliedIndex)}`);
  }
  for (const name of [
    'electionTicks',
    'heartbeatTicks',
    'appendBytesMax',
    'inflightAppendsMax',
    'inflightBytesMax',
    'uncommittedBytesMax',
    'applyingBytesMax',
    'entryBytesMax',
  ] as const) {
    positiveInteger(name, resolved[name]);
  }
  if (resolved.electionTicks <= resolved.heartbeatTicks) refuse('electionTicks must be above heartbeatTicks');
  if (resolved.etcd?.readOnly === 'lease-based' && !resolved.checkQuorum) refuse('lease-based reads need checkQuorum');
  if (resolved.lease !== undefined) checkLease(resolved.lease, resolved.checkQuorum);
  return resolved;
}

function checkLease(lease: LeaseOptions, checkQuorum: boolean): void {
  if (!checkQuorum) refuse('lease needs checkQuorum');
  const { electionTimeoutMinMs, electionTimeoutMaxMs, maxClockDrift, nowMs } = lease;
  if (!(electionTimeoutMinMs > 0 && electionTimeoutMinMs < Infinity))
    refuse('lease.electionTimeoutMinMs must be above 0');
  if (!(electionTimeoutMaxMs >= electionTimeoutMinMs && electionTimeoutMaxMs < Infinity)) {
    refuse('lease.electionTimeoutMaxMs must not be below electionTimeoutMinMs');
  }
  if (!(maxClockDrift >= 0 && maxClockDrift < 1)) refuse('lease.maxClockDrift must be from 0 to below 1');
  if (!Number.isFinite(nowMs)) refuse('lease.nowMs must be a time');
}

function positiveInteger(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) refuse(`${name} must be an integer from 1 on, not ${String(value)}`);
}

function refuse(what: string): never {
  throw new RaftError('RAFT_INVALID_OPTION', `Cannot start a replica: ${what}.`);
}
