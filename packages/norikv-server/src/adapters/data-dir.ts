// A node's data directory: who owns it, and in which format it is.
//
//   DIR/NORIKV          identity, JSON: { format, clusterId, nodeId, shardCount, createdAtMs, phase, members }; missing while the node
//                       has not accepted a proposal to form a cluster and joined none
//   DIR/LOCK, LOCK.*    held while a node runs (nori-io)
//   DIR/store-0/raft    the replicated log of store 0
//   DIR/store-0/snapshots  copies of shards on their way to or from other nodes
//   DIR/store-0/log     its log from before there was replication; empty once it has been taken over
//   DIR/store-0/tables  its tables
//   DIR/store-0/meta    what the cluster has agreed on, as this node has applied it
//
// Looking comes before touching: a directory that is refused is left as it was.
import { type DirectoryLock, type FileSystem, IoError, syncParents } from 'nori-io';
import { SHARD_COUNT } from '../domain/placement.js';
import { StartupError } from '../domain/startup-error.js';
import type { Identity, IdentityKeeper, IdentityPhase } from '../ports/identity.js';

/** The newest format this version writes and reads. */
export const DATA_FORMAT = 1;

const IDENTITY_FILE = 'NORIKV';
const IDENTITY_TEMPORARY = 'NORIKV.tmp';
const LOCK_FILE = 'LOCK';
/** What may stand in a directory that is still blank: left by a first start that was cut short, or by mkfs. */
const BLANK_NAMES = new Set([IDENTITY_TEMPORARY, LOCK_FILE, 'lost+found']);
const IDENTITY_BYTES_MAX = 64 * 1024;

/** Who a data directory belongs to. */
export interface DataIdentity extends Identity {
  readonly format: number;
  readonly nodeId: string;
  readonly shardCount: number;
  readonly createdAtMs: number;
}

type IdentityChange = Identity & { readonly phase: IdentityPhase };

/** An opened data directory. */
export interface DataDir extends IdentityKeeper {
  /** Undefined while the directory is blank. */
  readonly identity: DataIdentity | undefined;
  /** Makes a new identity durable. */
  become(change: IdentityChange): Promise<DataIdentity>;
  readonly lock: DirectoryLock;
  /** Directories of a store, created and durable. */
  store(number: number): Promise<StoreDirs>;
}

/** Directories of a store. */
export interface StoreDirs {
  readonly raft: string;
  readonly tables: string;
  readonly meta: string;
  /** Copies of groups on their way; emptied at each start. */
  readonly snapshots: string;
  /** Of versions that did not replicate; may be missing. */
  readonly foundationLog: string;
  /** Space put aside for the moment when the disk is full. */
  readonly ballast: string;
}

/** What {@link openDataDir} needs. */
export interface DataDirOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  readonly nodeId: string;
  readonly nowMs: number;
}

/**
 * Opens a node's data directory, or makes one of a directory that is missing or blank.
 * @throws StartupError saying which rule it breaks and what to do
 */
export const openDataDir = async (options: DataDirOptions): Promise<DataDir> => {
  const { fs, dir } = options;
  try {
    await look(options);
    await fs.mkdir(dir);
    const lock = await fs.lock(`${dir}/${LOCK_FILE}`);
    try {
      let identity = await look(options);
      await syncParents(fs, dir);
      return {
        get identity() {
          return identity;
        },
        become: async (change) => {
          try {
            identity = await write(options, { createdAtMs: options.nowMs, ...identity, ...change });
          } catch (error) {
            throw explain(dir, error);
          }
          return identity;
        },
        lock,
        store: (number) => storeDirs(fs, dir, number),
      };
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw explain(dir, error);
  }
};

/** The identity of the directory if it has one; undefined if it is blank; throws if it is not for this node. */
const look = async (options: DataDirOptions): Promise<DataIdentity | undefined> => {
  const { fs, dir, nodeId } = options;
  const stat = await fs.stat(dir);
  if (stat === undefined) return undefined;
  if (stat.kind !== 'directory') {
    throw new StartupError('DATA_DIR_FOREIGN', `${dir} is not a directory; name another with --data-dir.`);
  }
  const names = await fs.readdir(dir);
  if (!names.includes(IDENTITY_FILE)) {
    const foreign = names.find((name) => !BLANK_NAMES.has(name) && !name.startsWith(`${LOCK_FILE}.`));
    if (foreign === undefined) return undefined;
    throw new StartupError(
      'DATA_DIR_FOREIGN',
      `${dir} holds files that are not NoriKV's (${foreign}); name an empty directory with --data-dir.`,
    );
  }
  const identity = parse(dir, await readSmall(fs, `${dir}/${IDENTITY_FILE}`));
  if (identity.nodeId !== nodeId) {
    throw new StartupError(
      'DATA_DIR_OTHER_NODE',
      `${dir} belongs to node ${identity.nodeId}, not ${nodeId}; start with --node-id ${identity.nodeId} or name another directory.`,
    );
  }
  return identity;
};

const parse = (dir: string, text: string): DataIdentity => {
  let value: Partial<DataIdentity>;
  try {
    value = JSON.parse(text) as Partial<DataIdentity>;
  } catch (cause) {
    throw new StartupError('DATA_CORRUPT', `${dir}/${IDENTITY_FILE} is damaged; restore it from a backup.`, { cause });
  }
  const { format, clusterId, nodeId, shardCount, phase, members } = value ?? {};
  if (typeof format === 'number' && format > DATA_FORMAT) {
    throw new StartupError(
      'DATA_DIR_NEWER_FORMAT',
      `${dir} has data format ${format}; this version reads up to ${DATA_FORMAT}. Start the version that wrote it, or a newer one.`,
    );
  }
  if (format === DATA_FORMAT && typeof shardCount === 'number' && shardCount !== SHARD_COUNT) {
    throw new StartupError(
      'SHARD_COUNT_MISMATCH',
      `${dir} has data of ${shardCount} shards, this version has ${SHARD_COUNT}; start the version that wrote it, or name another directory with --data-dir.`,
    );
  }
  const valid =
    format === DATA_FORMAT &&
    typeof nodeId === 'string' &&
    typeof clusterId === 'string' &&
    /^[0-9a-f]{32}$/.test(clusterId) &&
    shardCount === SHARD_COUNT &&
    (phase === undefined || ['accepted', 'formed', 'joining'].includes(phase)) &&
    (members === undefined || (Array.isArray(members) && members.every((member) => typeof member === 'string')));
  if (!valid) {
    throw new StartupError('DATA_CORRUPT', `${dir}/${IDENTITY_FILE} is damaged; restore it from a backup.`);
  }
  return value as DataIdentity;
};

const write = async (
  { fs, dir, nodeId }: DataDirOptions,
  change: IdentityChange & { readonly createdAtMs: number },
): Promise<DataIdentity> => {
  const { clusterId, createdAtMs, phase, members } = change;
  const identity: DataIdentity = {
    format: DATA_FORMAT,
    clusterId,
    nodeId,
    shardCount: SHARD_COUNT,
    createdAtMs,
    phase,
    ...(members === undefined ? {} : { members }),
  };
  const temporary = `${dir}/${IDENTITY_TEMPORARY}`;
  if ((await fs.stat(temporary)) !== undefined) await fs.unlink(temporary);
  const file = await fs.open(temporary, 'create');
  try {
    await file.write([new TextEncoder().encode(`${JSON.stringify(identity)}\n`)], 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await fs.rename(temporary, `${dir}/${IDENTITY_FILE}`);
  await fs.syncDir(dir);
  return identity;
};

const storeDirs = async (fs: FileSystem, dir: string, number: number) => {
  const store = `${dir}/store-${number}`;
  const dirs = {
    raft: `${store}/raft`,
    tables: `${store}/tables`,
    meta: `${store}/meta`,
    snapshots: `${store}/snapshots`,
    foundationLog: `${store}/log`,
    ballast: `${store}/ballast`,
  };
  await fs.mkdir(dirs.raft);
  await fs.mkdir(dirs.tables);
  await fs.syncDir(store);
  await fs.syncDir(dir);
  return dirs;
};

const readSmall = async (fs: FileSystem, path: string): Promise<string> => {
  const file = await fs.open(path, 'read');
  try {
    const bytes = new Uint8Array(Math.min(file.sizeSync(), IDENTITY_BYTES_MAX));
    const length = await file.read(bytes, 0);
    return new TextDecoder().decode(bytes.subarray(0, length));
  } finally {
    await file.close();
  }
};

/** Turns errors of the file system into what an operator needs to know. */
const explain = (dir: string, error: unknown): unknown => {
  if (!(error instanceof IoError)) return error;
  if (error.code === 'IO_LOCKED') return new StartupError('DATA_DIR_LOCKED', error.message, { cause: error });
  return new StartupError('DATA_DIR_NOT_WRITABLE', `${dir} cannot be used: ${error.message}`, { cause: error });
};
