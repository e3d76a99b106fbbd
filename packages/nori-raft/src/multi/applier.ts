// Takes committed entries of one group into its state machine, in order, a slice at a time: other work gets its turn in
// between when it takes long. Configuration changes take effect in the core on the way.
import type { RaftCore } from '../raft-core.js';
import type { ConfState, Entry } from '../types.js';
import type { GroupHost } from './group-host.js';
import type { StateMachine } from './ports.js';

/** Entries applied at once, and how long a turn may take. */
const SLICE_ENTRIES = 64;
const TURN_MS = 4;

/** Who is told of what has been applied. */
export interface ApplyListener {
  /** Entries up to (term, index) are applied; `config`: the last of them was a configuration change, and this holds now. */
  applied(term: number, index: number, config: ConfState | undefined): void;
  result(entry: Entry, result: unknown): void;
  /** Nothing is left to apply for now. */
  idle(): void;
  failed(error: unknown): void;
}

export class Applier {
  readonly #host: GroupHost;
  readonly #core: RaftCore;
  readonly #machine: StateMachine;
  readonly #listener: ApplyListener;
  #committed: Entry[] = [];
  /** Of the slice that is being applied; it is not among `#committed` any more. */
  #sliceBytes = 0;
  #running = false;
  #ended = false;
  /** The state machine has begun to apply, and not been told yet how far it is then. */
  isBetweenMarks = false;
  #wake: (() => void) | undefined;

  constructor(host: GroupHost, core: RaftCore, machine: StateMachine, listener: ApplyListener) {
    this.#host = host;
    this.#core = core;
    this.#machine = machine;
    this.#listener = listener;
  }

  push(entries: readonly Entry[]): void {
    if (this.#committed.length === 0) this.#committed = entries.slice();
    else for (const entry of entries) this.#committed.push(entry);
    this.#host.unappliedBytes += bytesOf(entries);
  }

  run(): void {
    if (!this.#running && !this.#ended) this.#run();
  }

  /** Resolves when the state machine is at rest. */
  async settled(): Promise<void> {
    if (!this.#running) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Forgets what waits: a snapshot stands for it. */
  drop(): void {
    this.#host.unappliedBytes -= bytesOf(this.#committed);
    this.#committed = [];
  }

  end(): void {
    this.#ended = true;
    this.drop();
    this.#host.unappliedBytes -= this.#sliceBytes;
    this.#sliceBytes = 0;
    this.#wake?.();
  }

  /** Applies until there is nothing left, with pauses where something has to be waited for. */
  #run(): void {
    this.#running = true;
    try {
      const waits = this.#applyAll();
      if (waits !== undefined) {
        waits.then(
          () => (this.#ended ? this.#stop() : this.#run()),
          (error: unknown) => this.#fail(error),
        );
        return;
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#stop();
  }

  #fail(error: unknown): void {
    this.#listener.failed(error);
    this.#stop();
  }

  #stop(): void {
    this.#running = false;
    this.#wake?.();
    this.#wake = undefined;
    if (!this.#ended) this.#listener.idle();
  }

  /** @returns what has to be waited for: the state machine, or the turns of others */
  #applyAll(): Promise<void> | undefined {
    let startMs: number | undefined;
    while (this.#committed.length > 0) {
      const applying = this.#applySlice();
      if (applying !== undefined) return applying;
      if (this.#ended) return undefined;
      if (this.#committed.length === 0) return undefined;
      const nowMs = this.#host.clock.nowMs();
      startMs ??= nowMs;
      if (nowMs - startMs > TURN_MS) {
        return new Promise<void>((resolve) => this.#host.options.clock.nextTurn(resolve));
      }
    }
    return undefined;
  }

  /** Applies up to SLICE_ENTRIES, or one configuration change. */
  #applySlice(): Promise<void> | undefined {
    const slice = this.#takeSlice();
    const first = slice[0]!;
    if (first.type === 'conf-change') {
      this.#applied(slice, this.#core.applyConfChange(first));
      return undefined;
    }
    const normal = slice.every(hasData) ? slice : slice.filter(hasData);
    if (normal.length === 0) {
      this.#applied(slice, undefined);
      return undefined;
    }
    this.isBetweenMarks = true;
    const results = this.#machine.apply(normal);
    if (results instanceof Promise) return results.then((values) => this.#answer(slice, normal, values));
    this.#answer(slice, normal, results);
    return undefined;
  }

  #takeSlice(): readonly Entry[] {
    const { length } = this.#committed;
    let count = 1;
    if (this.#committed[0]!.type !== 'conf-change') {
      while (count < length && count < SLICE_ENTRIES && this.#committed[count]!.type !== 'conf-change') count++;
    }
    let slice = this.#committed;
    if (count < length) slice = this.#committed.splice(0, count);
    else this.#committed = [];
    this.#sliceBytes = bytesOf(slice);
    return slice;
  }

  #answer(slice: readonly Entry[], normal: readonly Entry[], results: readonly unknown[]): void {
    if (this.#ended) return;
    this.#applied(slice, undefined);
    for (let i = 0; i < normal.length; i++) this.#listener.result(normal[i]!, results[i]);
  }

  #applied(slice: readonly Entry[], config: ConfState | undefined): void {
    this.#host.unappliedBytes -= this.#sliceBytes;
    this.#sliceBytes = 0;
    const { term, index } = slice[slice.length - 1]!;
    this.#machine.applied({ term, index, config: config ?? this.#core.config });
    this.isBetweenMarks = false;
    this.#core.applyDone(index);
    this.#listener.applied(term, index, config);
  }
}

function hasData({ data }: Entry): boolean {
  return data.length > 0;
}

function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) bytes += entries[i]!.data.length;
  return bytes;
}
