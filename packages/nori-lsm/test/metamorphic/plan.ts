// Which steps a run takes. Runs that never do some things find what runs that do everything do not.
import { Rng } from 'nori-testkit';
import { STEPS } from './steps.js';

/** A step of a run: its name, and the seed of all it draws. */
export interface PlannedStep {
  readonly name: string;
  readonly seed: number;
}

/** Draws the steps of a run, `stepsMax` at most, from those named (default: all). */
export const plan = (seed: number, stepsMax: number, names = Object.keys(STEPS)): PlannedStep[] => {
  const rng = new Rng(seed).fork();
  const weighted = names.filter(() => rng.chance(0.8)).map((name) => ({ name, weight: STEPS[name]!.weight }));
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  const pick = (): string => {
    let at = rng.next() * total;
    for (const { name, weight } of weighted) {
      at -= weight;
      if (at < 0) return name;
    }
    return 'put';
  };
  return Array.from({ length: rng.range(stepsMax >> 2, stepsMax) }, () => ({ name: pick(), seed: rng.uint32() }));
};
