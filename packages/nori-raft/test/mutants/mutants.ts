// The bugs that the simulator must find: for each item of the checklist in README.md the ways in which implementations
// have got it wrong, or could. Numbers are those of the checklist; `general` stands for the rules of the Raft paper itself.
import type { Patch } from './build.js';
import { CORE_MUTANTS } from './core-mutants.js';
import { DRIVER_MUTANTS } from './driver-mutants.js';

/** A bug. */
export interface Mutant {
  readonly id: string;
  /** Of the checklist. */
  readonly items: readonly (number | 'general')[];
  /** The bug, as a sentence. */
  readonly what: string;
  readonly patches: readonly Patch[];
}

/** All of them, by item. */
export const MUTANTS: readonly Mutant[] = [...CORE_MUTANTS, ...DRIVER_MUTANTS];
