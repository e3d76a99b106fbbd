// Lifeguard's local health: how slow this node itself seems to be, from 0 (healthy) to 7. Probes are stretched by one more than that.
const SCORE_MAX = 7;

export class LocalHealth {
  #score = 0;
  readonly #enabled: boolean;

  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  get score(): number {
    return this.#score;
  }

  /** What intervals and timeouts are multiplied with. */
  get factor(): number {
    return this.#score + 1;
  }

  /** Worse by `delta`; better if it is negative. */
  change(delta: number): void {
    if (this.#enabled) this.#score = Math.min(SCORE_MAX, Math.max(0, this.#score + delta));
  }
}
