// packages/nori-raft/test/mutants/run-mutant.ts
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as join2 } from "node:path";
import { Worker } from "node:worker_threads";

// packages/nori-raft/test/mutants/build.ts
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
var PACKAGE = fileURLToPath(new URL("../..", "file:///work/wt/checker/packages/nori-raft/test/mutants/table.ts"));
var WORKSPACE = fileURLToPath(new URL("../../../..", "file:///work/wt/checker/packages/nori-raft/test/mutants/table.ts"));
var patched = (text, patches) => patches.reduce((before, { file, find, replace }) => {
  const parts = before.split(find);
  if (parts.length === 2) return parts.join(replace);
  throw new Error(`${file} holds ${parts.length - 1} times, not once, what the mutant replaces:
${find}`);
}, text);
var patching = (patches, applied) => ({
  name: "mutant",
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^nori-[a-z]+$/ }, ({ path }) => ({ path: join(WORKSPACE, "packages", path, "src/index.ts") }));
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const own = patches.filter(({ file }) => join(PACKAGE, file) === path);
      if (own.length === 0) return void 0;
      applied.add(relative(PACKAGE, path));
      return { contents: patched(readFileSync(path, "utf8"), own), loader: "ts" };
    });
  }
});
var buildSimulator = async (outfile, patches = []) => {
  const applied = /* @__PURE__ */ new Set();
  await build({
    entryPoints: [join(PACKAGE, "test/mutants/seeds-worker.ts")],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: "inline",
    logLevel: "silent",
    plugins: [patching(patches, applied)]
  });
  for (const { file } of patches) {
    if (!applied.has(file)) throw new Error(`${file} is no part of the simulator: the mutant changes nothing.`);
  }
};

// packages/nori-raft/test/mutants/run-mutant.ts
var runSeeds = (bundle, { seedsMax, seedMsMax = 6e4 }) => new Promise((resolve, reject) => {
  const worker = new Worker(bundle, { workerData: { from: 1, to: seedsMax } });
  let seeds = 0;
  const end = (hunt2) => {
    clearTimeout(guard);
    resolve(hunt2);
    void worker.terminate();
  };
  const guard = setTimeout(() => end({ result: "hung", seeds: seeds + 1, violation: void 0 }), seedMsMax);
  worker.on("message", ({ seed, violation }) => {
    seeds = seed;
    guard.refresh();
    if (violation !== void 0) end({ result: "caught", seeds, violation });
    else if (seed === seedsMax) end({ result: "survived", seeds, violation });
  });
  worker.once("error", (error) => {
    clearTimeout(guard);
    reject(error);
  });
});
var hunt = async (patches, limits) => {
  const dir = mkdtempSync(join2(tmpdir(), "nori-raft-mutant-"));
  try {
    const bundle = join2(dir, "simulator.mjs");
    await buildSimulator(bundle, patches);
    return await runSeeds(bundle, limits);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

// packages/nori-raft/test/mutants/mutant.ts
var mutant = (id, items, what, ...patches) => ({
  id,
  items,
  what,
  patches
});

// packages/nori-raft/test/mutants/core-mutants.ts
var patch = (file, find, replace) => ({ file: `src/${file}.ts`, find, replace });
var CORE_MUTANTS = [
  mutant(
    "conf-change-before-own-entry",
    [1],
    "A new leader accepts a configuration change at once, whatever its log still holds.",
    patch("replica", "this.pendingConfIndex = this.log.lastIndex + (this.options.etcd === undefined ? 1 : 0);", "")
  ),
  mutant(
    "conf-changes-overlap",
    [1, 2],
    "A second configuration change is accepted while the first is not even committed.",
    patch("proposals", "} else if (r.pendingConfIndex > r.log.applied) {", "} else if (r.pendingConfIndex < 0) {")
  ),
  mutant(
    "conf-change-after-commit",
    [2],
    "The next configuration change is accepted when the last is committed, before it is applied.",
    patch(
      "proposals",
      "} else if (r.pendingConfIndex > r.log.applied) {",
      "} else if (r.pendingConfIndex > r.log.committed) {"
    )
  ),
  mutant(
    "campaign-with-unapplied-conf-change",
    [2],
    "A replica campaigns by a configuration that it knows to be out of date.",
    patch("candidate", "if (r.log.hasUnappliedConfChange()) return;", "")
  ),
  mutant(
    "conf-change-applied-by-leader-only",
    [2],
    "Followers learn of a new configuration from snapshots and restarts only.",
    patch(
      "replica",
      "if (index <= this.configIndex) return this.members.config;",
      "if (index <= this.configIndex || this.role !== 'leader') return this.members.config;"
    )
  ),
  mutant(
    "joint-state-lost-by-restart",
    [3],
    "A restart in a joint configuration forgets the outgoing half.",
    patch(
      "membership",
      "return { config: { voters, votersOutgoing, learners, learnersNext, autoLeave }, progress };",
      "return { config: { voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false }, progress };"
    )
  ),
  mutant(
    "auto-leave-lost-by-restart",
    [3],
    "A restart in a joint configuration forgets that it is to be left.",
    patch(
      "membership",
      "return { config: { voters, votersOutgoing, learners, learnersNext, autoLeave }, progress };",
      "return { config: { voters, votersOutgoing, learners, learnersNext, autoLeave: false }, progress };"
    )
  ),
  mutant(
    "auto-leave-by-first-leader-only",
    [3],
    "A leader that finds itself in a joint configuration does not leave it.",
    patch(
      "replica",
      "this.role !== 'leader' || !this.members.config.autoLeave || index < this.pendingConfIndex) return;",
      "this.role !== 'leader' || !this.members.config.autoLeave || this.log.term(index) !== this.term || this.log.entriesFrom(index, 1)?.[0]?.type !== 'conf-change') return;"
    )
  ),
  mutant(
    "auto-leave-twice",
    [3],
    "The leader proposes to leave a joint configuration again with every entry that is applied.",
    patch("replica", "this.pendingConfIndex = this.log.lastIndex + 1;\n    this.appendPayloads", "this.appendPayloads")
  ),
  mutant(
    "learner-refuses-snapshot",
    [4],
    "A snapshot that names the receiver as learner is ignored.",
    patch(
      "follower",
      "if (r.options.etcd !== undefined && !isMember(config, r.id)) return false;",
      "if (config.learners.includes(r.id)) return false;"
    )
  ),
  mutant(
    "snapshot-that-changes-the-role-refused",
    [4],
    "A learner ignores a snapshot by which it has become a voter.",
    patch(
      "follower",
      "if (r.options.etcd !== undefined && !isMember(config, r.id)) return false;",
      "if (r.progressOf(r.id)?.learner === true && config.voters.includes(r.id)) return false;"
    )
  ),
  mutant(
    "snapshot-from-before-it-was-added-refused",
    [4],
    "A new replica ignores a snapshot from before it was added, so that it never gets the entries that add it.",
    patch(
      "follower",
      "if (r.options.etcd !== undefined && !isMember(config, r.id)) return false;",
      "if (!isMember(config, r.id)) return false;"
    )
  ),
  mutant(
    "snapshot-without-configuration",
    [4],
    "A snapshot restores the log but not the configuration.",
    patch("raft-core", "if (r.options.etcd === undefined) r.restoreConfig(snapshot);", "")
  ),
  mutant(
    "learner-does-not-vote",
    [5],
    "A replica that does not know of its promotion refuses to vote.",
    patch(
      "replica",
      "if (canVote && this.log.isUpToDate(m.index, m.logTerm)) {",
      "if (canVote && this.progressOf(this.id)?.learner !== true && this.log.isUpToDate(m.index, m.logTerm)) {"
    )
  ),
  mutant(
    "read-index-before-own-entry",
    [6],
    "A new leader answers reads before it knows what is committed.",
    patch(
      "leader",
      "(r.newReads.length > 0 || r.newRemoteReads.length > 0) && r.hasCommittedInTerm;",
      "(r.newReads.length > 0 || r.newRemoteReads.length > 0);"
    )
  ),
  mutant(
    "lease-read-before-own-entry",
    [6, 8],
    "A new leader has a lease before it knows what is committed.",
    patch("raft-core", " || !r.hasCommittedInTerm) return 0;", ") return 0;")
  ),
  mutant(
    "read-index-without-quorum",
    [6, 7],
    "A leader answers reads without asking whether it still leads.",
    patch("leader", "if (r.options.etcd?.readOnly === 'lease-based') {", "if (r.rounds.last >= 0) {")
  ),
  mutant(
    "read-joins-a-round-under-way",
    [7],
    "A read counts acknowledgements of a heartbeat that was sent before it was asked for.",
    patch("leader", "round: r.rounds.last + 1, index", "round: Math.max(1, r.rounds.last), index")
  ),
  mutant(
    "read-tokens-repeat",
    [7],
    "After a restart reads get the numbers of earlier ones, whose answers may still be on the way.",
    patch("raft-core", "this.#nextReadToken = Math.floor(options.random() * 2 ** 52) + 1;", "this.#nextReadToken = 1;")
  ),
  mutant(
    "round-of-an-earlier-term",
    [7],
    "A delayed heartbeat answer of an earlier term confirms the round of the same number in this one.",
    patch(
      "replica",
      "} else if (m.term < this.term && m.term !== 0) {",
      "} else if (m.term < this.term && m.term !== 0 && m.type !== 'heartbeat-response') {"
    )
  ),
  mutant(
    "lease-ignores-clock-drift",
    [8],
    "The lease is as long as the promise of the followers, by a clock that may be slower than theirs.",
    patch("vote-guard", "lease.electionTimeoutMinMs * (1 - lease.maxClockDrift);", "lease.electionTimeoutMinMs;")
  ),
  mutant(
    "lease-from-the-answer",
    [8],
    "The lease runs from when the acknowledgements came, not from when their round began.",
    patch("raft-core", "return r.rounds.confirmedStartMs + leaseMs;", "return r.nowMs + leaseMs;")
  ),
  mutant(
    "lease-from-the-last-round",
    [8],
    "The lease runs from the last heartbeat round, acknowledged or not.",
    patch(
      "heartbeat-rounds",
      "const start = this.#startsMs[this.#startsMs.length - 1 - kept];",
      "const start = this.#startsMs[this.#startsMs.length - 1];"
    )
  ),
  mutant(
    "votes-despite-a-lease",
    [8],
    "A replica votes although it acknowledged a leader just now.",
    patch("vote-guard", "return !consented && nowMs - this.#heardAtMs < this.#minMs;", "return false;"),
    patch(
      "replica",
      "return this.options.checkQuorum && this.leader !== 0 && this.electionElapsed",
      "return this.leader < 0 && this.electionElapsed"
    )
  ),
  mutant(
    "votes-by-ticks-alone",
    [8],
    "What was promised to a leader is forgotten with the election timeout that is counted in ticks, and by a change of role.",
    patch("vote-guard", "return !consented && nowMs - this.#heardAtMs < this.#minMs;", "return false;")
  ),
  mutant(
    "heartbeat-answered-before-durable",
    [8, 16],
    "A heartbeat is answered before the term is stored, so that a restarted replica forgets that it has heard from a leader.",
    patch(
      "follower",
      "if (r.durableTerm === r.term || r.options.etcd !== undefined) r.send(answer);",
      "if (r.term >= 0) r.send(answer);"
    )
  ),
  mutant(
    "votes-after-a-restart",
    [8],
    "A restarted replica votes at once, although it may have acknowledged a leader just before.",
    patch("vote-guard", "if (nowMs < this.#closedUntilMs) return true;", "")
  ),
  mutant(
    "lease-during-transfer",
    [9],
    "The lease goes on while leadership is handed over.",
    patch(
      "raft-core",
      " || r.transferee !== 0 || !r.hasCommittedInTerm) return 0;",
      " || !r.hasCommittedInTerm) return 0;"
    )
  ),
  mutant(
    "lease-back-after-transfer-given-up",
    [9],
    "The lease is back as soon as a transfer is given up, while the message that starts the election is on the way.",
    patch("replica", "this.transfersGivenUp++;\n    this.roundsWithoutLease = this.rounds.last;", "")
  ),
  mutant(
    "pre-vote-of-an-old-term-unanswered",
    [10],
    "A pre-candidate of an old term is not told of the new one.",
    patch(
      "replica",
      "} else if (m.type === 'pre-vote') {\n      // A candidate",
      "} else if (m.term < 0) {\n      // A candidate"
    )
  ),
  mutant(
    "stale-leader-not-told",
    [10],
    "A replica with a higher term than its leader ignores it without a word.",
    patch(
      "replica",
      "if ((m.type === 'append' || m.type === 'heartbeat') && (this.options.checkQuorum || this.options.preVote)) {",
      "if (m.term < 0) {"
    )
  ),
  mutant(
    "no-pre-vote",
    [11],
    "A replica that hears of no leader begins a new term without asking.",
    patch("candidate", "if (r.options.preVote && transfer === 0)", "if (r.term < 0)"),
    patch(
      "replica",
      "return this.options.checkQuorum && this.leader !== 0 && this.electionElapsed",
      "return this.leader < 0 && this.electionElapsed"
    )
  ),
  mutant(
    "pre-votes-despite-a-leader",
    [11],
    "A replica that hears from its leader would vote for another all the same.",
    patch("replica", "if (this.#mustRefuse(m)) return 'leader-alive';", "")
  ),
  mutant(
    "leader-without-quorum-stays",
    [11],
    "A leader that hears from no quorum goes on to lead.",
    patch("leader", "if (result !== 'won') r.becomeFollower(r.term, 0);", "")
  ),
  mutant(
    "append-commits-what-it-does-not-hold",
    [12],
    "A follower commits all that the leader has committed, up to the end of its own log.",
    patch(
      "raft-log",
      "this.commitTo(Math.min(commit, index + entries.length));",
      "this.commitTo(Math.min(commit, this.#last));"
    )
  ),
  mutant(
    "heartbeat-commits-what-is-not-known-to-match",
    [12],
    "Heartbeats carry the leader's commit index, whatever the follower holds.",
    patch("leader", "m.commit = Math.min(pr.match, r.log.committed);", "m.commit = r.log.committed;"),
    patch(
      "check-message",
      "return m.term >= r.term && m.commit > r.log.lastIndex ? 'far-future' : undefined;",
      "return undefined;"
    ),
    patch("follower", "r.log.commitTo(m.commit);", "r.log.commitTo(Math.min(m.commit, r.log.lastIndex));")
  ),
  mutant(
    "acknowledges-all-of-its-log",
    [12, 13],
    "A follower acknowledges its whole log, not only what the append reached to.",
    patch("follower", "answer.index = m.index + m.entries.length;", "answer.index = log.lastIndex;")
  ),
  mutant(
    "append-truncates",
    [13],
    "A delayed append cuts off what came after it.",
    patch(
      "raft-log",
      "if (this.matches(entry.index, entry.term)) continue;",
      "if (this.matches(entry.index, entry.term) && entry.index <= this.committed) continue;"
    )
  ),
  mutant(
    "append-skips-the-log-check",
    [13],
    "A follower takes entries whatever stands before them.",
    patch("raft-log", "if (!this.matches(index, logTerm)) return false;", "if (index > this.#last) return false;")
  ),
  mutant(
    "conflict-not-replaced",
    [13],
    "A follower keeps its own entry where the leader has another one of the same index.",
    patch(
      "raft-log",
      "if (this.matches(entry.index, entry.term)) continue;",
      "if (entry.index <= this.#last) continue;"
    )
  ),
  mutant(
    "half-is-a-majority",
    [14],
    "Two of four are enough to commit.",
    patch("quorum", "return scratch[count >> 1]!;", "return scratch[(count - 1) >> 1]!;")
  ),
  mutant(
    "half-elects",
    [14],
    "Two of four are enough to elect.",
    patch("quorum", "const quorum = (voters.length >> 1) + 1;", "const quorum = (voters.length + 1) >> 1;")
  ),
  mutant(
    "joint-commit-by-new-half",
    [14, 3],
    "In a joint configuration the new half alone commits.",
    patch(
      "quorum",
      "if (votersOutgoing.length === 0) return incoming;",
      "if (votersOutgoing.length >= 0) return incoming;"
    )
  ),
  mutant(
    "joint-vote-by-new-half",
    [14, 3],
    "In a joint configuration the new half alone elects.",
    patch("quorum", "if (incoming === outgoing) return incoming;", "if (outgoing !== undefined) return incoming;")
  ),
  mutant(
    "joint-vote-by-old-half",
    [14, 3],
    "In a joint configuration the old half alone elects.",
    patch("quorum", "if (incoming === outgoing) return incoming;", "if (votersOutgoing.length > 0) return outgoing;")
  ),
  mutant(
    "longer-log-wins",
    [15],
    "A longer log wins an election, whatever the term of its last entry.",
    patch(
      "raft-log",
      "return lastTerm > ours || (lastTerm === ours && lastIndex >= this.#last);",
      "return lastIndex > this.#last || (lastIndex === this.#last && lastTerm >= ours);"
    )
  ),
  mutant(
    "term-and-index-both",
    [15, 10],
    "A candidate is refused unless both term and index of its last entry are at least the voter's.",
    patch(
      "raft-log",
      "return lastTerm > ours || (lastTerm === ours && lastIndex >= this.#last);",
      "return ours <= lastTerm && lastIndex >= this.#last;"
    )
  ),
  mutant(
    "log-not-compared",
    [15],
    "A vote is given whatever the candidate's log.",
    patch(
      "raft-log",
      "return lastTerm > ours || (lastTerm === ours && lastIndex >= this.#last);",
      "return lastTerm >= 0 && lastIndex >= 0 && ours >= 0;"
    )
  ),
  mutant(
    "vote-before-durable",
    [16],
    "A vote is sent before it is stored.",
    patch(
      "replica",
      "this.sendAfterAppend(blankMessage(answerType, this.id, m.from, m.term));",
      "this.send(blankMessage(answerType, this.id, m.from, m.term));"
    )
  ),
  mutant(
    "own-vote-before-durable",
    [16],
    "A candidate counts its own vote before it is stored, together with the votes of others.",
    patch(
      "candidate",
      "r.sendAfterAppend(blankMessage(type === 'vote' ? 'vote-response' : 'pre-vote-response', id, id, term));",
      'r.votes?.set(id, true);\n      if (jointVote(voters, votersOutgoing, (voter) => r.votes?.get(voter)) === "won") r.sendAfterAppend(blankMessage(type === "vote" ? "vote-response" : "pre-vote-response", id, id, term));'
    )
  ),
  mutant(
    "leads-before-own-vote-is-durable",
    [16],
    "A candidate leads when others have elected it, before its own vote and term are stored.",
    patch("candidate", "if (r.role === 'candidate' && !votes.has(r.id) && r.options.etcd === undefined) return;", "")
  ),
  mutant(
    "vote-need-not-be-synced",
    [16],
    "A Ready with a new term or vote, but no entries, says that no sync is needed.",
    patch(
      "raft-core",
      "(hardState !== undefined && (hardState.term !== previous.term || hardState.vote !== previous.vote)) ||",
      "(hardState !== undefined && hardState.commit < previous.commit) ||"
    )
  ),
  mutant(
    "append-done-of-an-earlier-term",
    [17],
    "A write that finished in an earlier term makes entries durable that have replaced those it wrote.",
    patch("raft-core", "if (token.index !== 0 && token.term === r.term)", "if (token.index !== 0)")
  ),
  mutant(
    "append-done-of-replaced-entries",
    [17],
    "A write of entries that have been replaced since makes their successors durable.",
    patch("raft-core", "if (token.index !== 0 && token.term === r.term)", "if (token.index !== 0)"),
    patch("raft-log", "if (this.#entries[count - 1]!.term !== term) return;", "if (term < 0) return;")
  ),
  mutant(
    "append-acknowledged-before-durable",
    [20],
    "A follower acknowledges entries before they are stored.",
    patch(
      "follower",
      "answer.logTerm = hint.term;\n  }\n  r.sendAfterAppend(answer);",
      "answer.logTerm = hint.term;\n  }\n  r.send(answer);"
    )
  ),
  mutant(
    "leader-counts-itself-before-durable",
    [20],
    "A leader counts its own entries before they are stored, single or not.",
    patch(
      "replica",
      "this.sendAfterAppend(ack);",
      "this.progressOf(this.id)?.maybeUpdate(index);\n    this.maybeCommit();"
    )
  ),
  mutant(
    "snapshot-acknowledged-before-durable",
    [20, 22],
    "A follower acknowledges a snapshot before it is installed.",
    patch(
      "follower",
      "answer.index = restore(r, m.snapshot!) ? r.log.lastIndex : r.log.committed;\n  r.sendAfterAppend(answer);",
      "answer.index = restore(r, m.snapshot!) ? r.log.lastIndex : r.log.committed;\n  r.send(answer);"
    )
  ),
  mutant(
    "applies-what-is-not-durable",
    [20],
    "Committed entries are handed out to be applied before they are durable here.",
    patch(
      "raft-core",
      "return etcd !== undefined && !etcd.asyncStorageWrites;",
      "return etcd === undefined || !etcd.asyncStorageWrites;"
    )
  ),
  mutant(
    "old-snapshot-restored",
    [22],
    "A delayed snapshot takes the log back to before what is committed.",
    patch("follower", "if (snapshot.index <= r.log.committed) return false;", "")
  ),
  mutant(
    "snapshot-drops-the-log-behind-it",
    [22],
    "A snapshot of what is in the log already throws away the entries behind it.",
    patch("follower", "if (r.log.matches(snapshot.index, snapshot.term)) {", "if (r.log.lastIndex < 0) {")
  ),
  mutant(
    "snapshot-configuration-before-install",
    [22, 2],
    "The configuration of a snapshot takes effect before the snapshot is installed, while older entries are being applied.",
    patch("follower", "if (r.options.etcd !== undefined) r.restoreConfig(snapshot);", "r.restoreConfig(snapshot);")
  ),
  mutant(
    "second-snapshot-forgotten",
    [22],
    "When the first of two snapshots is installed, both are taken to be.",
    patch(
      "raft-log",
      "if (this.#snapshot?.index !== index) return;",
      "if (this.#snapshot === undefined || index <= 0) return;"
    )
  ),
  mutant(
    "applies-during-install",
    [22],
    "Entries behind a snapshot are handed out before it is installed.",
    patch(
      "raft-log",
      "return !this.#applyingPaused && this.#snapshot === undefined && this.applying",
      "return !this.#applyingPaused && this.applying"
    ),
    patch(
      "raft-log",
      "this.committed = snapshot.index;",
      "this.committed = snapshot.index;\n    this.applying = snapshot.index;\n    this.applied = snapshot.index;"
    )
  ),
  mutant(
    "leader-keeps-its-role-in-a-new-term",
    [24],
    "A leader that sees a higher term takes it over and goes on to lead.",
    patch(
      "replica",
      "} else {\n        this.becomeFollower(m.term, 0);\n      }",
      "} else if (this.role === 'leader') {\n        this.term = m.term;\n        this.vote = 0;\n      } else {\n        this.becomeFollower(m.term, 0);\n      }"
    )
  ),
  mutant(
    "stale-append-accepted",
    [24],
    "Entries of a leader of an earlier term are appended.",
    patch(
      "replica",
      "} else if (m.term < this.term && m.term !== 0) {",
      "} else if (m.term < this.term && m.term !== 0 && !(m.type === 'append' && this.role === 'follower')) {"
    )
  ),
  mutant(
    "stale-acknowledgement-counts",
    [24, 13],
    "Acknowledgements of an earlier term count in this one.",
    patch(
      "replica",
      "} else if (m.term < this.term && m.term !== 0) {",
      "} else if (m.term < this.term && m.term !== 0 && m.type !== 'append-response') {"
    )
  ),
  mutant(
    "stale-vote-counts",
    ["general"],
    "Votes of an earlier term count in this one.",
    patch(
      "replica",
      "} else if (m.term < this.term && m.term !== 0) {",
      "} else if (m.term < this.term && m.term !== 0 && m.type !== 'vote-response') {"
    )
  ),
  mutant(
    "heartbeat-does-not-wake",
    [27],
    "A follower that lost what was sent to it gets it again only when something new is proposed.",
    patch("leader", "if (pr.match < r.log.lastIndex || pr.state === 'probe') sendAppend(r, pr, true);", "")
  ),
  mutant(
    "paused-for-good",
    [27],
    "A follower whose window is full stays paused if its acknowledgements were lost.",
    patch("leader", "pr.paused = false;\n", "")
  ),
  mutant(
    "commits-entries-of-earlier-terms",
    ["general"],
    "A leader commits an entry of an earlier term once a quorum holds it (figure 8 of the paper).",
    patch(
      "raft-log",
      "if (index <= this.committed || !this.matches(index, term)) return false;",
      "if (index <= this.committed || term < 0) return false;"
    )
  ),
  mutant(
    "votes-twice",
    ["general"],
    "A replica votes for all who ask in one term.",
    patch("replica", "(this.vote === 0 && this.leader === 0) ||", "(this.vote >= 0 && this.leader === 0) ||")
  ),
  mutant(
    "vote-forgotten-on-stepping-down",
    ["general"],
    "A candidate that steps down forgets that it voted for itself.",
    patch(
      "replica",
      "if (this.term !== term) {\n      this.term = term;\n      this.vote = 0;\n    }",
      "this.term = term;\n    this.vote = 0;"
    )
  ),
  mutant(
    "learner-counts",
    ["general", 5],
    "A learner campaigns.",
    patch(
      "replica",
      "return own !== undefined && !own.learner && this.log.pendingSnapshot === undefined;",
      "return own !== undefined && this.log.pendingSnapshot === undefined;"
    )
  ),
  mutant(
    "campaigns-during-install",
    [22],
    "A replica campaigns while a snapshot is being installed.",
    patch(
      "replica",
      "return own !== undefined && !own.learner && this.log.pendingSnapshot === undefined;",
      "return own !== undefined && !own.learner;"
    )
  ),
  mutant(
    "transfer-before-caught-up",
    [9, "general"],
    "Leadership is handed to a replica that lacks entries, and its log is not compared.",
    patch(
      "leader",
      "if (pr.match === r.log.lastIndex) sendTimeoutNow(r, to);\n  else",
      "sendTimeoutNow(r, to);\n  if (pr.match < r.log.lastIndex)"
    ),
    patch(
      "replica",
      "if (canVote && this.log.isUpToDate(m.index, m.logTerm)) {",
      "if (canVote && (m.transfer > 0 || this.log.isUpToDate(m.index, m.logTerm))) {"
    )
  ),
  mutant(
    "probe-ignores-hint-and-repeats",
    ["general"],
    "A leader that is refused asks for the same position again.",
    patch(
      "progress",
      "this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1);",
      "this.next = rejected + 1;"
    )
  )
];

// packages/nori-raft/test/mutants/driver-mutants.ts
var patch2 = (file, find, replace) => ({
  file: `test/sim/${file}.ts`,
  find,
  replace
});
var DRIVER_MUTANTS = [
  mutant(
    "entries-durable-before-their-term",
    [16],
    "Entries are stored in a record of their own, before the hard state they came with.",
    patch2(
      "log-storage",
      "const bytes = this.#encode(record);\n      parts.push(bytes);",
      `const isSplit = record.hardState !== undefined && record.entries.length > 0;
      if (isSplit) {
        const first = this.#encode({ ...record, hardState: undefined });
        parts.push(first);
        length += first.length;
      }
      const bytes = this.#encode(
        isSplit ? { hardState: record.hardState, entries: [], snapshot: undefined, base: undefined } : record,
      );
      parts.push(bytes);`
    )
  ),
  mutant(
    "votes-sent-before-sync",
    [16, 20],
    "The driver sends what must wait for the log together with the rest.",
    patch2(
      "driver",
      "for (let i = 0; i < messages.length; i++) this.#send(messages[i]!);",
      `for (let i = 0; i < messages.length; i++) this.#send(messages[i]!);
    for (let i = 0; i < ready.afterAppend.length; i++) this.#send(ready.afterAppend[i]!);`
    )
  ),
  mutant(
    "disk-error-ignored",
    [18],
    "An error of a write or a sync is taken for success.",
    patch2("log-storage", "if (result === 'error') {", "if (result === 'stale') {")
  ),
  mutant(
    "sync-error-retried",
    [18],
    "A failed sync is tried again, and its success believed.",
    patch2(
      "log-storage",
      "if (result === 'error') {",
      `if (result === 'error' && tag === this.#tag && this.#state === 'syncing') {
      this.#disk.sync(nowMs, FILE, tag);
      return;
    }
    if (result === 'error') {`
    )
  ),
  mutant(
    "write-not-synced",
    [20],
    "Entries count as durable once they are written.",
    patch2(
      "log-storage",
      `this.#advance(nowMs, 'syncing');
        this.#disk.sync(nowMs, FILE, this.#tag);
        return;`,
      `this.#durableTo = this.#end;
        this.#finishFlush(nowMs);
        return;`
    )
  ),
  mutant(
    "nothing-must-be-synced",
    [20],
    "The driver does not tell the log that a Ready must be synced.",
    patch2("driver", "mustSync: ready.mustSync,", "mustSync: false,")
  ),
  mutant(
    "rename-before-sync",
    [19, 20],
    "A rewritten log takes the place of the old one before it is synced.",
    patch2(
      "log-storage",
      `this.#advance(nowMs, 'rewrite-syncing');
        this.#disk.sync(nowMs, NEW_FILE, this.#tag);
        return;`,
      `this.#disk.rename(NEW_FILE, FILE);
        this.#advance(nowMs, 'renaming');
        this.#disk.syncDirectory(nowMs, this.#tag);
        return;`
    )
  ),
  mutant(
    "directory-not-synced",
    [19, 20],
    "A rewritten log is appended to before its new name is durable.",
    patch2(
      "log-storage",
      `this.#advance(nowMs, 'renaming');
        this.#disk.syncDirectory(nowMs, this.#tag);
        return;`,
      `this.#finishRewrite(nowMs);
        return;`
    )
  ),
  mutant(
    "torn-tail-taken-for-good",
    [19],
    "Records of the log are read without looking at their checksums.",
    patch2(
      "record-codec",
      "checksumOf(bytes, at + 8, end) !== checksum) return undefined;",
      "at > end) return undefined;"
    )
  ),
  mutant(
    "tail-not-stored-anew",
    [19, 20],
    "What was read at the start counts as durable, although a dead process may have written it and not synced it.",
    patch2(
      "log-storage",
      `open(nowMs: number): void {
    this.#rewrite(nowMs);`,
      `open(nowMs: number): void {
    if (this.#sequence > 0) {
      const bytes = this.#disk.read(FILE);
      this.#checksum = bytes === undefined ? 0 : lastChecksumOf(bytes);
      this.#end = bytes === undefined ? 0 : bytes.length;
      this.#finishRewrite(nowMs);
      return;
    }
    this.#rewrite(nowMs);`
    ),
    patch2(
      "log-storage",
      "function joined(",
      `function lastChecksumOf(bytes: Uint8Array): number {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let checksum = 0;
  for (let at = 0; at + 20 <= bytes.length; at += 20 + data.getUint32(at, true)) checksum = data.getUint32(at + 4, true);
  return checksum;
}

function joined(`
    )
  ),
  mutant(
    "applied-index-without-data",
    [21],
    "The applied index is stored, the data that it stands for are those of the time before.",
    patch2(
      "driver",
      "data: this.map.serialize() };",
      "data: this.log.snapshot !== undefined && this.log.snapshot.data.length > 0 ? this.log.snapshot.data : this.map.serialize() };"
    )
  ),
  mutant(
    "data-without-applied-index",
    [21, 25],
    "The data are stored, the applied index is that of the time before: entries are applied again after a restart.",
    patch2(
      "driver",
      "const snapshot: Snapshot = { index, term: this.#appliedTerm,",
      "const snapshot: Snapshot = { index: this.log.snapshotIndex + 1, term: this.log.term(this.log.snapshotIndex + 1) ?? this.#appliedTerm,"
    )
  ),
  mutant(
    "install-keeps-the-apply-queue",
    [22],
    "A snapshot is installed while older entries wait to be applied, and they are applied on top of it.",
    patch2("driver", "this.#applyQueue = [];\n    invariants.onInstalled", "invariants.onInstalled")
  ),
  mutant(
    "own-snapshot-replaces-a-newer-one",
    [22],
    "A snapshot that was being taken replaces the newer one that was installed meanwhile.",
    patch2(
      "log-image",
      "} else if (snapshot !== undefined && snapshot.index > this.snapshotIndex) {",
      "} else if (snapshot !== undefined) {"
    )
  ),
  mutant(
    "retry-applied-twice",
    [25],
    "A write that is tried again takes effect again.",
    patch2(
      "replicated-map",
      "if (session.outcomes[i] === sequence) return session.outcomes[i + 1]!;",
      "if (session.outcomes[i] === -1) return 0;"
    )
  ),
  mutant(
    "sessions-not-in-snapshots",
    [25],
    "Snapshots hold the data, not what clients have done.",
    patch2(
      "replicated-map",
      "const words: number[] = [this.#values.length, ...this.#values, this.#sessions.size];",
      "const words: number[] = [this.#values.length, ...this.#values, 0];"
    ),
    patch2(
      "replicated-map",
      "for (const [client, { floor, outcomes }] of this.#sessions) words.push(client, floor, outcomes.length, ...outcomes);",
      ""
    )
  ),
  mutant(
    "floor-not-kept",
    [25],
    "A write below its client's floor, whose outcome has been dropped, is applied again.",
    patch2("replicated-map", "if (sequence < session.floor) return REFUSED;", "")
  ),
  mutant(
    "lease-not-checked-after-the-read",
    [8],
    "The lease is looked at before a read, but not again before its answer.",
    patch2(
      "driver",
      "if (request.read === 'lease' && this.#leaseClock.nowMs(nowMs) >= core.leaseExpiresAtMs)",
      "if (request.read === 'lease' && nowMs < 0)"
    )
  ),
  mutant(
    "lease-by-monotonic-time-alone",
    [8],
    "The lease is checked with a clock that stands still while the machine is suspended.",
    patch2(
      "node-clock",
      "return this.#clock.monotonicMs(nowMs) + this.#gainedMs;",
      "return this.#clock.monotonicMs(nowMs) + 0 * this.#gainedMs;"
    )
  ),
  mutant(
    "read-before-applied",
    [6, 7],
    "A read is answered without waiting until its index is applied.",
    patch2(
      "driver",
      "if (this.appliedIndex >= read.index) this.#scheduleRead(read);",
      "if (this.appliedIndex >= 0) this.#scheduleRead(read);"
    )
  ),
  mutant(
    "stalled-disk-leads-on",
    [26],
    "A leader whose disk has stalled goes on to send heartbeats.",
    patch2("driver", "if (this.#sim.nowMs - busySinceMs > ELECTION_TICKS * TICK_MS) return;", "")
  )
];

// packages/nori-raft/test/mutants/mutants.ts
var MUTANTS = [...CORE_MUTANTS, ...DRIVER_MUTANTS];
export {
  MUTANTS,
  hunt
};
