// A group of cores in one process that pass messages to each other in memory, each with a log in memory.
import { MemoryStorage, RaftCore } from 'nori-raft';

/** The longest an election may take, in ticks of all replicas; far more than it takes. */
const TICKS_MAX = 1000;

/** A replica and what drives it. What was sent waits in `outbox` until someone delivers it. */
class Member {
  outbox = [];
  appliedEntries = 0;

  constructor(id, voters, random) {
    this.storage = new MemoryStorage({ voters });
    this.core = new RaftCore({ id, storage: this.storage, random });
  }

  /** Does what the core asks for, until it asks for nothing. */
  settle() {
    const { core, storage } = this;
    while (core.hasReady()) {
      const ready = core.ready();
      for (const message of ready.messages) this.outbox.push(message);
      storage.store(ready);
      core.appendDone(ready.token);
      for (const message of ready.afterAppend) this.outbox.push(message);
      const { committed } = ready;
      if (committed.length === 0) continue;
      this.appliedEntries += committed.length;
      core.applyDone(committed[committed.length - 1].index);
    }
  }

  /** Takes what is to be sent. */
  takeOutbox() {
    const taken = this.outbox;
    this.outbox = [];
    return taken;
  }

  /** Drops the log up to `kept` entries before its end. */
  compact(kept) {
    const index = this.core.appliedIndex;
    this.storage.createSnapshot(index, this.core.config);
    if (index - kept >= this.storage.firstIndex()) this.storage.compact(index - kept);
  }
}

/** Replicas 1 to `size`, all of them voters. */
export class Group {
  constructor(size, random = Math.random) {
    const voters = Array.from({ length: size }, (_, i) => i + 1);
    this.members = voters.map((id) => new Member(id, voters, random));
  }

  /** Replica 1 leads afterwards. */
  elect() {
    const [first] = this.members;
    for (let tick = 0; first.core.role !== 'leader'; tick++) {
      if (tick === TICKS_MAX) throw new Error('No leader was elected.');
      first.core.campaign(0);
      this.settle();
    }
  }

  get leader() {
    return this.members[0];
  }

  /** One turn of each replica: what was sent in the last turn arrives, and it does what it has to. */
  turn() {
    const { members } = this;
    const sent = members.map((member) => member.takeOutbox());
    for (const messages of sent) for (const message of messages) members[message.to - 1].core.step(message, 0);
    for (const member of members) member.settle();
  }

  get isQuiet() {
    return this.members.every(({ core, outbox }) => outbox.length === 0 && !core.hasReady());
  }

  /** Turns until nobody has anything to do. */
  settle() {
    do this.turn();
    while (!this.isQuiet);
  }
}
