// A lock file that names its holder, and is taken over when the holder is dead. What is in it: lock-record.ts. Who is dead:
// judge-holder.ts. The file is written aside, synced, and linked into place, so that it is never seen half written.
//
//   LOCK               the record of the holder
//   LOCK.<nonce>.sock  the socket on which the holder with this nonce listens
//   LOCK.<nonce>.tmp   a record aside, not yet in place
//   LOCK.after-<nonce> a claim to succeed the holder with this nonce, see below
//
// Take-over. Removing a dead lock and making one's own are two steps; between them another taker may have come and gone. So
// the right to succeed a dead holder with nonce N is itself a file, `LOCK.after-N`, which only one process can link:
//
//   LOCK = N (dead) ── link own record as LOCK.after-N ──► is LOCK still N? ── yes ─► rename own record over LOCK, unlink LOCK.after-N
//                            │ exists: its record is the holder now;                └ no ─► unlink LOCK.after-N, start again
//                            ▼ dead as well: go on with LOCK.after-<its nonce>
//
// The claim is unlinked only after the rename, so whoever links it again sees that the lock is no longer N, and gives up.
//
// Who took a lock over sweeps what dead takers left beside it. It may sweep what a live taker has made and not yet put in
// place; that one notices (its record cannot be linked, or its socket is gone) and starts again.
import fs from 'node:fs';
import { basename, dirname } from 'node:path';
import type { DirectoryLock } from '../file-system.js';
import { fromNodeError, IoError } from '../io-error.js';
import { BEAT_MS, Heartbeat } from './heartbeat.js';
import { judgeHolder, realSurroundings, type Surroundings } from './judge-holder.js';
import { isLocal } from './local-file-system.js';
import { type FoundLock, type LockRecord, readLock } from './lock-record.js';
import { type ListeningSocket, listenBeside, probeBeside } from './lock-socket.js';
import { describeOwnProcess, type OwnProcess } from './own-process.js';

const ATTEMPTS_MAX = 100;

/** Takes the lock at `path` (absolute). `newNonce` yields a fresh name part of hexadecimal digits. */
export async function takeLock(path: string, newNonce: () => string): Promise<DirectoryLock> {
  try {
    const around = realSurroundings(await describeOwnProcess());
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const lock = await attemptLock(path, newNonce(), around);
      if (lock) return lock;
    }
  } catch (error) {
    throw fromNodeError(error, 'lock', path);
  }
  throw new IoError('IO_LOCKED', `Cannot lock ${path}: other processes keep taking it`, { path });
}

/** One try: the lock, or undefined if the world changed meanwhile, or a throw if a live process has it. */
async function attemptLock(path: string, nonce: string, around: Surroundings): Promise<DirectoryLock | undefined> {
  const chain = await readChain(path);
  const last = chain.at(-1);
  if (last) {
    const verdict = await judgeHolder(last, around);
    if (verdict === 'changed') return undefined;
    if (verdict !== 'dead') throw lockedBy(path, last.record, verdict === 'alive');
  }
  const own = await OwnLock.prepare(path, nonce, around.own);
  let taken = false;
  try {
    taken = await own.putInPlace(chain);
  } finally {
    await own.removeAside();
    if (!taken) await own.release();
  }
  if (!taken) return undefined;
  // What cannot be swept does no harm.
  if (last) await sweep(path, nonce).catch(() => undefined);
  return own;
}

/** This process's record, socket and heartbeat: first aside, then in place. */
class OwnLock implements DirectoryLock {
  readonly #path: string;
  readonly #nonce: string;
  readonly #socketName: string;
  readonly #socket: ListeningSocket | undefined;
  readonly #heartbeat: Heartbeat | undefined;
  #released = false;

  private constructor(
    path: string,
    nonce: string,
    socket: ListeningSocket | undefined,
    heartbeat: Heartbeat | undefined,
  ) {
    this.#path = path;
    this.#nonce = nonce;
    this.#socketName = socketName(path, nonce);
    this.#socket = socket;
    this.#heartbeat = heartbeat;
  }

  /** Listens, and writes the record aside. */
  static async prepare(path: string, nonce: string, own: OwnProcess): Promise<OwnLock> {
    const aside = asidePath(path, nonce);
    const file = await fs.promises.open(aside, 'wx', 0o644);
    let socket: ListeningSocket | undefined;
    try {
      socket = await listenBeside(path, socketName(path, nonce));
      const { dev, ino } = await file.stat({ bigint: true });
      const { platform, ...described } = own;
      const beats =
        platform === 'linux' && (socket === undefined || own.bootId === '' || !(await isLocal(dirname(path))));
      const record: LockRecord = {
        ...described,
        sinceMs: Date.now(),
        device: String(dev),
        inode: String(ino),
        socket: socket === undefined ? '' : socketName(path, nonce),
        beatMs: beats ? BEAT_MS : 0,
        nonce,
      };
      await file.writeFile(JSON.stringify(record));
      await file.datasync();
      if (beats) return new OwnLock(path, nonce, socket, new Heartbeat(file));
      await file.close();
      return new OwnLock(path, nonce, socket, undefined);
    } catch (error) {
      await file.close().catch(() => undefined);
      await socket?.close();
      await removeIfThere(aside);
      await removeIfThere(besidePath(path, socketName(path, nonce)));
      throw error;
    }
  }

  /** Makes the record the lock's, succeeding the dead holders of `chain`; false if somebody else was faster. */
  async putInPlace(chain: readonly FoundLock[]): Promise<boolean> {
    const [first] = chain;
    const last = chain.at(-1);
    const aside = asidePath(this.#path, this.#nonce);
    const claim = last ? claimPath(this.#path, last.record) : this.#path;
    if (!(await linked(aside, claim))) return false;
    if (first && !(await this.#succeed(first.record, claim))) return false;
    for (const { record } of chain) await removeIfThere(claimPath(this.#path, record));
    return this.#socket === undefined || (await exists(besidePath(this.#path, this.#socketName)));
  }

  /** Replaces the lock of the dead holder `first`, which `claim` gives the right to; else gives the claim up. */
  async #succeed(first: LockRecord, claim: string): Promise<boolean> {
    let succeeded = false;
    try {
      const current = await readLock(this.#path);
      if (current?.record.nonce !== first.nonce) return false;
      await fs.promises.rename(asidePath(this.#path, this.#nonce), this.#path);
      succeeded = true;
      return true;
    } finally {
      if (!succeeded) await removeIfThere(claim);
    }
  }

  removeAside(): Promise<void> {
    return removeIfThere(asidePath(this.#path, this.#nonce));
  }

  /** Removes the lock file, unless it is no longer ours, and only then stops listening. Idempotent. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    try {
      const current = await readLock(this.#path);
      if (current?.record.nonce === this.#nonce) await removeIfThere(this.#path);
    } catch (error) {
      throw fromNodeError(error, 'unlock', this.#path);
    } finally {
      await this.#heartbeat?.stop();
      if (this.#socket !== undefined) {
        await this.#socket.close();
        await removeIfThere(besidePath(this.#path, this.#socketName));
      }
    }
  }
}

/** Removes what dead takers left. Only the holder may call it. */
async function sweep(path: string, ownNonce: string): Promise<void> {
  const prefix = `${basename(path)}.`;
  for (const name of await fs.promises.readdir(dirname(path))) {
    if (!name.startsWith(prefix)) continue;
    const [, nonce, kind] = /^(?:after-)?([0-9a-f]+)(\.tmp|\.sock|)$/.exec(name.slice(prefix.length)) ?? [];
    if (nonce === undefined || nonce === ownNonce) continue;
    if (kind === '.sock' && (await probeBeside(path, name)) !== 'refused') continue;
    await removeIfThere(besidePath(path, name));
  }
}

const besidePath = (path: string, name: string): string => `${dirname(path)}/${name}`;
const socketName = (path: string, nonce: string): string => `${basename(path)}.${nonce}.sock`;
const asidePath = (path: string, nonce: string): string => `${path}.${nonce}.tmp`;
const claimPath = (path: string, record: LockRecord): string => `${path}.after-${record.nonce}`;

/** The lock followed by the claims to succeed it; the last one is the holder. Empty if there is no lock. */
async function readChain(path: string): Promise<FoundLock[]> {
  const chain: FoundLock[] = [];
  let found = await readLock(path);
  while (found) {
    chain.push(found);
    found = await readLock(claimPath(path, found.record));
  }
  return chain;
}

/** False if there is such a file already, or `existing` was swept away. */
async function linked(existing: string, path: string): Promise<boolean> {
  try {
    await fs.promises.link(existing, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === 'ENOENT') return false;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await fs.promises.lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await fs.promises.unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function lockedBy(path: string, record: LockRecord, alive: boolean): IoError {
  const { pid, hostname, command, sinceMs } = record;
  const who = `process ${pid} on ${hostname}`;
  const since = new Date(sinceMs).toISOString();
  const message = alive
    ? `Cannot lock ${path}: ${who} has held it since ${since} (${command})`
    : `Cannot lock ${path}: ${who} took it at ${since} (${command}), and from here it cannot be told whether it still runs. ` +
      'If you are sure that it does not, remove this file and try again';
  return new IoError('IO_LOCKED', message, { path, holder: { pid, hostname, command, sinceMs } });
}
