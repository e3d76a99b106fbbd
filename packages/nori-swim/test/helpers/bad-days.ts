// Random bad days: faults of all kinds for half a minute, then none, and the views must become the same and true.
import { InvariantChecker, Simulation } from 'nori-swim/sim';

/** Runs one of them. @throws Error with the seed in its message */
export function badDay(seed: number): { readonly convergedMs: number; readonly events: number } {
  try {
    return run(seed);
  } catch (error) {
    throw new Error(`Seed ${seed}: ${(error as Error).message}`, { cause: error });
  }
}

function run(seed: number) {
  let events = 0;
  const nodes = 3 + (seed % 6);
  const sim = new Simulation({
    seed,
    nodes,
    formed: seed % 4 !== 0,
    wakeOrder: seed % 2 === 0 ? 'timers' : 'packets',
    persistent: seed % 3 !== 0,
    throughCodec: seed % 8 === 1,
    zone: (node) => (seed % 5 === 0 ? `z${node % 3}` : ''),
    onEvent: () => events++,
  });
  const checker = new InvariantChecker(sim);
  if (seed % 4 === 0) for (const node of sim.numbers) sim.start(node, [0, 1]);
  const faults = new Faults(sim);
  sim.run(2_000);
  const endMs = sim.nowMs + 25_000;
  while (sim.nowMs < endMs) {
    faults.strike();
    sim.run(500 + 2_500 * sim.random());
  }
  faults.end();
  // Until the last pause is over.
  while (sim.numbers.some((node) => sim.isPaused(node))) sim.run(500);
  const healedMs = sim.nowMs;
  // Looked at once a second: the check is not free.
  while (checker.disagreement() !== undefined) {
    if (sim.nowMs - healedMs > 300_000) throw new Error(`no agreement: ${checker.disagreement()}`);
    sim.run(1_000);
  }
  const falseBefore = checker.falseConvictions.length;
  sim.run(20_000);
  if (checker.disagreement() !== undefined) throw new Error(`an agreement broken: ${checker.disagreement()}`);
  if (checker.falseConvictions.length > falseBefore) throw new Error('a false death without any fault');
  return { convergedMs: sim.nowMs - healedMs - 20_000, events };
}

class Faults {
  readonly #sim: Simulation;
  #heals: (() => void)[] = [];

  constructor(sim: Simulation) {
    this.#sim = sim;
  }

  strike(): void {
    const sim = this.#sim;
    const node = this.#any();
    const kind = (['datagrams', 'all', 'streams'] as const)[Math.floor(sim.random() * 3)]!;
    const others = sim.numbers.filter((other) => other !== node);
    switch (Math.floor(sim.random() * 10)) {
      case 0:
        sim.network.quality = {
          ...sim.network.quality,
          lossRate: 0.3 * sim.random(),
          duplicateRate: 0.2 * sim.random(),
        };
        break;
      case 1:
        sim.network.quality = { ...sim.network.quality, tailRate: 0.2 * sim.random(), tailMaxMs: 1_500 * sim.random() };
        break;
      case 2:
        this.#heals.push(sim.network.cut([node], others, kind));
        break;
      case 3:
        this.#heals.push(sim.network.cut(others, [node], kind));
        break;
      case 4: {
        const half = sim.numbers.filter(() => sim.random() < 0.5);
        this.#heals.push(sim.partition([half, sim.numbers.filter((other) => !half.includes(other))], kind));
        break;
      }
      case 5:
        sim.pause(node, 8_000 * sim.random());
        break;
      case 6:
        if (sim.isRunning(node)) sim.kill(node);
        break;
      case 7:
        this.#revive(node);
        break;
      case 8:
        sim.input(node, { type: 'metadata', metadata: Uint8Array.of(Math.floor(sim.random() * 256)) });
        sim.broadcast(
          node,
          Uint8Array.from({ length: 8 }, () => Math.floor(sim.random() * 256)),
        );
        break;
      default:
        this.#heals.pop()?.();
    }
  }

  end(): void {
    const sim = this.#sim;
    for (const heal of this.#heals) heal();
    sim.network.quality = { ...sim.network.quality, lossRate: 0.02, duplicateRate: 0, tailRate: 0 };
    for (const node of sim.numbers) this.#revive(node);
  }

  #revive(node: number): void {
    const sim = this.#sim;
    if (!sim.isRunning(node))
      sim.start(
        node,
        sim.numbers.filter((other) => other !== node),
      );
  }

  #any(): number {
    return Math.floor(this.#sim.random() * this.#sim.numbers.length);
  }
}
