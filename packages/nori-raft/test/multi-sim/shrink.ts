// Cuts a failing plan of many groups down: faults and clients are left out as long as the same invariant still breaks (delta
// debugging, Zeller and Hildebrandt 2002). What is left out shifts all chance that comes after it, so each cut is tried with a few
// seeds of noise.
import { type TraceLine, traceText } from '../sim/trace.js';
import { type MultiPlan, makeMultiPlan } from './plan.js';
import { type MultiRunResult, runMultiSeed } from './run-seeds.js';

const RUNS_MAX = 200;
const NOISES = 2;

/** What is left of a failing seed. */
export interface ShrunkMulti {
  readonly plan: MultiPlan;
  /** Of the last run, with its trace. */
  readonly result: MultiRunResult;
  readonly runs: number;
}

/** @throws Error when the seed does not fail */
export async function shrinkMulti(seed: number): Promise<ShrunkMulti> {
  const shrinker = new Shrinker(seed);
  await shrinker.run();
  const result = await runMultiSeed(seed, { plan: shrinker.plan, recording: true });
  return { plan: shrinker.plan, result, runs: shrinker.runs };
}

/** What is left for people: the faults in a line each, then the trace. */
export function shrunkMultiText({ plan, result, runs }: ShrunkMulti, linesMax = 150): string {
  const { violation } = result;
  const groups = `${plan.config.nodes} nodes, ${plan.config.groups} groups, ${plan.operations.length} clients`;
  return [
    `${violation?.kind} with ${plan.faults.length} faults, ${groups}, after ${runs} runs:`,
    ...plan.faults.map(({ atMs, type, aim, durationMs, degree }) => {
      return `  ${atMs.toFixed(0)} ms: ${type} (${aim}, ${durationMs.toFixed(0)} ms, degree ${degree.toFixed(2)})`;
    }),
    violation?.message ?? '',
    traceText(result.lines.filter(isTelling), linesMax),
  ].join('\n');
}

function isTelling({ text }: TraceLine): boolean {
  return !text.includes('raft.snapshot_failed');
}

class Shrinker {
  plan: MultiPlan;
  runs = 0;
  readonly #seed: number;
  #kind: string | undefined;

  constructor(seed: number) {
    this.#seed = seed;
    this.plan = makeMultiPlan(seed);
  }

  async run(): Promise<void> {
    const { violation } = await runMultiSeed(this.#seed);
    if (violation === undefined) throw new Error(`Seed ${this.#seed} does not fail.`);
    this.#kind = violation.kind;
    const faults = this.plan.faults.filter(({ atMs }) => atMs <= violation.atMs);
    await this.#accept({ ...this.plan, faults });
    await this.#cutFaults();
    for (let i = this.plan.operations.length - 1; i > 0; i--) {
      await this.#accept({ ...this.plan, operations: this.plan.operations.filter((_, at) => at !== i) });
    }
    for (const change of [{ trouble: 'none' as const }, { groups: 1 }, { nodes: 3 }]) {
      await this.#accept({ ...this.plan, config: { ...this.plan.config, ...change } });
    }
  }

  /** Leaves out ever smaller chunks of the faults. */
  async #cutFaults(): Promise<void> {
    for (let size = this.plan.faults.length; size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = 0; from < this.plan.faults.length; ) {
        const { faults } = this.plan;
        const remaining = [...faults.slice(0, from), ...faults.slice(from + size)];
        if (!(await this.#accept({ ...this.plan, faults: remaining }))) from += size;
      }
    }
  }

  /** Keeps a smaller plan if it still fails in the same way. */
  async #accept(plan: MultiPlan): Promise<boolean> {
    const { noise } = this.plan;
    for (let i = 0; i < NOISES && this.runs < RUNS_MAX; i++) {
      this.runs++;
      const tried = { ...plan, noise: noise + i };
      const { violation } = await runMultiSeed(this.#seed, { plan: tried });
      if (violation?.kind !== this.#kind) continue;
      this.plan = tried;
      return true;
    }
    return false;
  }
}
