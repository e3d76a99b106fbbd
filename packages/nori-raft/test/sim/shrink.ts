// Cuts a failing plan down: faults, operations and whole clients are left out as long as the same invariant still
// breaks (delta debugging, Zeller and Hildebrandt 2002). What is left out shifts all chance that comes after it, so each
// cut is tried with a few seeds of noise.
import { type ClientOperation, type Fault, makePlan, type Plan } from './plan.js';
import { type RunOptions, type RunResult, runSeed } from './run-seeds.js';
import { type TraceLine, traceText } from './trace.js';

/** Options of {@link shrink}. */
export interface ShrinkOptions extends RunOptions {
  /** Runs that may be spent. Default 800. */
  readonly runsMax?: number;
  /** Seeds of noise tried for each cut. Default 2. */
  readonly noises?: number;
}

/** What is left of a failing seed. */
export interface Shrunk {
  readonly plan: Plan;
  /** Of the last run, with its trace. */
  readonly result: RunResult;
  readonly runs: number;
}

/** @throws Error when the seed does not fail */
export function shrink(seed: number, options: ShrinkOptions = {}): Shrunk {
  const shrinker = new Shrinker(seed, options);
  shrinker.run();
  return shrinker.finish();
}

/** What is left for people: the plan in a line each, then the trace without heartbeats and requests. */
export function shrunkText({ plan, result, runs }: Shrunk, linesMax = 200): string {
  const { violation } = result;
  const operations = plan.operations.map(({ length }) => length).join(' + ');
  return [
    `${violation?.kind} with ${plan.faults.length} faults and ${operations || 'no'} operations, after ${runs} runs:`,
    ...plan.faults.map(faultText),
    violation?.message ?? '',
    traceText(result.lines.filter(isTelling), linesMax),
  ].join('\n');
}

function faultText({ atMs, type, aim, durationMs, degree }: Fault): string {
  return `  ${atMs.toFixed(0)} ms: ${type} (${aim}, ${durationMs.toFixed(0)} ms, degree ${degree.toFixed(2)})`;
}

function isTelling({ text }: TraceLine): boolean {
  return !text.startsWith('<- client') && !text.includes(': heartbeat');
}

class Shrinker {
  readonly #seed: number;
  readonly #options: ShrinkOptions;
  readonly #kind: string | undefined;
  #plan: Plan;
  /** When it failed, and how many operations each client had begun by then. */
  #atMs = 0;
  #begun: readonly number[] = [];
  #runs = 0;

  constructor(seed: number, options: ShrinkOptions) {
    this.#seed = seed;
    this.#options = options;
    this.#plan = options.plan ?? makePlan(seed);
    const { violation } = this.#run(this.#plan);
    if (violation === undefined) throw new Error(`Seed ${seed} does not fail.`);
    this.#kind = violation.kind;
  }

  run(): void {
    for (let before = ''; before !== this.#size && this.#isLeft; ) {
      before = this.#size;
      this.#cutEnd();
      this.#cutFaults();
      this.#cutClients();
      this.#cutOperations();
    }
    this.#calmDown();
  }

  finish(): Shrunk {
    const result = runSeed(this.#seed, { ...this.#options, plan: this.#plan, recording: true });
    return { plan: this.#plan, result, runs: this.#runs };
  }

  get #isLeft(): boolean {
    return this.#runs < (this.#options.runsMax ?? 800);
  }

  get #size(): string {
    return `${this.#plan.faults.length} ${this.#plan.operations.map(({ length }) => length).join()}`;
  }

  #run(plan: Plan): RunResult {
    this.#runs++;
    const result = runSeed(this.#seed, { ...this.#options, plan, recording: false });
    if (result.violation !== undefined && (this.#kind ?? result.violation.kind) === result.violation.kind) {
      this.#plan = plan;
      this.#atMs = result.violation.atMs;
      this.#begun = result.begun;
    }
    return result;
  }

  /** Keeps a smaller plan if it still fails in the same way. */
  #accept(plan: Plan): boolean {
    const { noises = 2 } = this.#options;
    const { noise } = this.#plan;
    for (let i = 0; i < noises && this.#isLeft; i++) {
      if (this.#run({ ...plan, noise: noise + i }).violation?.kind === this.#kind) return true;
    }
    return false;
  }

  /** What was not reached when it failed, or what comes late. */
  #cutEnd(): void {
    const begun = this.#plan.operations.map((operations, i) => operations.slice(0, this.#begun[i]));
    this.#accept({ ...this.#plan, operations: begun });
    for (const share of [0.25, 0.5, 0.75, 0.9]) {
      const { faultMs } = this.#plan.config;
      if (this.#cutAt(Math.ceil(share * Math.min(faultMs, this.#atMs)))) return;
    }
  }

  #cutAt(faultMs: number): boolean {
    const faults = this.#plan.faults.filter(({ atMs }) => atMs <= faultMs);
    return this.#accept({ ...this.#plan, faults, config: { ...this.#plan.config, faultMs } });
  }

  #cutFaults(): void {
    minimize(this.#plan.faults, (faults) => this.#accept({ ...this.#plan, faults }));
  }

  #cutClients(): void {
    for (let i = this.#plan.operations.length - 1; i >= 0; i--) {
      this.#accept({ ...this.#plan, operations: this.#plan.operations.filter((_, at) => at !== i) });
    }
  }

  #cutOperations(): void {
    for (let i = 0; i < this.#plan.operations.length; i++) {
      const replace = (operations: readonly ClientOperation[]) =>
        this.#accept({
          ...this.#plan,
          operations: this.#plan.operations.map((old, at) => (at === i ? operations : old)),
        });
      minimize(this.#plan.operations[i]!, replace);
    }
  }

  /** A plainer cluster, if that will do. */
  #calmDown(): void {
    const { network } = this.#plan.config;
    const calm = { ...network, tailRate: 0, lossRate: 0, duplicateRate: 0, ordered: true };
    for (const change of [{ network: calm }, { drift: false }, { paddingMax: 0 }, { keys: 1 }, { voters: 3 }]) {
      this.#accept({ ...this.#plan, config: { ...this.#plan.config, ...change } });
    }
  }
}

/** Leaves out ever smaller chunks of a list while `accept` takes what remains. */
function minimize<T>(all: readonly T[], accept: (remaining: readonly T[]) => boolean): void {
  let items = all;
  if (items.length > 0 && accept([])) return;
  for (let size = Math.ceil(items.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < items.length; ) {
      const remaining = [...items.slice(0, from), ...items.slice(from + size)];
      if (accept(remaining)) items = remaining;
      else from += size;
    }
  }
}
