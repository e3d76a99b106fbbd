// How long it takes until a crash is known: one node is killed at a random moment, run after run.
import type { ProtocolOptions } from '../protocol-options.js';
import type { NetworkQuality } from './network.js';
import { percentile } from './percentile.js';
import { Simulation } from './simulation.js';

/** What to measure. */
export interface DetectionOptions {
  readonly nodes: number;
  readonly runs: number;
  readonly seed: number;
  readonly protocol?: Partial<ProtocolOptions>;
  readonly network?: Partial<NetworkQuality>;
}

/** Times from the crash, in milliseconds. */
export interface Detection {
  readonly nodes: number;
  readonly runs: number;
  /** Until the first survivor called it dead. */
  readonly first: { readonly mean: number; readonly p50: number; readonly p99: number; readonly max: number };
  /** Until all did. */
  readonly everywhere: { readonly mean: number; readonly p50: number; readonly p99: number; readonly max: number };
}

/** Kills one node of a healthy cluster, `runs` times, and measures when the others know. */
export function measureDetection(options: DetectionOptions): Detection {
  const firsts: number[] = [];
  const everywhere: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    const times = detect(options, options.seed + run);
    firsts.push(times[0]!);
    everywhere.push(times.at(-1)!);
  }
  const { nodes, runs } = options;
  return { nodes, runs, first: summary(firsts), everywhere: summary(everywhere) };
}

function detect({ nodes, protocol, network }: DetectionOptions, seed: number): number[] {
  const victim = seed % nodes;
  let killedMs = Number.POSITIVE_INFINITY;
  const times: number[] = [];
  const sim: Simulation = new Simulation({
    seed,
    nodes,
    ...(protocol && { protocol }),
    ...(network && { network }),
    onEvent: (_node, event, nowMs) => {
      if (event.type === 'confirm' && event.member.id === sim.idOf(victim)) times.push(nowMs - killedMs);
    },
  });
  const { probeIntervalMs } = sim.protocol;
  // Every node has finished a probe, and the phase is a random one.
  sim.run(probeIntervalMs * (2 + 4 * sim.random()));
  killedMs = sim.nowMs;
  sim.kill(victim);
  if (!sim.runUntil(() => times.length === nodes - 1, 1_000 * probeIntervalMs)) {
    throw new Error(`Seed ${seed}: only ${times.length} of ${nodes - 1} noticed.`);
  }
  return times;
}

function summary(values: readonly number[]) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, p50: percentile(values, 0.5), p99: percentile(values, 0.99), max: percentile(values, 1) };
}
