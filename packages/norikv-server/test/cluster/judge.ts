// What the checker says to a history, and where histories are left for checkers from elsewhere.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkLinearizability, historyLines, registerEvent, registerMap } from 'nori-testkit';
import { expect } from 'vitest';
import type { StoreClient, StoreOperation } from './store-client.js';

export const historyOf = (...clients: readonly StoreClient[]): StoreOperation[] =>
  clients.flatMap(({ history }) => history);

/** Writes a history as JSON lines, and what happened meanwhile beside it. Resolves with where. */
const writeHistory = (dir: string, name: string, history: readonly StoreOperation[], happened: string): string => {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, `${name}.jsonl`);
  writeFileSync(path, historyLines(history, registerEvent));
  writeFileSync(join(dir, `${name}.txt`), `${happened}\n`);
  return path;
};

/** Writes a history to the directory that NORI_HISTORY_DIR names, if it does. */
export const keepHistory = (name: string, history: readonly StoreOperation[], happened: string): void => {
  const dir = process.env.NORI_HISTORY_DIR;
  if (dir !== undefined && dir !== '') writeHistory(dir, name, history, happened);
};

/** Writes the history of a failure, wherever that is. Returns where. */
export const keepFailure = (name: string, history: readonly StoreOperation[], happened: string): string => {
  const dir = process.env.NORI_HISTORY_DIR;
  const failures = dir === undefined || dir === '' ? mkdtempSync(join(tmpdir(), 'norikv-history-')) : dir;
  return writeHistory(failures, name, history, happened);
};

/** @throws Error that explains why it is not linearizable */
export const expectLinearizable = (history: readonly StoreOperation[]): void => {
  const violation = violationOf(history);
  if (violation !== undefined) throw new Error(violation);
};

/** Why a history is not linearizable; undefined: it is. */
export const violationOf = (history: readonly StoreOperation[]): string | undefined => {
  const verdict = checkLinearizability(registerMap, history);
  if (verdict.result === 'not-linearizable') return verdict.violation.text;
  expect(verdict.result).toBe('linearizable');
  return undefined;
};
