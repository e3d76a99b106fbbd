// A few replicas in one process whose messages a test can look at, hold back, lose or repeat.
import {
  type ConfState,
  type Entry,
  MemoryStorage,
  type Message,
  RaftCore,
  type RaftOptions,
  type Ready,
} from 'nori-raft';
import { Rng } from 'nori-testkit';

const decoder = new TextDecoder();
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Remembers the configuration as of the applied index, as a state machine does. */
class Storage extends MemoryStorage {
  config: ConfState | undefined;

  override initialState() {
    const { hardState, config } = super.initialState();
    return { hardState, config: this.config ?? config };
  }
}

/** One replica with its storage and what came out of it. */
export class Node {
  readonly storage: Storage;
  core: RaftCore;
  /** Data of applied entries, without the empty ones. */
  readonly applied: string[] = [];
  readonly reads: { readonly token: number; readonly index: number }[] = [];
  readonly readsFailed: number[] = [];
  /** Readys whose writes are not done; only filled while `slowDisk`. */
  readonly writes: Ready[] = [];
  slowDisk = false;
  slowApply = false;
  /** Handed out and not applied; only filled while `slowApply`. */
  readonly unapplied: Entry[] = [];

  constructor(
    readonly options: Omit<RaftOptions, 'storage'>,
    config: Partial<ConfState>,
  ) {
    this.storage = new Storage(config);
    this.core = new RaftCore({ ...options, storage: this.storage });
  }

  /** A new core on what is stored; the state machine keeps what it applied. */
  restart(options: Partial<RaftOptions> = {}): void {
    const { appliedIndex, config } = this.core;
    this.storage.config = config;
    this.core = new RaftCore({ ...this.options, appliedIndex, storage: this.storage, ...options });
  }

  /** Handles all Readys; messages go to `send`. */
  work(send: (message: Message) => void): void {
    while (this.core.hasReady()) {
      const ready = this.core.ready();
      for (const message of ready.messages) send(message);
      this.reads.push(...ready.readStates);
      this.readsFailed.push(...ready.readsFailed);
      this.unapplied.push(...ready.committed);
      this.writes.push(ready);
      if (!this.slowDisk) this.finishWrites(send);
      if (!this.slowApply) this.apply();
    }
  }

  finishWrites(send: (message: Message) => void): void {
    for (const ready of this.writes.splice(0)) {
      this.storage.store(ready);
      for (const message of ready.afterAppend) send(message);
      this.core.appendDone(ready.token);
    }
  }

  /** As a state machine does that was replaced by a snapshot. */
  forgetUnapplied(): void {
    this.unapplied.length = 0;
  }

  apply(): void {
    for (const entry of this.unapplied.splice(0)) {
      if (entry.type === 'conf-change') this.core.applyConfChange(entry);
      else if (entry.data.length > 0) this.applied.push(decoder.decode(entry.data));
      this.core.applyDone(entry.index);
    }
  }
}

export interface ClusterOptions {
  readonly voters?: readonly number[];
  readonly learners?: readonly number[];
  /** Replicas that exist without being in the configuration. */
  readonly spare?: readonly number[];
  readonly core?: Partial<RaftOptions>;
}

export class Cluster {
  readonly nodes = new Map<number, Node>();
  queue: Message[] = [];
  nowMs = 0;
  /** Messages for which this is false are lost. */
  passes: (message: Message) => boolean = () => true;
  readonly #rng = new Rng(1);

  constructor({ voters = [1, 2, 3], learners = [], spare = [], core = {} }: ClusterOptions = {}) {
    for (const id of [...voters, ...learners]) this.#add(id, { voters, learners }, core);
    for (const id of spare) this.#add(id, {}, core);
  }

  #add(id: number, config: Partial<ConfState>, core: Partial<RaftOptions>): void {
    this.nodes.set(id, new Node({ id, random: () => this.#rng.next(), ...core }, config));
  }

  node(id: number): Node {
    return this.nodes.get(id)!;
  }

  core(id: number): RaftCore {
    return this.node(id).core;
  }

  get leader(): Node | undefined {
    return [...this.nodes.values()].find(({ core }) => core.role === 'leader');
  }

  /** Lets all replicas do what their cores ask for; messages queue up. */
  work(): void {
    for (const node of this.nodes.values()) node.work((message) => this.queue.push(message));
  }

  /** Delivers queued messages that pass `filter`; the others stay queued. */
  deliver(filter: (message: Message) => boolean = () => true): void {
    const queue = this.queue;
    this.queue = [];
    for (const message of queue) {
      if (!filter(message)) this.queue.push(message);
      else if (this.passes(message)) this.nodes.get(message.to)?.core.step(message, this.nowMs);
    }
  }

  /** Until nothing happens any more. */
  settle(): void {
    for (let i = 0; i < 1000; i++) {
      this.work();
      if (this.queue.length === 0) return;
      this.deliver();
    }
    throw new Error('The cluster does not come to rest.');
  }

  /** Ticks the given replicas (all by default), `count` times, 100 ms each. */
  tick(count = 1, ids: readonly number[] = [...this.nodes.keys()], settle = true): void {
    for (let i = 0; i < count; i++) {
      this.nowMs += 100;
      for (const id of ids) this.core(id).tick(this.nowMs);
      if (settle) this.settle();
    }
  }

  /** Makes `id` the leader. */
  elect(id: number): Node {
    this.core(id).campaign(this.nowMs);
    this.settle();
    if (this.core(id).role !== 'leader') throw new Error(`Replica ${id} was not elected.`);
    return this.node(id);
  }

  /** Cuts `id` off from all others. */
  isolate(id: number): void {
    this.passes = ({ from, to }) => from !== id && to !== id;
  }

  heal(): void {
    this.passes = () => true;
  }
}
