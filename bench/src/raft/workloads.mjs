// What is measured of the core alone. Every workload runs in a process of its own.
import { Group } from './group.mjs';

const NS_PER_MS = 1e6;
/** Entries in a log before it is compacted. */
const LOG_ENTRIES_MAX = 16_384;
const LOG_ENTRIES_KEPT = 1024;

const nowNs = () => Number(process.hrtime.bigint());

/** Appends on the way to each follower, and how many of them are answered in a round. */
const WINDOW = 128;
const ANSWERED = 64;

const answerOf = (from, term, index) => ({
  type: 'append-response',
  from,
  to: 1,
  term,
  index,
  logTerm: 0,
  commit: 0,
  entries: [],
  reject: false,
  rejectHint: 0,
  snapshot: undefined,
  context: 0,
  transfer: 0,
});

/**
 * The cost of `step` for one append answer. Followers 2 and 3 of a leader of three have `WINDOW` appends of one entry on the way
 * and answer one after the other, in turn: so every second answer commits an entry, and is told on. Proposing and Readys are
 * not timed.
 */
const stepAnswers = ({ valueBytes, durationMs, warmupMs }) => {
  const group = new Group(3);
  group.elect();
  const { leader } = group;
  const { core } = leader;
  const { term } = core;
  const data = new Uint8Array(valueBytes);
  let answered = core.lastIndex;
  const propose = (count) => {
    for (let i = 0; i < count; i++) core.propose(data);
    leader.settle();
    leader.takeOutbox();
  };
  const round = () => {
    propose(ANSWERED);
    const answers = [];
    for (let i = 0; i < ANSWERED; i++) answers.push(answerOf(2, term, ++answered), answerOf(3, term, answered));
    const startNs = nowNs();
    for (let i = 0; i < answers.length; i++) core.step(answers[i], 0);
    const tookNs = nowNs() - startNs;
    if (core.commitIndex !== answered) throw new Error(`Committed up to ${core.commitIndex}, not ${answered}.`);
    leader.settle();
    leader.takeOutbox();
    if (core.lastIndex - leader.storage.firstIndex() > LOG_ENTRIES_MAX) leader.compact(LOG_ENTRIES_KEPT);
    return tookNs;
  };
  propose(WINDOW - ANSWERED);
  const run = (forMs) => {
    let steps = 0;
    let timeNs = 0;
    for (const endNs = nowNs() + forMs * NS_PER_MS; nowNs() < endNs; steps += 2 * ANSWERED) timeNs += round();
    return timeNs / steps / 1000;
  };
  run(warmupMs);
  return { micros: run(durationMs) };
};

/**
 * Entries per second from `proposeMany` of a batch until all three replicas have applied them. A batch is proposed in each turn, so
 * several are on the way.
 */
const commitBatches = ({ batch, valueBytes, durationMs, warmupMs }) => {
  const group = new Group(3);
  group.elect();
  const { members, leader } = group;
  const payloads = Array.from({ length: batch }, (_, i) => new Uint8Array(valueBytes).fill(i));
  const applied = () => Math.min(...members.map(({ appliedEntries }) => appliedEntries));
  const run = (forMs) => {
    const startNs = nowNs();
    const before = applied();
    for (const endNs = startNs + forMs * NS_PER_MS; nowNs() < endNs; ) {
      leader.core.proposeMany(payloads);
      group.turn();
      if (leader.core.lastIndex - leader.storage.firstIndex() < LOG_ENTRIES_MAX) continue;
      for (const member of members) member.compact(LOG_ENTRIES_KEPT);
    }
    group.settle();
    const seconds = (nowNs() - startNs) / 1e9;
    if (members.some(({ core }) => core.appliedIndex !== leader.core.lastIndex)) {
      throw new Error('Not all entries were applied everywhere.');
    }
    return (applied() - before) / seconds;
  };
  run(warmupMs);
  return { perSecond: run(durationMs) };
};

const collect = async () => {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/**
 * Memory of a replica at rest, its log in memory included: groups of three voters, elected, with entries applied everywhere and
 * compacted to the last few.
 */
const restingGroups = async ({ replicas, entries, kept, valueBytes }) => {
  const make = () => {
    const group = new Group(3);
    group.elect();
    for (let i = 0; i < entries; i++) {
      group.leader.core.propose(new Uint8Array(valueBytes));
      group.turn();
    }
    group.settle();
    for (const member of group.members) {
      if (member.core.appliedIndex !== group.leader.core.lastIndex) throw new Error('A replica is behind.');
      member.compact(kept);
    }
    return group.members.map(({ core, storage }) => ({ core, storage }));
  };
  // What is made once, and code that is compiled, is none of the groups'.
  for (let i = 0; i < 20; i++) make();
  const before = await collect();
  const groups = [];
  for (let i = 0; i < replicas / 3; i++) groups.push(make());
  const bytes = (await collect()) - before;
  return { kib: bytes / (3 * groups.length) / 1024 };
};

export const raftWorkloads = { stepAnswers, commitBatches, restingGroups };
