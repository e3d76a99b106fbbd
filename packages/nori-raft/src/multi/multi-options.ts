// Options of MultiRaft, with their defaults.
import { RaftError } from '../errors.js';
import type { RaftEvent } from './events.js';
import type { DriverClock, NodeId, PeerTransport, RaftStorage } from './ports.js';

const MIB = 1024 * 1024;

/** Options of {@link MultiRaft}. */
export interface MultiRaftOptions {
  readonly nodeId: NodeId;
  readonly clock: DriverClock;
  readonly storage: RaftStorage;
  readonly transport: PeerTransport;
  /** Source of randomness in [0, 1). */
  readonly random: () => number;
  /** Time between the heartbeats of a leader. Default 150. */
  readonly heartbeatMs?: number;
  /** Who hears nothing from a leader for this time (to twice as long) starts an election. Default 1,000. */
  readonly electionTimeoutMs?: number;
  /** Bound of the difference in rate between any two nodes' clocks, as a fraction. Default 0.1. */
  readonly maxClockDrift?: number;
  /** Default time after which a proposal or read is given up. Default 10,000. */
  readonly timeoutMs?: number;
  /** Bytes of data of one entry. Default 2 MiB, at most 7 MiB: it has to fit into a frame. */
  readonly entryBytesMax?: number;
  /** Bytes of proposals that wait for their turn, over all groups. Default 64 MiB. */
  readonly proposalBytesMax?: number;
  /**
   * Bytes that wait to be stored here, or are committed and wait to be applied, over all groups, above which no more are taken from
   * leaders, and (of what waits to be applied) no proposals. Default 64 MiB.
   */
  readonly unappliedBytesMax?: number;
  /** Bytes that one group has appended here and not applied, above which its proposals are refused. Default 16 MiB. */
  readonly uncommittedBytesMax?: number;
  /** Snapshots sent at once, and received at once. Default 2. */
  readonly snapshotsMax?: number;
  /** Bytes of a snapshot in one frame. Default 256 KiB, at most 7 MiB. */
  readonly snapshotChunkBytes?: number;
  /** Bytes of snapshots sent in a second, all together. Default 32 MiB. */
  readonly snapshotBytesPerSecond?: number;
  /** Leaderships handed back to preferred replicas in a second. Default 20. */
  readonly transfersPerSecond?: number;
  /**
   * A message came for a group that is not here. Must not throw. If the group is being created when this returns, the message is kept
   * until it is there.
   */
  readonly onUnknownGroup?: (groupId: number, from: NodeId) => void;
  /** Is told what happens. Must not throw. */
  readonly onEvent?: (event: RaftEvent) => void;
}

/** {@link MultiRaftOptions}, complete. */
export type ResolvedMultiOptions = Required<MultiRaftOptions> & {
  readonly tickMs: number;
  readonly heartbeatTicks: number;
  readonly electionTicks: number;
};

/** @throws RaftError RAFT_INVALID_OPTION */
export function resolveMultiOptions(options: MultiRaftOptions): ResolvedMultiOptions {
  const heartbeatMs = options.heartbeatMs ?? 150;
  const electionTimeoutMs = options.electionTimeoutMs ?? 1000;
  const resolved = {
    nodeId: options.nodeId,
    clock: options.clock,
    storage: options.storage,
    transport: options.transport,
    random: options.random,
    heartbeatMs,
    electionTimeoutMs,
    maxClockDrift: options.maxClockDrift ?? 0.1,
    timeoutMs: options.timeoutMs ?? 10_000,
    entryBytesMax: options.entryBytesMax ?? 2 * MIB,
    proposalBytesMax: options.proposalBytesMax ?? 64 * MIB,
    unappliedBytesMax: options.unappliedBytesMax ?? 64 * MIB,
    uncommittedBytesMax: options.uncommittedBytesMax ?? 16 * MIB,
    snapshotsMax: options.snapshotsMax ?? 2,
    snapshotChunkBytes: options.snapshotChunkBytes ?? 256 * 1024,
    snapshotBytesPerSecond: options.snapshotBytesPerSecond ?? 32 * MIB,
    transfersPerSecond: options.transfersPerSecond ?? 20,
    onUnknownGroup: options.onUnknownGroup ?? (() => {}),
    onEvent: options.onEvent ?? (() => {}),
  };
  if (typeof resolved.nodeId !== 'string' || resolved.nodeId === '') refuse('nodeId must be a name');
  for (const name of ['clock', 'storage', 'transport'] as const) {
    if (typeof resolved[name] !== 'object') refuse(`${name} is missing`);
  }
  if (resolved.transport.nodeId !== resolved.nodeId) {
    refuse(`the transport is that of ${resolved.transport.nodeId}, not of ${resolved.nodeId}`);
  }
  if (typeof resolved.random !== 'function') refuse('random must be a function that returns numbers from 0 to 1');
  for (const name of [
    'heartbeatMs',
    'electionTimeoutMs',
    'timeoutMs',
    'entryBytesMax',
    'proposalBytesMax',
    'unappliedBytesMax',
    'uncommittedBytesMax',
    'snapshotsMax',
    'snapshotChunkBytes',
    'snapshotBytesPerSecond',
    'transfersPerSecond',
  ] as const) {
    const value = resolved[name];
    if (!(value > 0 && value < Number.MAX_SAFE_INTEGER)) refuse(`${name} must be above 0, not ${String(value)}`);
  }
  for (const name of ['entryBytesMax', 'snapshotsMax', 'snapshotChunkBytes'] as const) {
    if (!Number.isInteger(resolved[name])) refuse(`${name} must be an integer, not ${resolved[name]}`);
  }
  for (const name of ['entryBytesMax', 'snapshotChunkBytes'] as const) {
    if (resolved[name] > 7 * MIB) refuse(`${name} must not be above 7 MiB: it has to fit into a frame`);
  }
  if (!(resolved.maxClockDrift >= 0 && resolved.maxClockDrift < 1)) refuse('maxClockDrift must be from 0 to below 1');
  if (electionTimeoutMs < 2 * heartbeatMs) refuse('electionTimeoutMs must be at least twice heartbeatMs');
  // Three ticks a heartbeat: fine enough to spread elections.
  const tickMs = heartbeatMs / 3;
  return {
    ...resolved,
    tickMs,
    heartbeatTicks: 3,
    // One more, since the first tick may come at once.
    electionTicks: Math.ceil(electionTimeoutMs / tickMs) + 1,
  };
}

function refuse(what: string): never {
  throw new RaftError('RAFT_INVALID_OPTION', `Cannot start: ${what}.`);
}
