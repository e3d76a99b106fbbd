import { MemoryStorage, MemoryTransport, RaftCore } from 'nori-raft';

/** One of three replicas of a number. */
class Counter {
  value = 0;
  readonly core: RaftCore;
  readonly #storage = new MemoryStorage({ voters: [1, 2, 3] });
  readonly #transport: MemoryTransport;

  constructor(id: number, transport: MemoryTransport) {
    this.#transport = transport;
    this.core = new RaftCore({ id, storage: this.#storage, random: Math.random });
    transport.listen(id, (message) => this.core.step(message, Date.now()));
  }

  add(n: number): void {
    this.core.propose(Uint8Array.of(n)); // throws RAFT_NOT_LEADER, with the leader's id, at the others
  }

  /** Does what the core asks for. */
  work(): void {
    while (this.core.hasReady()) {
      const ready = this.core.ready();
      for (const message of ready.messages) this.#transport.send(message);
      this.#storage.store(ready); // elsewhere: one write, one fdatasync
      for (const message of ready.afterAppend) this.#transport.send(message);
      this.core.appendDone(ready.token);
      for (const entry of ready.committed) {
        if (entry.type === 'conf-change') this.core.applyConfChange(entry);
        else if (entry.data.length > 0) this.value += entry.data[0]!;
        this.core.applyDone(entry.index);
      }
    }
  }
}

export function example(): number[] {
  const transport = new MemoryTransport();
  const counters = [1, 2, 3].map((id) => new Counter(id, transport));
  const settle = () => {
    do for (const counter of counters) counter.work();
    while (transport.deliver() > 0 || counters.some(({ core }) => core.hasReady()));
  };

  // Ticks come from a timer, say every 100 ms. After 10 to 20 of them without a leader there is an election.
  while (!counters.some(({ core }) => core.role === 'leader')) {
    for (const { core } of counters) core.tick(Date.now());
    settle();
  }
  const leader = counters.find(({ core }) => core.role === 'leader')!;
  leader.add(40);
  leader.add(2);
  settle();
  return counters.map(({ value }) => value);
}
