// Drawing from a list in which some things come up more often than others.
import type { Rng } from 'nori-testkit';

/** One of `items`, each as often as its weight says; `total` is the sum of the weights, above 0. */
export function drawWeighted<T>(rng: Rng, items: readonly T[], weights: readonly number[], total: number): T {
  let left = rng.next() * total;
  for (let i = 0; i < weights.length; i++) if ((left -= weights[i]!) < 0) return items[i]!;
  return items[weights.findIndex((weight) => weight > 0)]!;
}
