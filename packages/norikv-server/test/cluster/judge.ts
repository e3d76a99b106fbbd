// What the checker says to a history, and where histories are left for checkers from elsewhere.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkLinearizability, historyLines, registerEvent, registerMap } from 'nori-testkit';
import { expect } from 'vitest';
import type { StoreClient, StoreOperation } from './store-client.js';

export const historyOf = (...clients: readonly StoreClient[]): StoreOperation[] =>
  clients.flatMap(({ history }) => history);

/** Writes a history as JSON lines to the directory that NORI_HISTORY_DIR names, if it does. */
export const keepHistory = (name: string, history: readonly StoreOperation[]): void => {
  const dir = process.env.NORI_HISTORY_DIR;
  if (dir === undefined || dir === '') return;
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, `${name}.jsonl`), historyLines(history, registerEvent));
};

/** @throws Error that explains why it is not linearizable */
export const expectLinearizable = (history: readonly StoreOperation[]): void => {
  const verdict = checkLinearizability(registerMap, history);
  if (verdict.result === 'not-linearizable') throw new Error(verdict.violation.text);
  expect(verdict.result).toBe('linearizable');
};
