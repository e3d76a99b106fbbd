// The bugs that the simulator must find: for each item of the checklist in docs/SPEC the ways in which implementations
// have got it wrong, or could.
import { CORE_MUTANTS } from './core-mutants.js';
import { DRIVER_MUTANTS } from './driver-mutants.js';
import type { Mutant } from './mutant.js';

export const MUTANTS: readonly Mutant[] = [...CORE_MUTANTS, ...DRIVER_MUTANTS];
