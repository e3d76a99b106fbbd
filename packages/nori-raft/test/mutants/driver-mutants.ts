// Bugs of those who drive the core: the simulator's own driver, log and state machine stand for them.
import type { Mutant } from './mutants.js';

export const DRIVER_MUTANTS: readonly Mutant[] = [];
