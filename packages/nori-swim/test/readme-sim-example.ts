import { InvariantChecker, Simulation } from 'nori-swim/sim';

/** Ten members, a tenth of all datagrams lost; one dies, another one stands still for a second and a half. */
export function example(seed: number): string[] {
  const sim = new Simulation({ seed, nodes: 10, network: { lossRate: 0.1 } });
  const checker = new InvariantChecker(sim);
  sim.run(10_000);
  sim.kill(3);
  sim.pause(7, 1_500);
  sim.run(60_000);
  return [...new Set(checker.convictions.map(({ victim, isFalse }) => `${victim} ${isFalse ? 'wrongly' : 'rightly'}`))];
}
