// Whether the node takes requests, as health checks see it: what the node says of itself, and whether it is draining.
// Watchers are told of changes; the node is asked at an interval, only while somebody watches.
import type { Clock, TimerHandle } from 'nori-io';
import type { KvNode } from '../../ports/kv.js';

const POLL_INTERVAL_MS = 250;

/** A verdict with its reasons; `ready` exactly if there is none against it. */
export interface Verdict {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

/** Readiness of the node, shared by its transports. */
export class Readiness {
  readonly #node: KvNode;
  readonly #clock: Clock;
  readonly #watchers = new Set<(ready: boolean) => void>();
  #timer: TimerHandle | undefined;
  #told = false;
  #draining = false;

  constructor(node: KvNode, clock: Clock) {
    this.#node = node;
    this.#clock = clock;
  }

  /** True from {@link drain} on. */
  get draining(): boolean {
    return this.#draining;
  }

  verdict(): Verdict {
    if (this.#draining) return { ready: false, reasons: ['The node is shutting down'] };
    const { ready, reasons } = this.#node.status();
    return { ready, reasons: ready ? [] : reasons };
  }

  /** From now on the node is not ready. */
  drain(): void {
    this.#draining = true;
    this.#tell();
  }

  /** Calls `watcher` at once and after each change; returns the way to stop. */
  watch(watcher: (ready: boolean) => void): () => void {
    if (this.#watchers.size === 0) this.#told = this.verdict().ready;
    this.#watchers.add(watcher);
    watcher(this.#told);
    this.#schedule();
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size > 0) return;
      this.#timer?.cancel();
      this.#timer = undefined;
    };
  }

  #schedule(): void {
    this.#timer ??= this.#clock.setTimer(
      POLL_INTERVAL_MS,
      () => {
        this.#timer = undefined;
        this.#tell();
        if (this.#watchers.size > 0) this.#schedule();
      },
      { unref: true },
    );
  }

  #tell(): void {
    if (this.#watchers.size === 0) return;
    const { ready } = this.verdict();
    if (ready === this.#told) return;
    this.#told = ready;
    for (const watcher of [...this.#watchers]) watcher(ready);
  }
}
