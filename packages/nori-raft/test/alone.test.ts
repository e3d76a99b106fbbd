// A leader that is the only replica proposes and commits without Readys: with the same outcome as with them, also while others come,
// go, and disturb.

import { type Entry, MemoryStorage, type Message, RaftCore, type Ready } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { blankMessage } from '../src/message.js';
import { bytes } from './helpers/cluster.js';

const lease = { electionTimeoutMinMs: 900, electionTimeoutMaxMs: 2000, maxClockDrift: 0.1, nowMs: 0 };
const decoder = new TextDecoder();

type Write = { readonly entries: readonly Entry[]; readonly ready?: Ready };

/** A replica whose writes take time. */
class Replica {
  readonly storage: MemoryStorage;
  readonly core: RaftCore;
  readonly writes: Write[] = [];
  readonly applied: string[] = [];
  readonly terms: number[] = [];
  alone = 0;

  constructor(
    readonly id: number,
    voters: readonly number[],
    readonly send: (message: Message) => void,
    rng: Rng,
  ) {
    this.storage = new MemoryStorage({ voters });
    this.core = new RaftCore({ id, storage: this.storage, random: () => rng.next(), lease });
  }

  propose(texts: readonly string[]): void {
    const data = texts.map(bytes);
    const entries = this.core.proposeAlone(data);
    if (entries === undefined) this.core.proposeMany(data);
    else {
      expect(entries.map((entry) => decoder.decode(entry.data))).toEqual(texts);
      expect(this.core.hasReady()).toBe(false);
      this.writes.push({ entries });
      this.alone++;
    }
  }

  work(): void {
    while (this.core.hasReady()) {
      const ready = this.core.ready();
      for (const message of ready.messages) this.send(message);
      this.writes.push({ entries: ready.entries, ready });
      this.#apply(ready.committed);
    }
  }

  /** The oldest write is durable. */
  finishWrite(): void {
    const write = this.writes.shift();
    if (write === undefined) return;
    const { ready, entries } = write;
    if (ready !== undefined) {
      this.storage.store(ready);
      for (const message of ready.afterAppend) this.send(message);
      this.core.appendDone(ready.token);
      return;
    }
    this.storage.append(entries);
    const { term, index } = entries[entries.length - 1]!;
    this.#apply(this.core.storedAlone(term, index));
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      // Nothing is applied that a crash could take back.
      expect(this.storage.term(entry.index)).toBe(entry.term);
      if (entry.type === 'conf-change') this.core.applyConfChange(entry);
      else if (entry.data.length > 0) this.applied.push(decoder.decode(entry.data));
      this.core.applyDone(entry.index);
    }
  }

  settle(): void {
    for (this.work(); this.writes.length > 0; this.work()) this.finishWrite();
  }
}

function leader(send: (message: Message) => void, rng: Rng): Replica {
  const replica = new Replica(1, [1], send, rng);
  replica.core.campaign(0);
  replica.settle();
  expect(replica.core.role).toBe('leader');
  return replica;
}

test('what it proposes is committed when it is durable, several writes one after the other', () => {
  const r = leader(() => {}, new Rng(1));
  r.propose(['a']);
  r.propose(['b', 'c']);
  expect([r.alone, r.applied]).toEqual([2, []]);
  r.finishWrite();
  expect(r.applied).toEqual(['a']);
  r.finishWrite();
  expect(r.applied).toEqual(['a', 'b', 'c']);
  expect(r.core.hasReady()).toBe(false);
  expect(r.core.status()).toMatchObject({ commit: 5, applied: 5, durableIndex: 5, uncommittedBytes: 0 });
});

test('it has nothing to do by itself, and holds its lease without a round of heartbeats', () => {
  const r = leader(() => {}, new Rng(1));
  expect(r.core.ticksUntilDue).toBeGreaterThan(1e9);
  r.core.skipTicks(1e6);
  expect(r.core.leaseExpiresAtMs).toBe(Number.POSITIVE_INFINITY);
  r.core.proposeConfChange({ transition: 'auto', steps: [{ type: 'add-voter', id: 2 }] });
  r.settle();
  // From here on there is somebody to be heard from: as soon as in any other group, and no sooner.
  expect(r.core.ticksUntilDue).toBeLessThanOrEqual(1);
  r.core.tick(100);
  expect(r.core.role).toBe('leader');
});

test('entries of a leader that was deposed while they were written are not committed by it', () => {
  const r = leader(() => {}, new Rng(1));
  r.propose(['a']);
  const m = blankMessage('append', 2, 1, r.core.term + 1);
  m.index = r.core.lastIndex - 1;
  m.logTerm = r.core.term;
  expect(r.core.step(m, 5)).toBeUndefined();
  expect(r.core.role).toBe('follower');
  r.settle();
  expect(r.applied).toEqual([]);
  expect(r.core.commitIndex).toBe(r.core.lastIndex - 1);
});

test('whatever comes between, all it has proposed is applied once and in order', () => {
  const seed = seedFromEnv();
  let alone = 0;
  for (let run = 0; run < 200; run++) {
    const rng = new Rng(seed + run);
    const replicas = new Map<number, Replica>();
    const queue: Message[] = [];
    const send = (message: Message) => queue.push(message);
    const first = leader(send, rng);
    replicas.set(1, first);
    const proposed: string[] = [];
    // Comes and goes; a replica that was removed does not come back, the next one is a new one.
    let other = 2;
    const settleOthers = () => {
      for (const replica of replicas.values()) if (replica !== first) replica.settle();
    };
    const deliver = () => {
      for (const message of queue.splice(0)) replicas.get(message.to)?.core.step(message, 0);
      settleOthers();
    };
    const changeConfig = () => {
      const { voters, learners } = first.core.config;
      const isThere = [...voters, ...learners].includes(other);
      const type = isThere ? 'remove' : rng.int(2) === 0 ? 'add-learner' : 'add-voter';
      try {
        if (!isThere) replicas.set(++other, new Replica(other, [], send, rng));
        first.core.proposeConfChange({ transition: 'auto', steps: [{ type, id: other }] });
      } catch (error) {
        expect(error).toMatchObject({ code: 'RAFT_CONF_CHANGE_PENDING' });
      }
    };
    for (let step = 0; step < 120; step++) {
      const kind = rng.int(12);
      if (kind < 4) {
        const texts = Array.from({ length: 1 + rng.int(3) }, (_, i) => `${step}.${i}`);
        first.propose(texts);
        proposed.push(...texts);
      } else if (kind < 7) first.finishWrite();
      else if (kind < 9) first.work();
      else if (kind < 11) deliver();
      else if (rng.int(3) === 0) changeConfig();
      expect(proposed.slice(0, first.applied.length), `seed ${seed + run}`).toEqual(first.applied);
    }
    for (let i = 0; i < 20; i++) {
      first.settle();
      deliver();
      first.core.tick(0);
    }
    expect(first.applied, `seed ${seed + run}`).toEqual(proposed);
    alone += first.alone;
  }
  expect(alone).toBeGreaterThan(1000);
});
