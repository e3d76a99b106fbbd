// What a mutant is.
import type { Patch } from './build.js';

/** A bug. */
export interface Mutant {
  readonly id: string;
  /** Of the checklist; `general` stands for the rules of the Raft paper itself. */
  readonly items: readonly (number | 'general')[];
  /** The bug, as a sentence. */
  readonly what: string;
  readonly patches: readonly Patch[];
}

export const mutant = (id: string, items: Mutant['items'], what: string, ...patches: readonly Patch[]): Mutant => ({
  id,
  items,
  what,
  patches,
});
