// Options of a log, their defaults and their check.
import { type Clock, type FileSystem, nodeFileSystem, systemClock } from 'nori-io';
import { type Meter, noopMeter } from 'nori-observe';
import { RaftError } from '../errors.js';
import type { NodeId } from '../multi/ports.js';

const MIB = 1024 * 1024;

/** Options of `WalStorage.open`. */
export interface WalStorageOptions {
  /** The log's directory, for it alone; created if missing. */
  readonly dir: string;
  /** The node that the log belongs to. A log that was made by another one is refused. */
  readonly nodeId: NodeId;
  /** Its cluster, once it is known. A log without one takes it on; one of another cluster is refused. */
  readonly clusterId?: string;
  /** Source of randomness in [0, 1), for the incarnation of a new log. */
  readonly random: () => number;
  /** Default: the real one. */
  readonly fs?: FileSystem;
  /** Default: the real one. */
  readonly clock?: Clock;
  /** Default: none. Gets nori-wal's metrics and events. */
  readonly meter?: Meter;
  /** A segment that would grow beyond this many bytes is followed by a new one. Default 128 MiB, at least 4 KiB. */
  readonly segmentBytesMax?: number;
  /**
   * `sync` (default): a write begins at once. `batch`: an idle log waits for the end of the turn of the event loop, so that writes of
   * one turn share an fdatasync. Both are acknowledged after it; what is written meanwhile always goes together with the next. `os`: acknowledged
   * when the operating system has it, without an fdatasync: after a loss of power the log may lack what was acknowledged, votes
   * included, and the promises of Raft do not hold any more. For data that may be lost.
   */
  readonly durability?: 'sync' | 'batch' | 'os';
  /**
   * How many bytes of the log a group that is hardly written may keep from being dropped, before its entries are written once more at
   * the end. Default: two segments.
   */
  readonly pinnedBytesMax?: number;
  /** Whether to take the file `LOCK` in the directory. Default true; false if the caller holds a lock of its own. */
  readonly lock?: boolean;
}

/** Options with every default filled in. */
export type ResolvedOptions = Readonly<Required<WalStorageOptions>>;

/** Checks options and fills in the defaults. @throws RaftError `RAFT_INVALID_OPTION` */
export function resolveOptions(options: WalStorageOptions): ResolvedOptions {
  const segmentBytesMax = options.segmentBytesMax ?? 128 * MIB;
  const resolved: ResolvedOptions = {
    dir: options.dir,
    nodeId: options.nodeId,
    clusterId: options.clusterId ?? '',
    random: options.random,
    fs: options.fs ?? nodeFileSystem,
    clock: options.clock ?? systemClock,
    meter: options.meter ?? noopMeter,
    segmentBytesMax,
    durability: options.durability ?? 'sync',
    pinnedBytesMax: options.pinnedBytesMax ?? 2 * segmentBytesMax,
    lock: options.lock ?? true,
  };
  const { nodeId, clusterId, random, durability, pinnedBytesMax } = resolved;
  if (typeof nodeId !== 'string' || nodeId === '') refuse('nodeId must be a string that is not empty');
  if (typeof clusterId !== 'string') refuse('clusterId must be a string');
  if (typeof random !== 'function') refuse('random must be a function that returns numbers from 0 to 1');
  if (!['sync', 'batch', 'os'].includes(durability)) refuse('durability must be "sync", "batch" or "os"');
  if (!(pinnedBytesMax >= 0)) refuse(`pinnedBytesMax must not be negative, as ${pinnedBytesMax} is`);
  return Object.freeze(resolved);
}

function refuse(what: string): never {
  throw new RaftError('RAFT_INVALID_OPTION', `Cannot open the raft log: ${what}.`);
}
