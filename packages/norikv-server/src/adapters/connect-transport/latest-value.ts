// From callbacks to an async iterator that only ever owes the latest value: what a slow watcher missed, it need not know.

/** Yields the latest value set, each at most once, until `signal` is aborted, whose reason it then throws. */
export class LatestValue<T> {
  #value: { readonly it: T } | undefined;
  #wake: (() => void) | undefined;

  set(value: T): void {
    this.#value = { it: value };
    this.#wake?.();
  }

  async *values(signal: AbortSignal): AsyncGenerator<T> {
    const wake = () => this.#wake?.();
    signal.addEventListener('abort', wake);
    try {
      while (true) {
        const value = this.#value;
        if (value !== undefined) {
          this.#value = undefined;
          yield value.it;
        } else if (signal.aborted) throw signal.reason;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }
}
