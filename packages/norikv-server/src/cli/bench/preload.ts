// Writes every key of a bench run once, in order, before anything is measured.
import type { Clock } from 'nori-io';
import type { NoriClient } from 'norikv-client';
import type { Workload } from './workload.js';

const CALLERS = 512;
const ATTEMPTS = 100;
const PAUSE_MS = 100;

/** Progress of a preload. */
export interface PreloadProgress {
  written: number;
}

/** @throws the error of a key that could not be written, after many attempts where the node was only busy. */
export const preload = async (
  client: NoriClient,
  workload: Workload,
  keys: number,
  clock: Clock,
  progress: PreloadProgress,
): Promise<void> => {
  let next = 0;
  const write = async (): Promise<void> => {
    while (next < keys) {
      const key = workload.keyAt(next++);
      for (let attempt = 1; ; attempt++) {
        try {
          await client.put(key, workload.nextValue());
          break;
        } catch (error) {
          if (attempt >= ATTEMPTS || (error as { code?: unknown }).code !== 'RESOURCE_EXHAUSTED') throw error;
          await new Promise<void>((resolve) => clock.setTimer(PAUSE_MS, () => resolve()));
        }
      }
      progress.written++;
    }
  };
  await Promise.all(Array.from({ length: Math.min(CALLERS, keys) }, write));
};
