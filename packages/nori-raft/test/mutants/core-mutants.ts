// Bugs of the core, src/: a table, in the order of the items that MUTANTS.md lists in the end.
import type { Patch } from './build.js';
import { type Mutant, mutant } from './mutant.js';

const patch = (file: string, find: string, replace: string): Patch => ({ file: `src/${file}.ts`, find, replace });

/**
 * No bug: a leader that looks for the end of the common log less cleverly than ours, as others may. It sends what the follower has
 * already, while the follower's log goes on with entries that nobody else has.
 */
export const COARSE_PROBES = patch(
  'progress',
  'this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1);',
  'this.next = Math.max(Math.min(rejected, (matchHint >> 1) + 1), this.match + 1);',
);

/** Changes of the configuration, and who votes: items 1 to 5. */
const CONFIGURATION_MUTANTS: readonly Mutant[] = [
  mutant(
    'conf-change-before-own-entry',
    [1],
    'A new leader accepts a configuration change at once, whatever its log still holds.',
    patch('replica', 'this.pendingConfIndex = this.log.lastIndex + (this.options.etcd === undefined ? 1 : 0);', ''),
  ),
  mutant(
    'conf-changes-overlap',
    [1, 2],
    'A second configuration change is accepted while the first is not even committed.',
    patch('proposals', '} else if (r.pendingConfIndex > r.log.applied) {', '} else if (r.pendingConfIndex < 0) {'),
  ),
  mutant(
    'conf-change-after-commit',
    [2],
    'The next configuration change is accepted when the last is committed, before it is applied.',
    patch(
      'proposals',
      '} else if (r.pendingConfIndex > r.log.applied) {',
      '} else if (r.pendingConfIndex > r.log.committed) {',
    ),
  ),
  mutant(
    'campaign-with-unapplied-conf-change',
    [2],
    'A replica campaigns by a configuration that it knows to be out of date.',
    patch('candidate', 'if (r.log.hasUnappliedConfChange()) return;', ''),
  ),
  mutant(
    'conf-change-applied-by-leader-only',
    [2],
    'Followers learn of a new configuration from snapshots and restarts only.',
    patch(
      'replica',
      'if (index <= this.configIndex) return this.members.config;',
      "if (index <= this.configIndex || this.role !== 'leader') return this.members.config;",
    ),
  ),
  mutant(
    'joint-state-lost-by-restart',
    [3],
    'A restart in a joint configuration forgets the outgoing half.',
    patch(
      'membership',
      'return { config: { voters, votersOutgoing, learners, learnersNext, autoLeave }, progress };',
      'return { config: { voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false }, progress };',
    ),
  ),
  mutant(
    'auto-leave-lost-by-restart',
    [3],
    'A restart in a joint configuration forgets that it is to be left.',
    patch(
      'membership',
      'return { config: { voters, votersOutgoing, learners, learnersNext, autoLeave }, progress };',
      'return { config: { voters, votersOutgoing, learners, learnersNext, autoLeave: false }, progress };',
    ),
  ),
  mutant(
    'auto-leave-by-first-leader-only',
    [3],
    'A leader that finds itself in a joint configuration does not leave it.',
    patch(
      'replica',
      '!this.members.config.autoLeave || this.log.applied < this.pendingConfIndex) return;',
      "!this.members.config.autoLeave || this.log.term(this.log.applied) !== this.term || this.log.entriesFrom(this.log.applied, 1)?.[0]?.type !== 'conf-change') return;",
    ),
  ),
  mutant(
    'auto-leave-not-after-transfer',
    [3],
    'A transfer that stood in the way of leaving a joint configuration is given up, and nothing tries again.',
    patch('replica', 'if (this.options.etcd === undefined) this.#autoLeave();', ''),
  ),
  mutant(
    'auto-leave-twice',
    [3],
    'The leader proposes to leave a joint configuration again with every entry that is applied.',
    patch('replica', 'this.pendingConfIndex = this.log.lastIndex + 1;\n    this.appendPayloads', 'this.appendPayloads'),
  ),
  mutant(
    'learner-refuses-snapshot',
    [4],
    'A snapshot that names the receiver as learner is ignored.',
    patch(
      'follower',
      'if (r.options.etcd !== undefined && !isMember(config, r.id)) return false;',
      'if (config.learners.includes(r.id)) return false;',
    ),
  ),
  mutant(
    'snapshot-that-changes-the-role-refused',
    [4],
    'A learner ignores a snapshot by which it has become a voter.',
    patch(
      'follower',
      'if (r.options.etcd !== undefined && !isMember(config, r.id)) return false;',
      'if (r.progressOf(r.id)?.learner === true && config.voters.includes(r.id)) return false;',
    ),
  ),
  mutant(
    'snapshot-from-before-it-was-added-refused',
    [4],
    'A new replica ignores a snapshot from before it was added, so that it never gets the entries that add it.',
    patch(
      'follower',
      'if (r.options.etcd !== undefined && !isMember(config, r.id)) return false;',
      'if (!isMember(config, r.id)) return false;',
    ),
  ),
  mutant(
    'snapshot-without-configuration',
    [4],
    'A snapshot restores the log but not the configuration.',
    patch('raft-core', 'if (r.options.etcd === undefined) r.restoreConfig(snapshot);', ''),
  ),
  mutant(
    'learner-does-not-vote',
    [5],
    'A replica that does not know of its promotion refuses to vote.',
    patch(
      'replica',
      'if (canVote && !this.#wouldBreakPromise(m) && this.log.isUpToDate(m.index, m.logTerm)) {',
      'if (canVote && this.progressOf(this.id)?.learner !== true && !this.#wouldBreakPromise(m) && this.log.isUpToDate(m.index, m.logTerm)) {',
    ),
  ),
];

/** Reads and leases: items 6 to 9. */
const READ_MUTANTS: readonly Mutant[] = [
  mutant(
    'read-index-before-own-entry',
    [6],
    'A new leader answers reads before it knows what is committed.',
    patch(
      'leader',
      '(r.newReads.length > 0 || r.newRemoteReads.length > 0) && r.hasCommittedInTerm;',
      '(r.newReads.length > 0 || r.newRemoteReads.length > 0);',
    ),
  ),
  mutant(
    'lease-read-before-own-entry',
    [6, 8],
    'A new leader has a lease before it knows what is committed.',
    patch('raft-core', ' || !r.hasCommittedInTerm) return 0;', ') return 0;'),
  ),
  mutant(
    'read-index-without-quorum',
    [6, 7],
    'A leader answers reads without asking whether it still leads.',
    patch('leader', "if (r.options.etcd?.readOnly === 'lease-based') {", 'if (r.rounds.last >= 0) {'),
  ),
  mutant(
    'read-joins-a-round-under-way',
    [7],
    'A read counts acknowledgements of a heartbeat that was sent before it was asked for.',
    patch('leader', 'round: r.rounds.last + 1, index', 'round: Math.max(1, r.rounds.last), index'),
  ),
  mutant(
    'read-answers-not-told-apart',
    [7],
    'A follower takes any answer for the answer to the read that it asked first.',
    patch(
      'follower',
      'const tokens = r.forwardedReads.get(m.context);',
      'const [context = 0] = r.forwardedReads.keys();\n  const tokens = r.forwardedReads.get(context);',
    ),
    patch('follower', 'r.forwardedReads.delete(m.context);', 'r.forwardedReads.delete(context);'),
  ),
  mutant(
    'round-of-an-earlier-term',
    [7],
    'A delayed heartbeat answer of an earlier term confirms the round of the same number in this one.',
    patch(
      'replica',
      '} else if (m.term < term && m.term !== 0) {',
      "} else if (m.term < term && m.term !== 0 && m.type !== 'heartbeat-response') {",
    ),
  ),
  mutant(
    'lease-ignores-clock-drift',
    [8],
    'The lease is as long as the promise of the followers, by a clock that may be slower than theirs.',
    patch('vote-guard', 'lease.electionTimeoutMinMs * (1 - lease.maxClockDrift);', 'lease.electionTimeoutMinMs;'),
  ),
  mutant(
    'lease-from-the-answer',
    [8],
    'The lease runs from when the acknowledgements came, not from when their round began.',
    patch('raft-core', 'return r.rounds.confirmedStartMs + leaseMs;', 'return r.nowMs + leaseMs;'),
  ),
  mutant(
    'lease-from-the-last-round',
    [8],
    'The lease runs from the last heartbeat round, acknowledged or not.',
    patch(
      'heartbeat-rounds',
      'this.confirmedStartMs = starts[known - 1]!;',
      'this.confirmedStartMs = starts[starts.length - 1]!;',
    ),
  ),
  mutant(
    'votes-despite-a-lease',
    [8],
    'A replica votes although it acknowledged a leader just now.',
    patch('vote-guard', 'return !consented && nowMs - this.#heardAtMs < this.#minMs;', 'return false;'),
    patch(
      'replica',
      'return this.options.checkQuorum && this.leader !== 0 && this.electionElapsed',
      'return this.leader < 0 && this.electionElapsed',
    ),
  ),
  mutant(
    'votes-by-ticks-alone',
    [8],
    'What was promised to a leader is forgotten with the election timeout that is counted in ticks, and by a change of role.',
    patch('vote-guard', 'return !consented && nowMs - this.#heardAtMs < this.#minMs;', 'return false;'),
  ),
  mutant(
    'heartbeat-answered-before-durable',
    [8, 16],
    'A heartbeat is answered before the term is stored, so that a restarted replica forgets that it has heard from a leader.',
    patch(
      'follower',
      'if (r.durableTerm === r.term || r.options.etcd !== undefined) r.sendHeartbeat(answer);',
      'if (r.term >= 0) r.sendHeartbeat(answer);',
    ),
  ),
  mutant(
    'votes-after-a-restart',
    [8],
    'A restarted replica votes at once, although it may have acknowledged a leader just before.',
    patch('vote-guard', 'if (nowMs < this.#closedUntilMs) return true;', ''),
  ),
  mutant(
    'lease-during-transfer',
    [9],
    'The lease goes on while leadership is handed over.',
    patch(
      'raft-core',
      ' || r.transferee !== 0 || !r.hasCommittedInTerm) return 0;',
      ' || !r.hasCommittedInTerm) return 0;',
    ),
  ),
  mutant(
    'lease-back-after-transfer-given-up',
    [9],
    'The lease is back as soon as a transfer is given up, while the message that starts the election is on the way.',
    patch('replica', 'this.transfersGivenUp++;\n    this.roundsWithoutLease = this.rounds.last;', ''),
  ),
];

/** Elections that do not come to an end, or need not be: items 10 and 11. */
const ELECTION_MUTANTS: readonly Mutant[] = [
  mutant(
    'refused-vote-tells-no-commit',
    [2, 10],
    'A refused candidate is not told what is committed, which it may have to apply before anyone can be elected.',
    patch(
      'replica',
      'if (this.options.etcd === undefined) {\n      answer.index',
      'if (this.term < 0) {\n      answer.index',
    ),
  ),
  mutant(
    'pre-vote-of-an-old-term-unanswered',
    [10],
    'A pre-candidate of an old term is not told of the new one.',
    patch(
      'replica',
      "} else if (m.type === 'pre-vote') {\n      // A candidate",
      '} else if (m.term < 0) {\n      // A candidate',
    ),
  ),
  mutant(
    'stale-leader-not-told',
    [10],
    'A replica with a higher term than its leader ignores it without a word.',
    patch(
      'replica',
      "if ((m.type === 'append' || m.type === 'heartbeat') && (this.options.checkQuorum || this.options.preVote)) {",
      'if (m.term < 0) {',
    ),
  ),
  mutant(
    'no-pre-vote',
    [11],
    'A replica that hears of no leader begins a new term without asking.',
    patch('candidate', 'if (r.options.preVote && transfer === 0)', 'if (r.term < 0)'),
    patch(
      'replica',
      'return this.options.checkQuorum && this.leader !== 0 && this.electionElapsed',
      'return this.leader < 0 && this.electionElapsed',
    ),
  ),
  mutant(
    'pre-votes-despite-a-leader',
    [11],
    'A replica that hears from its leader would vote for another all the same.',
    patch('replica', "if (this.#mustRefuse(m)) return 'leader-alive';", ''),
    patch(
      'replica',
      'if (canVote && !this.#wouldBreakPromise(m) && ',
      'if (canVote && (true || !this.#wouldBreakPromise(m)) && ',
    ),
  ),
  mutant(
    'leader-without-quorum-stays',
    [11],
    'A leader that hears from no quorum goes on to lead.',
    patch('leader', "if (result !== 'won') r.becomeFollower(r.term, 0);", ''),
  ),
];

/** Logs that differ: items 12 and 13. */
const LOG_MUTANTS: readonly Mutant[] = [
  mutant(
    'append-commits-what-it-does-not-hold',
    [12],
    'A follower commits all that the leader has committed, up to the end of its own log.',
    patch(
      'raft-log',
      'this.commitTo(Math.min(commit, index + entries.length));',
      'this.commitTo(Math.min(commit, this.#last));',
    ),
    COARSE_PROBES,
  ),
  mutant(
    'heartbeat-commits-what-is-not-known-to-match',
    [12],
    "Heartbeats carry the leader's commit index, whatever the follower holds.",
    patch('leader', 'm.commit = Math.min(pr.match, r.log.committed);', 'm.commit = r.log.committed;'),
    patch(
      'check-message',
      "return m.term >= r.term && m.commit > r.log.lastIndex ? 'far-future' : undefined;",
      'return undefined;',
    ),
    patch('follower', 'r.log.commitTo(m.commit);', 'r.log.commitTo(Math.min(m.commit, r.log.lastIndex));'),
  ),
  mutant(
    'acknowledges-all-of-its-log',
    [12, 13],
    'A follower acknowledges its whole log, not only what the append reached to.',
    patch('follower', 'answer.index = m.index + m.entries.length;', 'answer.index = log.lastIndex;'),
    COARSE_PROBES,
  ),
  mutant(
    'append-truncates',
    [13],
    'A delayed append cuts off what came after it.',
    patch(
      'raft-log',
      'if (this.matches(entry.index, entry.term)) continue;',
      'if (this.matches(entry.index, entry.term) && entry.index <= this.committed) continue;',
    ),
  ),
  mutant(
    'append-skips-the-log-check',
    [13],
    'A follower takes entries whatever stands before them.',
    patch('raft-log', 'if (!this.matches(index, logTerm)) return false;', 'if (index > this.#last) return false;'),
  ),
  mutant(
    'conflict-not-replaced',
    [13],
    'A follower keeps its own entry where the leader has another one of the same index.',
    patch(
      'raft-log',
      'if (this.matches(entry.index, entry.term)) continue;',
      'if (entry.index <= this.#last) continue;',
    ),
  ),
];

/** Quorums, votes and what a vote looks at: items 14 to 16. */
const QUORUM_MUTANTS: readonly Mutant[] = [
  mutant(
    'half-is-a-majority',
    [14],
    'Two of four are enough to commit.',
    patch('quorum', 'return scratch[count >> 1]!;', 'return scratch[(count - 1) >> 1]!;'),
  ),
  mutant(
    'half-elects',
    [14],
    'Two of four are enough to elect.',
    patch('quorum', 'const quorum = (voters.length >> 1) + 1;', 'const quorum = (voters.length + 1) >> 1;'),
  ),
  mutant(
    'joint-commit-by-new-half',
    [14, 3],
    'In a joint configuration the new half alone commits.',
    patch(
      'quorum',
      'if (votersOutgoing.length === 0) return incoming;',
      'if (votersOutgoing.length >= 0) return incoming;',
    ),
  ),
  mutant(
    'joint-vote-by-new-half',
    [14, 3],
    'In a joint configuration the new half alone elects.',
    patch('quorum', 'if (incoming === outgoing) return incoming;', 'if (outgoing !== undefined) return incoming;'),
  ),
  mutant(
    'joint-vote-by-old-half',
    [14, 3],
    'In a joint configuration the old half alone elects.',
    patch('quorum', 'if (incoming === outgoing) return incoming;', 'if (votersOutgoing.length > 0) return outgoing;'),
  ),
  mutant(
    'longer-log-wins',
    [15],
    'A longer log wins an election, whatever the term of its last entry.',
    patch(
      'raft-log',
      'return lastTerm > ours || (lastTerm === ours && lastIndex >= this.#last);',
      'return lastIndex > this.#last || (lastIndex === this.#last && lastTerm >= ours);',
    ),
  ),
  mutant(
    'term-and-index-both',
    [15, 10],
    "A candidate is refused unless both term and index of its last entry are at least the voter's.",
    patch(
      'raft-log',
      'return lastTerm > ours || (lastTerm === ours && lastIndex >= this.#last);',
      'return ours <= lastTerm && lastIndex >= this.#last;',
    ),
  ),
  mutant(
    'log-not-compared',
    [15],
    "A vote is given whatever the candidate's log.",
    patch(
      'raft-log',
      'return lastTerm > ours || (lastTerm === ours && lastIndex >= this.#last);',
      'return lastTerm >= 0 && lastIndex >= 0 && ours >= 0;',
    ),
  ),
  mutant(
    'vote-before-durable',
    [16],
    'A vote is sent before it is stored.',
    patch(
      'replica',
      'this.sendAfterAppend(blankMessage(answerType, this.id, m.from, m.term));',
      'this.send(blankMessage(answerType, this.id, m.from, m.term));',
    ),
  ),
  mutant(
    'own-vote-before-durable',
    [16],
    'A candidate counts its own vote before it is stored, together with the votes of others.',
    patch(
      'candidate',
      "r.sendAfterAppend(blankMessage(type === 'vote' ? 'vote-response' : 'pre-vote-response', id, id, term));",
      'r.votes?.set(id, true);\n      if (jointVote(voters, votersOutgoing, (voter) => r.votes?.get(voter)) === "won") r.sendAfterAppend(blankMessage(type === "vote" ? "vote-response" : "pre-vote-response", id, id, term));',
    ),
  ),
  mutant(
    'leads-before-own-vote-is-durable',
    [16],
    'A candidate leads when others have elected it, before its own vote and term are stored.',
    patch('candidate', "if (r.role === 'candidate' && !votes.has(r.id) && r.options.etcd === undefined) return;", ''),
  ),
  mutant(
    'vote-need-not-be-synced',
    [16],
    'A Ready with a new term or vote, but no entries, says that no sync is needed.',
    patch(
      'raft-core',
      '(hardState !== undefined && (hardState.term !== previous.term || hardState.vote !== previous.vote)) ||',
      '(hardState !== undefined && hardState.commit < previous.commit) ||',
    ),
  ),
];

/** What is durable, and snapshots: items 17 to 22. */
const DURABILITY_MUTANTS: readonly Mutant[] = [
  mutant(
    'append-done-of-replaced-entries',
    [17],
    'A write of entries that have been replaced since makes their successors durable.',
    patch('raft-core', 'if (token.index !== 0 && token.term === r.term)', 'if (token.index !== 0)'),
    patch('raft-log', 'if (this.#entries[count - 1]!.term !== term) return;', 'if (term < 0) return;'),
  ),
  mutant(
    'append-acknowledged-before-durable',
    [20],
    'A follower acknowledges entries before they are stored.',
    patch(
      'follower',
      'answer.logTerm = hint.term;\n  }\n  r.sendAfterAppend(answer);',
      'answer.logTerm = hint.term;\n  }\n  r.send(answer);',
    ),
  ),
  mutant(
    'leader-counts-itself-before-durable',
    [20],
    'A leader counts its own entries before they are stored, single or not.',
    patch(
      'replica',
      'this.sendAfterAppend(ack);',
      'this.progressOf(this.id)?.maybeUpdate(index);\n    this.maybeCommit();',
    ),
  ),
  mutant(
    'snapshot-acknowledged-before-durable',
    [20, 22],
    'A follower acknowledges a snapshot before it is installed.',
    patch(
      'follower',
      'answer.index = restore(r, m.snapshot!) ? r.log.lastIndex : r.log.committed;\n  r.sendAfterAppend(answer);',
      'answer.index = restore(r, m.snapshot!) ? r.log.lastIndex : r.log.committed;\n  r.send(answer);',
    ),
  ),
  mutant(
    'applies-what-is-not-durable',
    [20],
    'Committed entries are handed out to be applied before they are durable here.',
    patch(
      'raft-core',
      'this.#appliesUnstable = options.etcd !== undefined && !options.etcd.asyncStorageWrites;',
      'this.#appliesUnstable = options.etcd === undefined || !options.etcd.asyncStorageWrites;',
    ),
  ),
  mutant(
    'old-snapshot-restored',
    [22],
    'A delayed snapshot takes the log back to before what is committed.',
    patch('follower', 'if (snapshot.index <= r.log.committed) return false;', ''),
  ),
  mutant(
    'snapshot-drops-the-log-behind-it',
    [22],
    'A snapshot of what is in the log already throws away the entries behind it.',
    patch('follower', 'if (r.log.matches(snapshot.index, snapshot.term)) {', 'if (r.log.lastIndex < 0) {'),
  ),
  mutant(
    'snapshot-configuration-before-install',
    [22, 2],
    'The configuration of a snapshot takes effect before the snapshot is installed, while older entries are being applied.',
    patch('follower', 'if (r.options.etcd !== undefined) r.restoreConfig(snapshot);', 'r.restoreConfig(snapshot);'),
  ),
  mutant(
    'second-snapshot-forgotten',
    [22],
    'When the first of two snapshots is installed, both are taken to be.',
    patch(
      'raft-log',
      'if (this.#snapshot?.index !== index) return;',
      'if (this.#snapshot === undefined || index <= 0) return;',
    ),
  ),
];

/** Messages of other terms, quiet groups, and the rules of the paper: items 24 and 27, general. */
const TERM_MUTANTS: readonly Mutant[] = [
  mutant(
    'leader-keeps-its-role-in-a-new-term',
    [24],
    'A leader that sees a higher term takes it over and goes on to lead.',
    patch(
      'replica',
      '} else {\n        this.becomeFollower(m.term, 0);\n      }',
      "} else if (this.role === 'leader') {\n        this.term = m.term;\n        this.vote = 0;\n      } else {\n        this.becomeFollower(m.term, 0);\n      }",
    ),
  ),
  mutant(
    'stale-append-accepted',
    [24],
    'Entries of a leader of an earlier term are appended.',
    patch(
      'replica',
      '} else if (m.term < term && m.term !== 0) {',
      "} else if (m.term < term && m.term !== 0 && !(m.type === 'append' && this.role === 'follower')) {",
    ),
  ),
  mutant(
    'stale-acknowledgement-counts',
    [24, 13],
    'Acknowledgements of an earlier term count in this one.',
    patch(
      'replica',
      '} else if (m.term < term && m.term !== 0) {',
      "} else if (m.term < term && m.term !== 0 && m.type !== 'append-response') {",
    ),
  ),
  mutant(
    'stale-vote-counts',
    ['general'],
    'Votes of an earlier term count in this one.',
    patch(
      'replica',
      '} else if (m.term < term && m.term !== 0) {',
      "} else if (m.term < term && m.term !== 0 && m.type !== 'vote-response') {",
    ),
  ),
  mutant(
    'heartbeat-does-not-wake',
    [27],
    'A follower that lost what was sent to it gets it again only when something new is proposed.',
    patch('leader', "if ((isBehind && isStuck) || pr.state === 'probe') sendAppend(r, pr, true);", ''),
  ),
  mutant(
    'paused-for-good',
    [27],
    'A follower whose window is full stays paused if its acknowledgements were lost.',
    patch('leader', 'pr.paused = false;\n', ''),
  ),
  mutant(
    'commits-entries-of-earlier-terms',
    ['general'],
    'A leader commits an entry of an earlier term once a quorum holds it (figure 8 of the paper).',
    patch(
      'raft-log',
      'if (index <= this.committed || !this.matches(index, term)) return false;',
      'if (index <= this.committed || term < 0) return false;',
    ),
  ),
  mutant(
    'votes-twice',
    ['general'],
    'A replica votes for all who ask in one term.',
    patch('replica', '(this.vote === 0 && this.leader === 0) ||', '(this.vote >= 0 && this.leader === 0) ||'),
  ),
  mutant(
    'vote-forgotten-on-stepping-down',
    ['general'],
    'A candidate that steps down forgets that it voted for itself.',
    patch(
      'replica',
      'if (this.term !== term) {\n      this.term = term;\n      this.vote = 0;\n    }',
      'this.term = term;\n    this.vote = 0;',
    ),
  ),
  mutant(
    'learner-campaigns',
    ['general', 5],
    'A learner campaigns.',
    patch(
      'replica',
      'return own !== undefined && !own.learner && this.log.pendingSnapshot === undefined;',
      'return own !== undefined && this.log.pendingSnapshot === undefined;',
    ),
  ),
  mutant(
    'campaigns-during-install',
    [22, 2],
    'A replica campaigns while a snapshot is being installed, by the configuration from before.',
    patch(
      'replica',
      'return own !== undefined && !own.learner && this.log.pendingSnapshot === undefined;',
      'return own !== undefined && !own.learner;',
    ),
    patch('raft-log', 'if (entries === undefined) return true;', 'if (entries === undefined) return false;'),
  ),
  mutant(
    'transfer-before-caught-up',
    [9, 'general'],
    'Leadership is handed to a replica that lacks entries, and its log is not compared.',
    patch(
      'leader',
      'if (pr.match === r.log.lastIndex) sendTimeoutNow(r, to);\n  else',
      'sendTimeoutNow(r, to);\n  if (pr.match < r.log.lastIndex)',
    ),
    patch(
      'replica',
      'if (canVote && !this.#wouldBreakPromise(m) && this.log.isUpToDate(m.index, m.logTerm)) {',
      'if (canVote && !this.#wouldBreakPromise(m) && (m.transfer > 0 || this.log.isUpToDate(m.index, m.logTerm))) {',
    ),
  ),
  mutant(
    'probe-ignores-hint-and-repeats',
    ['general'],
    'A leader that is refused asks for the same position again.',
    patch(
      'progress',
      'this.next = Math.max(Math.min(rejected, matchHint + 1), this.match + 1);',
      'this.next = rejected + 1;',
    ),
  ),
];

export const CORE_MUTANTS: readonly Mutant[] = [
  ...CONFIGURATION_MUTANTS,
  ...READ_MUTANTS,
  ...ELECTION_MUTANTS,
  ...LOG_MUTANTS,
  ...QUORUM_MUTANTS,
  ...DURABILITY_MUTANTS,
  ...TERM_MUTANTS,
];
