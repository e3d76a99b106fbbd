// One listener for each AbortSignal, however many operations share it: a signal given to a thousand calls would otherwise
// carry a thousand listeners, and Node would warn of a leak.

/** Tells entries when their signal is aborted. */
export class AbortRegistry<Entry> {
  readonly #onAbort: (entry: Entry, reason: unknown) => void;
  readonly #waiting = new Map<AbortSignal, { readonly entries: Set<Entry>; readonly listener: () => void }>();

  /** @param onAbort called once for each entry of a signal that is aborted; the entry is forgotten before */
  constructor(onAbort: (entry: Entry, reason: unknown) => void) {
    this.#onAbort = onAbort;
  }

  /** Watches a signal that is not aborted yet for an entry. */
  add(signal: AbortSignal, entry: Entry): void {
    const known = this.#waiting.get(signal);
    if (known !== undefined) {
      known.entries.add(entry);
      return;
    }
    const entries = new Set([entry]);
    const listener = () => {
      this.#waiting.delete(signal);
      for (const each of entries) this.#onAbort(each, signal.reason);
    };
    this.#waiting.set(signal, { entries, listener });
    signal.addEventListener('abort', listener, { once: true });
  }

  /** Forgets an entry that is done. */
  remove(signal: AbortSignal, entry: Entry): void {
    const known = this.#waiting.get(signal);
    if (known === undefined || !known.entries.delete(entry) || known.entries.size > 0) return;
    this.#waiting.delete(signal);
    signal.removeEventListener('abort', known.listener);
  }
}
