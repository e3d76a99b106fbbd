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
  if (startTime === '') return true;
  const found = await readStartTime(pid);
  return found === '' || found === startTime;
}

async function readFacts(): Promise<Facts> {
  return {
    bootId: await read(() => fs.promises.readFile('/proc/sys/kernel/random/boot_id', 'utf8')),
    startTime: await readStartTime(process.pid),
    pidNamespace: await read(() => fs.promises.readlink('/proc/self/ns/pid')),
  };
}

/** Empty where unknown, also where /proc shows another PID namespace than ours (`unshare --pid` without a new /proc). */
async function readStartTime(pid: number): Promise<string> {
  const self = await read(() => fs.promises.readlink('/proc/self'));
  if (self !== String(process.pid)) return '';
  const stat = await read(() => fs.promises.readFile(`/proc/${pid}/stat`, 'utf8'));
  // Field 22. The command in field 2 may hold spaces and parentheses: count from its last ")".
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

async function read(work: () => Promise<string>): Promise<string> {
  try {
    return (await work()).trim();
  } catch {
    return '';
  }
}
