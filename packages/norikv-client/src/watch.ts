// The cluster as it changes: the view of now, then each newer one. A slow reader misses views in between, never the newest.
import type { Dispatcher } from './dispatcher.js';
import { NoriError } from './errors.js';
import type { ClusterView } from './types.js';

// Not a generator: `return()` of one waits for a `next()` under way, which may be for ever here.
/** Yields views until the caller stops, the signal is aborted (throws `CANCELLED`) or the client closes (ends). */
export class ClusterWatch implements AsyncIterableIterator<ClusterView, void, undefined> {
  readonly #dispatcher: Dispatcher;
  readonly #signal: AbortSignal | undefined;
  readonly #forget: (() => void)[];
  #revision = -1;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(dispatcher: Dispatcher, signal: AbortSignal | undefined) {
    this.#dispatcher = dispatcher;
    this.#signal = signal;
    const onEvent = () => this.#wake?.();
    signal?.addEventListener('abort', onEvent);
    this.#forget = [
      dispatcher.map.onChange(onEvent),
      dispatcher.onClose(onEvent),
      () => signal?.removeEventListener('abort', onEvent),
    ];
  }

  async next(): Promise<IteratorResult<ClusterView, void>> {
    while (!this.#ended && !this.#dispatcher.closed) {
      if (this.#signal?.aborted) {
        this.#end();
        throw new NoriError('CANCELLED', 'The watch was cancelled', {}, { cause: this.#signal.reason });
      }
      const { view, revision } = this.#dispatcher.map;
      if (view !== undefined && revision > this.#revision) {
        this.#revision = revision;
        return { done: false, value: view };
      }
      await new Promise<void>((resolve) => {
        const before = this.#wake;
        this.#wake = () => {
          before?.();
          resolve();
        };
      });
      this.#wake = undefined;
    }
    this.#end();
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<ClusterView, void>> {
    this.#end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const forget of this.#forget) forget();
    this.#wake?.();
  }
}
