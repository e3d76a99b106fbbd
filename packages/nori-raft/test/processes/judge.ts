// What the checker says to a history of the replicated map.
import { checkLinearizability, registerMap } from 'nori-testkit';
import { expect } from 'vitest';
import type { MapClient, MapOperation } from './map-client.js';

export function historyOf(...clients: readonly MapClient[]): MapOperation[] {
  return clients.flatMap(({ history }) => history);
}

/** @throws Error that explains why it is not linearizable */
export function expectLinearizable(history: readonly MapOperation[]): void {
  const verdict = checkLinearizability(registerMap, history);
  if (verdict.result === 'not-linearizable') throw new Error(verdict.violation.text);
  expect(verdict.result).toBe('linearizable');
}
