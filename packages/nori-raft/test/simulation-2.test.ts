// The other half of the seeds of simulation.test.ts.
import { testSeeds } from './sim/batch.js';

testSeeds(1, 2);
