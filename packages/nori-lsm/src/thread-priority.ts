// Puts the calling thread behind others: work in the background is not to take the processor from the event loop it works for.
import { readlinkSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

const NICENESS_MAX = 19;

/**
 * Adds to the calling thread's niceness, which ends at 19, where threads have one of their own, which is on Linux; elsewhere, and where
 * that is not allowed, nothing happens.
 */
export const lowerThreadPriority = (niceness: number): void => {
  if (process.platform !== 'linux') return;
  try {
    // /proc/thread-self leads to <process>/task/<thread>, and Linux takes a thread's number where a process's is asked for.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    if (thread > 0) setPriority(thread, Math.min(NICENESS_MAX, getPriority(thread) + niceness));
  } catch {
    // Then it runs as the others do.
  }
};
