// A lock file that names its holder, and is taken over when the holder is dead.
//
// The file holds one JSON object: {pid, hostname, command, sinceMs, bootId, startTime, nonce}. It is written aside, synced, and
// linked into place, so that it is never seen half written. A holder is dead if its boot is not this boot, no process has
// its pid, or that process was started at another time (a reused pid).
//
// Take-over. Removing a dead lock and making one's own are two steps; between them another taker may have come and gone. So
// the right to succeed a dead holder with nonce N is itself a file, `<lock>.after-N`, which only one process can link:
//
//   lock = N (dead) ── link own record as lock.after-N ──► is lock still N? ── yes ─► rename own record over lock, unlink lock.after-N
//                            │ exists: its record is the holder now;                └ no ─► unlink lock.after-N, start again
//                            ▼ dead as well: go on with lock.after-<its nonce>
//
// The claim is unlinked only after the rename, so whoever links it again sees that the lock is no longer N, and gives up.
// Liveness can be judged on one machine and in one PID namespace only: do not share a directory between machines.
import fs from 'node:fs';
import os from 'node:os';
import type { DirectoryLock, LockHolder } from './file-system.js';
import { fromNodeError, IoError } from './io-error.js';

const COMMAND_CHARS_MAX = 200;
const ATTEMPTS_MAX = 100;

/** What a lock file holds. */
interface LockRecord extends LockHolder {
  /** Of the running kernel; empty where the system has none to read. */
  readonly bootId: string;
  /** Start of the process in clock ticks since boot; empty where unknown. */
  readonly startTime: string;
  /** Tells two holders apart even if all else is equal. */
  readonly nonce: string;
}

/** Takes the lock at `path` (absolute). `newNonce` yields a fresh random name part. */
export async function takeLock(path: string, newNonce: () => string): Promise<DirectoryLock> {
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const lock = await attemptLock(path, newNonce);
      if (lock) return lock;
    }
  } catch (error) {
    throw fromNodeError(error, 'lock', path);
  }
  throw new IoError('IO_LOCKED', `Cannot lock ${path}: other processes keep taking it`, { path });
}

/** One try: the lock, or undefined if the world changed meanwhile, or a throw if a live process has it. */
async function attemptLock(path: string, newNonce: () => string): Promise<DirectoryLock | undefined> {
  const chain = await readChain(path);
  const last = chain.at(-1);
  if (last && (await isAlive(last))) throw lockedBy(path, last);
  const own = await describeOwnProcess(newNonce());
  const aside = `${path}.${own.nonce}.tmp`;
  await writeSynced(aside, JSON.stringify(own));
  try {
    const claim = last ? claimPath(path, last) : path;
    if (!(await linked(aside, claim))) return undefined;
    if (last) {
      const current = await readRecord(path);
      if (current?.nonce !== chain[0]!.nonce) {
        await removeIfThere(claim);
        return undefined;
      }
      await fs.promises.rename(aside, path);
      for (const record of chain) await removeIfThere(claimPath(path, record));
    }
    return new HeldLock(path, own.nonce);
  } finally {
    await removeIfThere(aside);
  }
}

class HeldLock implements DirectoryLock {
  readonly #path: string;
  readonly #nonce: string;
  #released = false;

  constructor(path: string, nonce: string) {
    this.#path = path;
    this.#nonce = nonce;
  }

  /** Removes the lock file, unless it is no longer ours. Idempotent. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    try {
      const current = await readRecord(this.#path);
      if (current?.nonce === this.#nonce) await removeIfThere(this.#path);
    } catch (error) {
      throw fromNodeError(error, 'unlock', this.#path);
    }
  }
}

const claimPath = (path: string, record: LockRecord): string => `${path}.after-${record.nonce}`;

/** The lock's record followed by those of claims to succeed it; the last one is the holder. Empty if there is no lock. */
async function readChain(path: string): Promise<LockRecord[]> {
  const chain: LockRecord[] = [];
  let record = await readRecord(path);
  while (record) {
    chain.push(record);
    record = await readRecord(claimPath(path, record));
  }
  return chain;
}

async function readRecord(path: string): Promise<LockRecord | undefined> {
  let text: string;
  try {
    text = await fs.promises.readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const record = parseRecord(text);
  if (record) return record;
  throw new IoError(
    'IO_LOCKED',
    `Cannot lock ${path}: the file is not a lock file of ours; remove it if nothing uses it`,
    {
      path,
    },
  );
}

function parseRecord(text: string): LockRecord | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null;
    if (value === null || !Number.isInteger(value.pid) || !/^[0-9a-f]+$/.test(String(value.nonce))) return undefined;
    return {
      pid: value.pid as number,
      hostname: String(value.hostname),
      command: String(value.command),
      sinceMs: Number(value.sinceMs),
      bootId: String(value.bootId ?? ''),
      startTime: String(value.startTime ?? ''),
      nonce: String(value.nonce),
    };
  } catch {
    return undefined;
  }
}

async function describeOwnProcess(nonce: string): Promise<LockRecord> {
  return {
    pid: process.pid,
    hostname: os.hostname(),
    command: process.argv.join(' ').slice(0, COMMAND_CHARS_MAX),
    sinceMs: Date.now(),
    bootId: await readBootId(),
    startTime: (await readStartTime(process.pid)) ?? '',
    nonce,
  };
}

async function isAlive(record: LockRecord): Promise<boolean> {
  const bootId = await readBootId();
  if (record.bootId !== '' && bootId !== '' && record.bootId !== bootId) return false;
  try {
    process.kill(record.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const startTime = await readStartTime(record.pid);
  return record.startTime === '' || startTime === undefined || startTime === record.startTime;
}

async function readBootId(): Promise<string> {
  try {
    return (await fs.promises.readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return '';
  }
}

/** Field 22 of /proc/PID/stat. The command in field 2 may hold spaces and parentheses: count from its last ")". */
async function readStartTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await fs.promises.readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await fs.promises.open(path, 'wx', 0o644);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** False if there is such a file already. */
async function linked(existing: string, path: string): Promise<boolean> {
  try {
    await fs.promises.link(existing, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
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

function lockedBy(path: string, record: LockRecord): IoError {
  const holder: LockHolder = {
    pid: record.pid,
    hostname: record.hostname,
    command: record.command,
    sinceMs: record.sinceMs,
  };
  const since = new Date(record.sinceMs).toISOString();
  return new IoError(
    'IO_LOCKED',
    `Cannot lock ${path}: process ${holder.pid} on ${holder.hostname} has held it since ${since} (${holder.command})`,
    { path, holder },
  );
}
