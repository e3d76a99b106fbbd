// Whether the holder that a lock file names still lives. The rules, in this order; docs/adr/0004-lock-in-containers.md has the
// reasons:
//
//   record of the first version      another boot: dead. Else by process.
//   same kernel, and the file is     dead: a copy of a lock file is not a lock.
//   a copy (see below)
//   same kernel and PID namespace    by process: does it exist, and did it start when the record says?
//   same kernel, else                by socket: refused is dead, answered is alive.
//   another kernel, or no socket     by heartbeat, if the holder promised one: silence for 15 of them is dead.
//   another kernel, no heartbeat     on a file system that one kernel at a time can mount: dead.
//   otherwise                        unknown: refused, as if alive.
//
// The same kernel: the boot ids are equal, or there are none, off Linux or with equal hostnames. A copy: device or inode are
// not what the record says, and nobody listens at the socket it names (a directory seen through two mounts has one inode).
import { dirname } from 'node:path';
import { type Watched, watchBeats } from './heartbeat.js';
import { isLocal } from './local-file-system.js';
import type { FoundLock, LockRecord } from './lock-record.js';
import { probeBeside, type SocketState } from './lock-socket.js';
import { type OwnProcess, processLives } from './own-process.js';

/** What is known about a holder. */
export type Verdict = 'alive' | 'dead' | 'unknown' | 'changed';

/** How the rules look at the world; tests have worlds of their own. */
export interface Surroundings {
  readonly own: OwnProcess;
  processLives(pid: number, startTime: string): Promise<boolean>;
  probe(lockPath: string, socket: string): Promise<SocketState>;
  watch(path: string, beatMs: number): Promise<Watched>;
  isLocal(directory: string): Promise<boolean>;
}

/** The world as it is, seen from this process. */
export function realSurroundings(own: OwnProcess): Surroundings {
  const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  return {
    own,
    processLives,
    probe: probeBeside,
    watch: (path, beatMs) => watchBeats(path, beatMs, sleep),
    isLocal,
  };
}

/** See the top of this file. */
export async function judgeHolder(found: FoundLock, around: Surroundings): Promise<Verdict> {
  const { record } = found;
  const { own } = around;
  if (record.pidNamespace === undefined) {
    if (record.bootId !== '' && own.bootId !== '' && record.bootId !== own.bootId) return 'dead';
    return await byProcess(record, around);
  }
  if (!sameKernel(record, own)) return await fromAnotherKernel(found, around);
  const socket = record.socket === '' ? 'unknown' : await around.probe(found.path, record.socket);
  if (await isCopy(found, socket, around)) return 'dead';
  if (record.pidNamespace === own.pidNamespace) return await byProcess(record, around);
  if (socket === 'answers') return 'alive';
  if (socket === 'refused') return 'dead';
  return record.beatMs > 0 ? await byHeartbeat(found, around) : 'unknown';
}

function sameKernel(record: LockRecord, own: OwnProcess): boolean {
  if (record.bootId !== '' || own.bootId !== '') return record.bootId === own.bootId;
  return own.platform !== 'linux' || record.hostname === own.hostname;
}

async function isCopy(found: FoundLock, socket: SocketState, around: Surroundings): Promise<boolean> {
  const { record } = found;
  if (socket !== 'refused' && socket !== 'missing') return false;
  if (found.inode !== record.inode) return true;
  // Another device with the same inode is a snapshot, or the same file seen through a network mount of this machine's own.
  return found.device !== record.device && (await around.isLocal(dirname(found.path)));
}

async function fromAnotherKernel(found: FoundLock, around: Surroundings): Promise<Verdict> {
  if (found.record.beatMs > 0) return await byHeartbeat(found, around);
  return (await around.isLocal(dirname(found.path))) ? 'dead' : 'unknown';
}

async function byProcess({ pid, startTime }: LockRecord, around: Surroundings): Promise<Verdict> {
  return (await around.processLives(pid, startTime)) ? 'alive' : 'dead';
}

async function byHeartbeat(found: FoundLock, around: Surroundings): Promise<Verdict> {
  const watched = await around.watch(found.path, found.record.beatMs);
  if (watched === 'changed') return 'changed';
  return watched === 'beats' ? 'alive' : 'dead';
}
