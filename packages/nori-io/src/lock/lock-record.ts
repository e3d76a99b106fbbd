// What a lock file holds: one JSON object that names the holder and says how to find out whether it lives.
//
//   pid, hostname, command, sinceMs   who, and since when: for people
//   bootId         of the running kernel; empty where the system has none to read
//   startTime      of the process, in clock ticks since boot; empty where unknown
//   pidNamespace   what /proc/self/ns/pid names; empty where the system has none; missing in records of the first version
//   device, inode  of this very file, as the holder sees it: a copy of the file has others
//   socket         name of the socket beside this file on which the holder listens; empty where it could not
//   beatMs         the holder promises to touch this file that often; 0 if it does not
//   nonce          hexadecimal; tells two holders apart even if all else is equal
import fs from 'node:fs';
import type { LockHolder } from '../file-system.js';
import { IoError } from '../io-error.js';

/** See the top of this file. */
export interface LockRecord extends LockHolder {
  readonly bootId: string;
  readonly startTime: string;
  readonly pidNamespace: string | undefined;
  readonly device: string;
  readonly inode: string;
  readonly socket: string;
  readonly beatMs: number;
  readonly nonce: string;
}

/** A lock file as it was found. */
export interface FoundLock {
  readonly record: LockRecord;
  /** Where the record was read. */
  readonly path: string;
  /** Of the file at `path`. */
  readonly device: string;
  readonly inode: string;
}

/** What is in the file at `path`; undefined if there is no such file. @throws IoError `IO_LOCKED` if it is not one of ours */
export async function readLock(path: string): Promise<FoundLock | undefined> {
  let file: fs.promises.FileHandle;
  try {
    file = await fs.promises.open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { dev, ino } = await file.stat({ bigint: true });
    const record = parseRecord(await file.readFile('utf8'));
    if (record) return { record, path, device: String(dev), inode: String(ino) };
  } finally {
    await file.close();
  }
  const message = `Cannot lock ${path}: the file is not a lock file of ours; remove it if nothing uses it`;
  throw new IoError('IO_LOCKED', message, { path });
}

function parseRecord(text: string): LockRecord | undefined {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(text) as Record<string, unknown> | null;
  } catch {
    return undefined;
  }
  if (value === null || !Number.isInteger(value.pid) || !/^[0-9a-f]+$/.test(String(value.nonce))) return undefined;
  const socket = String(value.socket ?? '');
  return {
    pid: value.pid as number,
    hostname: String(value.hostname),
    command: String(value.command),
    sinceMs: Number(value.sinceMs),
    bootId: String(value.bootId ?? ''),
    startTime: String(value.startTime ?? ''),
    pidNamespace: typeof value.pidNamespace === 'string' ? value.pidNamespace : undefined,
    device: String(value.device ?? ''),
    inode: String(value.inode ?? ''),
    // It is looked up beside the lock file, and nowhere else.
    socket: socket.includes('/') ? '' : socket,
    beatMs: Number.isFinite(value.beatMs) ? (value.beatMs as number) : 0,
    nonce: String(value.nonce),
  };
}
