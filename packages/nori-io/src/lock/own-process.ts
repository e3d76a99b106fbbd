// Who this process is, and whether another one lives, as far as one PID namespace can see.
import fs from 'node:fs';
import os from 'node:os';

const COMMAND_CHARS_MAX = 200;

/** What tells this process, and the kernel it runs on, from others. */
export interface OwnProcess {
  readonly platform: NodeJS.Platform;
  readonly pid: number;
  readonly hostname: string;
  readonly command: string;
  /** Empty where the system has none. */
  readonly bootId: string;
  /** Empty where unknown. */
  readonly startTime: string;
  /** Empty where the system has none. */
  readonly pidNamespace: string;
}

interface Facts {
  readonly bootId: string;
  readonly startTime: string;
  readonly pidNamespace: string;
}

let facts: Promise<Facts> | undefined;

/** Describes this process. What cannot change is read once. */
export async function describeOwnProcess(): Promise<OwnProcess> {
  facts ??= readFacts();
  return {
    platform: process.platform,
    pid: process.pid,
    hostname: os.hostname(),
    command: process.argv.join(' ').slice(0, COMMAND_CHARS_MAX),
    ...(await facts),
  };
}

/** Whether the process with this pid in our PID namespace lives, and is the one that started at `startTime` (if known). */
export async function processLives(pid: number, startTime: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const found = await readStat(pid);
  if (found === undefined) return true;
  // A zombie whose parent has not asked after it. While threads of it are left, one may still be writing.
  if (found.state === 'Z' && found.threads <= 1) return false;
  return startTime === '' || found.startTime === startTime;
}

async function readFacts(): Promise<Facts> {
  return {
    bootId: await read(() => fs.promises.readFile('/proc/sys/kernel/random/boot_id', 'utf8')),
    startTime: (await readStat(process.pid))?.startTime ?? '',
    pidNamespace: await read(() => fs.promises.readlink('/proc/self/ns/pid')),
  };
}

/**
 * What /proc/PID/stat tells; undefined where there is none to read, also where /proc shows another PID namespace than ours
 * (`unshare --pid` without a new /proc).
 */
async function readStat(pid: number): Promise<{ state: string; threads: number; startTime: string } | undefined> {
  const self = await read(() => fs.promises.readlink('/proc/self'));
  if (self !== String(process.pid)) return undefined;
  const stat = await read(() => fs.promises.readFile(`/proc/${pid}/stat`, 'utf8'));
  // Fields 3, 20 and 22. The command in field 2 may hold spaces and parentheses: count from its last ")".
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, threads, startTime] = [fields[0], fields[17], fields[19]];
  if (state === undefined || threads === undefined || startTime === undefined) return undefined;
  return { state, threads: Number(threads), startTime };
}

async function read(work: () => Promise<string>): Promise<string> {
  try {
    return (await work()).trim();
  } catch {
    return '';
  }
}
