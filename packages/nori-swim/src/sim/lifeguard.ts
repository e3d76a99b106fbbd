// Lifeguard's experiment (Dadgar, Phillips, Currey, "Lifeguard: local health awareness for more accurate failure detection", 2017): some
// members of a cluster are slow, and the question is how many of the healthy ones are called dead. As there, what a slow member sends and
// gets is held up again and again while its timers run; or it stands still as a whole, as a process with one event loop does.
import type { ProtocolOptions } from '../protocol-options.js';
import { Simulation } from './simulation.js';

/** The parts that can be off. */
export interface LifeguardParts {
  readonly localHealth: boolean;
  readonly suspicion: boolean;
  readonly buddy: boolean;
  /** Beyond Lifeguard: notice one's own pauses. */
  readonly pauseDetection: boolean;
  /** Beyond Lifeguard: ask whoever is suspected once more. */
  readonly recheckSuspects: boolean;
}

/** What to try. */
export interface LifeguardOptions {
  readonly nodes: number;
  /** How many of them are slow. */
  readonly slow: number;
  readonly seconds: number;
  readonly seed: number;
  readonly parts: LifeguardParts;
  /** What is slow about a slow member: what it sends and gets, or all of it. Default `network`. */
  readonly slowness?: 'network' | 'process';
  /** A slow member is held up for so long, uniform between the two. Default 500 and 8,000. */
  readonly heldUpMs?: readonly [min: number, max: number];
  /** Then it is not, for so long. Default 1 and 50. */
  readonly freeMs?: readonly [min: number, max: number];
  readonly protocol?: Partial<ProtocolOptions>;
}

/** What came of it. A member that was called dead counts once for each node that held it for dead. */
export interface LifeguardResult {
  /** Healthy members that were called dead, by anybody. */
  readonly falsePositives: number;
  /** … by nodes that are healthy themselves. */
  readonly atHealthy: number;
  /** Slow members that were called dead, by healthy nodes: not wrong, as far as can be told from outside. */
  readonly slowConvicted: number;
}

/** Lets `slow` members be held up again and again. */
export function tryLifeguard(options: LifeguardOptions): LifeguardResult {
  const { nodes, slow, seconds, seed, parts, heldUpMs = [500, 8_000], freeMs = [1, 50] } = options;
  const { localHealth, suspicion, buddy, pauseDetection, recheckSuspects } = parts;
  const isSlow = (node: number) => node < slow;
  const result = { falsePositives: 0, atHealthy: 0, slowConvicted: 0 };
  const sim: Simulation = new Simulation({
    seed,
    nodes,
    protocol: { ...options.protocol, lifeguard: { localHealth, suspicion, buddy }, pauseDetection, recheckSuspects },
    onEvent: (node, event) => {
      if (event.type !== 'confirm') return;
      if (!isSlow(sim.numberOf(event.member.id))) {
        result.falsePositives++;
        if (!isSlow(node)) result.atHealthy++;
      } else if (!isSlow(node)) result.slowConvicted++;
    },
  });
  const between = ([min, max]: readonly [number, number]) => min + sim.random() * (max - min);
  const stop = (node: number) => {
    const forMs = between(heldUpMs);
    if (options.slowness === 'process') sim.pause(node, forMs);
    else sim.stall(node, forMs);
    sim.after(forMs + between(freeMs), () => stop(node));
  };
  sim.run(5_000);
  for (let node = 0; node < slow; node++) sim.after(between(freeMs), () => stop(node));
  sim.run(seconds * 1_000);
  return result;
}
