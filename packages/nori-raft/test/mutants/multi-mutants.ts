// Bugs of MultiRaft, of its log and of what that is built on: put into the code itself, and found by the simulation of many groups.
import type { Patch } from './build.js';
import { type Mutant, mutant } from './mutant.js';

const patch = (file: string, find: string, replace: string): Patch => ({ file: `src/${file}.ts`, find, replace });
const multi = (file: string, find: string, replace: string): Patch => patch(`multi/${file}`, find, replace);
const storage = (file: string, find: string, replace: string): Patch => patch(`wal-storage/${file}`, find, replace);
const wal = (file: string, find: string, replace: string): Patch => ({
  file: `../nori-wal/src/${file}.ts`,
  find,
  replace,
});

const DISK_MUTANTS: readonly Mutant[] = [
  mutant(
    'wal-sync-retried',
    [18],
    'A failed sync is tried again, and its success believed.',
    wal(
      'segment-store',
      'await file.datasync();\n    } catch (error) {\n      this.#syncFailure = { error };\n      throw error;',
      'await file.datasync();\n    } catch {\n      await file.datasync();',
    ),
  ),
  mutant(
    'wal-sync-failure-ignored',
    [18],
    'A failed sync is taken for success.',
    wal('segment-store', 'this.#syncFailure = { error };\n      throw error;', 'void error;'),
  ),
  mutant(
    'wal-write-failure-ignored',
    [18],
    'A failed write is taken for success.',
    wal(
      'segment-store',
      'if (!isNoSpace(error)) throw error;\n      await this.#withdraw',
      'if (!isNoSpace(error)) {\n        segment.endOffset += bytes;\n        return;\n      }\n      await this.#withdraw',
    ),
  ),
  mutant(
    'storage-failure-ignored',
    [18],
    'The driver takes a failed write of the log for success.',
    multi(
      'log-writer',
      'if (this.#end === undefined) this.#host.failed(error);',
      'if (this.#end === undefined) {\n      for (const { done } of batch) done();\n      return;\n    }',
    ),
  ),
  mutant(
    'storage-failure-waited-out',
    [18],
    'The driver tries a failed write of the log again and again, as on a full disk.',
    multi('log-writer', "error instanceof RaftError && error.code === 'RAFT_NO_SPACE';", 'error instanceof RaftError;'),
  ),
  mutant(
    'node-lives-on-without-its-log',
    [18],
    'A log that fails while a group is created or removed is not taken for the end.',
    multi(
      'multi-raft',
      "if (error instanceof RaftError && error.code === 'RAFT_STORAGE_FAILED') this.#fail(error);",
      '',
    ),
  ),
  mutant(
    'wal-checksums-not-looked-at',
    [19],
    'Records of the log are read without looking at their checksums.',
    wal('record-scanner', "return this.#bad('its checksum does not match');", ''),
  ),
  mutant(
    'wal-tail-not-synced',
    [19, 20],
    'What a dead process wrote and did not sync counts as durable once it is read.',
    wal('recovery', 'await makeDurable(fs, last, last.endOffset === HEADER_BYTES ? 0 : syncedOffset);', ''),
  ),
  mutant(
    'wal-tail-not-written-anew',
    [18, 19],
    'What a dead process wrote is synced once more, but after a failed sync there is nothing left to be synced.',
    wal('recovery', 'await rewrite(file, from, segment.endOffset);', 'void from;'),
  ),
  mutant(
    'wal-segment-name-not-synced',
    [19, 20],
    'A new segment is written before its name is durable.',
    wal(
      'segment-store',
      'const { file, recycled } = await this.#create(header, cut !== undefined);\n    await this.#fs.syncDir(this.#dir);',
      'const { file, recycled } = await this.#create(header, cut !== undefined);',
    ),
  ),
  mutant(
    'wal-header-not-synced',
    [19],
    'A recycled file becomes a segment before its new header is durable.',
    wal('segment-store', 'await recycled.datasync();', ''),
  ),
  mutant(
    'wal-damage-taken-for-a-torn-tail',
    [19],
    'What is damaged in the last segment, and was synced, is dropped with all that follows it.',
    wal(
      'segment-scan',
      'if (isProven()) throw corruptRecord',
      'if (isProven() && rest.synced < 0) throw corruptRecord',
    ),
  ),
  mutant(
    'wal-older-segment-ends-where-it-is-damaged',
    [19],
    'A damaged record in the middle of the log is dropped with the rest of its segment.',
    wal(
      'segment-scan',
      'if (!(await this.#walk(endOffset, cutThere))) throw corruptRecord(path, this.#badOffset, this.#problem);',
      'await this.#walk(endOffset, cutThere);',
    ),
  ),
  mutant(
    'log-let-go-before-the-checkpoint',
    [19],
    'Old segments are dropped before the checkpoint that stands for them is durable.',
    storage(
      'checkpoints',
      'return queue.push(recordParts(head, lists, bodyBytes)',
      'if (this.#spans.length > 0) this.#letGo(needed);\n    return queue.push(recordParts(head, lists, bodyBytes)',
    ),
  ),
  mutant(
    'log-let-go-under-cold-groups',
    [19],
    'A checkpoint lets go of segments that hold entries of groups which are hardly written.',
    storage('checkpoints', 'const needed = this.#oldestNeeded() ?? span;', 'const needed = span;'),
  ),
  mutant(
    'no-space-not-taken-back',
    [20, 'general'],
    'A write that found no space stays in memory, as if it were stored.',
    storage('append-queue', 'for (let j = steps.length - 1; j >= 0; j--) steps[j]!.undo();', 'void steps;'),
  ),
];

const DURABILITY_MUTANTS: readonly Mutant[] = [
  mutant(
    'entries-written-before-their-term',
    [16],
    'Writes that go together lose the term and vote of the earlier one.',
    multi('merge-writes', 'later.hardState ?? earlier.hardState', 'later.hardState'),
  ),
  mutant(
    'merge-keeps-replaced-entries',
    [17],
    'Entries that are replaced before they are written are written all the same.',
    multi('merge-writes', 'kept < earlier.length ? earlier.slice(0, kept) : earlier', 'earlier'),
  ),
  mutant(
    'later-ready-overtakes',
    [17, 20],
    'What needs no write of its own does not wait for the writes before it.',
    multi(
      'group',
      'if (this.#unstored.length > 0) this.#unstored.push({ ready, written: false });\n    else this.#stored(ready);',
      'this.#stored(ready);',
    ),
  ),
  mutant(
    'one-write-stands-for-all',
    [17, 20],
    'When a write is durable, those that wait for the next one are taken to be, too.',
    multi(
      'group',
      'for (let next = this.#unstored[0]; next?.written === false; next = this.#unstored[0]) {\n        this.#unstored.shift();\n        this.#stored(next.ready);',
      'for (let next = this.#unstored[0]; next !== undefined; next = this.#unstored[0]) {\n        this.#unstored.shift();\n        if (next.ready === undefined) this.#storedAlone(next.term, next.index);\n        else this.#stored(next.ready);',
    ),
  ),
  mutant(
    'driver-acknowledges-before-the-write',
    [16, 20],
    'Votes and acknowledgements go out with the rest, before the write.',
    multi(
      'group',
      '#store(ready: Ready, turn: Turn): void {',
      '#store(ready: Ready, turn: Turn): void {\n    for (const message of ready.afterAppend) this.#send(message);',
    ),
  ),
  mutant(
    'driver-does-not-wait-for-the-disk',
    [20],
    'A write counts as durable when it has been handed to the log.',
    multi(
      'log-writer',
      'await this.#host.storage.write(mergeWrites(batch.map(writesOfLiving)));',
      'void this.#host.storage.write(mergeWrites(batch.map(writesOfLiving))).catch(() => undefined);',
    ),
  ),
  mutant(
    'log-durable-when-written',
    [20],
    'The log does not ask for a sync.',
    storage(
      'append-queue',
      'const options = { durability: this.#durability };',
      "const options = { durability: 'os' as 'sync' };",
    ),
  ),
  mutant(
    'wal-sync-not-awaited',
    [20],
    'A write is acknowledged while its sync is under way.',
    wal(
      'log-writer',
      'if (group.wantsSync) await this.#sync(group);',
      'if (group.wantsSync) void this.#sync(group).catch(() => undefined);',
    ),
  ),
];

const STATE_MUTANTS: readonly Mutant[] = [
  mutant(
    'mark-before-the-data',
    [21],
    'The state machine is told how far it is before it has applied what the mark stands for.',
    multi(
      'applier',
      'this.isBetweenMarks = true;\n    const results',
      'const { term, index } = slice[slice.length - 1]!;\n    this.#machine.applied({ term, index, config: this.#core.config });\n    this.isBetweenMarks = true;\n    const results',
    ),
  ),
  mutant(
    'snapshot-between-marks',
    [21, 22],
    'A snapshot is taken in the middle of an application: its data are ahead of its mark.',
    multi('group', '|| this.#applier.isBetweenMarks', ''),
  ),
  mutant(
    'restart-at-the-commit-index',
    [21],
    'After a restart everything that is committed counts as applied, whatever the state machine holds.',
    multi('group', 'appliedIndex: mark.index,', 'appliedIndex: Math.max(mark.index, log.hardState.commit),'),
  ),
  mutant(
    'log-dropped-before-the-state-is-durable',
    [21, 22],
    'The log is dropped up to what is applied, not up to what the state machine has made durable.',
    multi('group', 'Math.min(this.machine.durableIndex(), this.#core.appliedIndex)', 'this.#core.appliedIndex'),
  ),
  mutant(
    'outcomes-not-in-marks',
    [21, 25],
    'What clients have done is not stored with the marks: after a restart, retries apply again.',
    multi(
      'exactly-once',
      'return encodeOutcomes({ index, state: this.#table.settled });',
      'return encodeOutcomes({ index, state: EMPTY_OUTCOME_STATE });',
    ),
  ),
  mutant(
    'outcomes-not-installed',
    [22, 25],
    'A snapshot brings the state, and leaves what was known of clients.',
    multi(
      'exactly-once',
      'this.#table = new OutcomeTable(this.#limits, state);\n          this.#markIndex',
      'this.#markIndex',
    ),
  ),
  mutant(
    'install-amid-application',
    [22],
    'A snapshot is installed while the state machine still applies.',
    multi('group', 'await this.#applier.settled();', ''),
  ),
  mutant(
    'log-restarted-before-the-install',
    [22],
    'The log begins anew behind a snapshot before that is installed: a crash between leaves a gap.',
    multi(
      'group',
      'await staged.snapshot.install();\n      if (this.failure !== undefined) return;',
      'const { term: firstTerm, index: firstIndex } = snapshot;\n      const first = { term: firstTerm, index: firstIndex };\n      await this.#host.store(this, { groupId: this.groupId, hardState: ready.hardState, entries: ready.entries, snapshot: first });\n      await staged.snapshot.install();\n      if (this.failure !== undefined) return;',
    ),
  ),
  mutant(
    'mark-ahead-of-the-log-ignored',
    [22],
    'After a crash between the install of a snapshot and the restart of the log, the log is not restarted.',
    multi('multi-raft', 'if (mark.index > log.lastIndex() ||', 'if (mark.index < 0 && mark.index > log.lastIndex() ||'),
    multi('multi-raft', 'mark.index >= log.firstIndex() - 1 && log.term', 'mark.index < 0 && log.term'),
  ),
  mutant(
    'needless-snapshot-refused',
    [22],
    'A replica that has what a snapshot stands for refuses it, and is offered it for ever.',
    multi('snapshot-receiver', "this.#answer(node, chunk, 'complete', 0);", "this.#answer(node, chunk, 'refused', 0);"),
  ),
  mutant(
    'transfers-end-each-other',
    [22],
    'The end of a transfer that was replaced is taken for the end of the one that replaced it.',
    multi('snapshot-sender', 'this.#replace(group, to);', ''),
  ),
  mutant(
    'snapshot-chunks-not-in-order',
    [22],
    'A snapshot is put together from chunks as they come, whatever was lost between.',
    multi('snapshot-receiver', 'const known = stream.received - chunk.offset;', 'const known = 0;'),
  ),
];

const CALL_MUTANTS: readonly Mutant[] = [
  mutant(
    'driver-lease-by-monotonic-time-alone',
    [8],
    'The driver checks leases with a clock that stands still while the machine is suspended.',
    multi('lease-clock', 'const aheadMs = this.#clock.now() - this.#wallStartMs - monotonicMs;', 'const aheadMs = 0;'),
  ),
  mutant(
    'driver-lease-read-before-applied',
    [6, 8],
    'A read by lease is answered though not all that is committed is applied.',
    multi('group', 'if (!this.#rest.hasAppliedAll || !clock.holds(expiresAtMs))', 'if (!clock.holds(expiresAtMs))'),
  ),
  mutant(
    'driver-read-before-applied',
    [6, 7],
    'A read is answered when its round is confirmed, without waiting until its index is applied.',
    multi('reads', 'if (reader.index > index) return true;', ''),
  ),
  mutant(
    'proposal-answered-by-another-entry',
    [24, 25],
    'Whatever is applied at its index is taken for the proposal.',
    multi('proposals', 'next.index === index && next.term === term', 'next.index === index'),
  ),
];

const NODE_MUTANTS: readonly Mutant[] = [
  mutant(
    'node-without-its-disk-accepted',
    [23],
    'A node that has lost its disk is talked to as before.',
    patch(
      'tcp/transport-context',
      'return this.options.acceptIncarnation(peer, incarnation, this.#incarnations.get(peer));',
      'return this.options.acceptIncarnation(peer, incarnation, undefined) || incarnation !== peer;',
    ),
  ),
  mutant(
    'removed-replica-comes-back',
    [23],
    'A replica that was removed can be created again under its old id.',
    storage(
      'wal-storage',
      'if (tombstone !== undefined && replicaId <= tombstone) {',
      'if (tombstone !== undefined && replicaId < tombstone) {',
    ),
    multi(
      'multi-raft',
      '(stored.removed && stored.replicaId < replicaId)',
      '(stored.removed && stored.replicaId <= replicaId)',
    ),
  ),
  mutant(
    'tombstone-not-in-checkpoints',
    [23],
    'Checkpoints leave out what was removed.',
    storage(
      'checkpoints',
      'for (const [groupId, replicaId] of tombstones) all.push({ groupId, replicaId, group: undefined });',
      'void tombstones;',
    ),
  ),
  mutant(
    'tombstone-not-awaited',
    [23],
    'A replica counts as removed before its tombstone is durable.',
    multi('multi-raft', 'await this.#bury(groupId);', 'void this.#bury(groupId).catch(() => undefined);'),
    storage(
      'wal-storage',
      'this.#groups.delete(groupId);\n    this.#tombstones.set(groupId, group.replicaId);\n    await this.#push',
      'this.#groups.delete(groupId);\n    this.#tombstones.set(groupId, group.replicaId);\n    if (this.#groups.size >= 0) return;\n    await this.#push',
    ),
  ),
  mutant(
    'removed-group-still-written',
    [23, 'general'],
    'What a removed group had to store is handed to the log, which does not know it any more.',
    multi(
      'log-writer',
      'if (groups.every((group) => group?.failure === undefined)) return writes;',
      'if (groups.length >= 0) return writes;',
    ),
  ),
  mutant(
    'stored-groups-as-of-the-start',
    [23, 'general'],
    'A group that was found at the start and removed since cannot be created anew.',
    multi('multi-raft', 'this.#stored.set(groupId, { groupId, replicaId, removed: true });', ''),
  ),
  mutant(
    'compaction-overtakes-a-write',
    ['general'],
    'A write that waited while its group was compacted takes the commit index back, and is refused.',
    storage(
      'group-memory',
      'return hardState === undefined || hardState.commit >= index ?',
      'return hardState === undefined || index >= 0 ?',
    ),
  ),
  mutant(
    'stalled-disk-leads',
    [26],
    'A node whose disk stands still goes on to send heartbeats and votes.',
    multi('multi-raft', 'multi.#stalled === undefined && multi.#noSpace', 'multi.#noSpace'),
  ),
  mutant(
    'stalled-disk-not-noticed',
    [26],
    'The log does not tell that a write has been under way for long.',
    storage('append-queue', 'return this.#flight[0]?.startedMs;', 'return undefined;'),
  ),
  mutant(
    'stalled-disk-replicates',
    [26],
    'A leader whose disk stands still sends no heartbeats, but takes and sends entries, which keep it in office as well.',
    multi(
      'group',
      "const KEEPS_ALIVE: ReadonlySet<string> = new Set([\n  'append',",
      'const KEEPS_ALIVE: ReadonlySet<string> = new Set([',
    ),
    multi('multi-raft', 'return multi.#noSpace ?? multi.#stalled;', 'return multi.#noSpace;'),
  ),
  mutant(
    'full-disk-leads',
    [26, 'general'],
    'A node whose disk is full goes on to lead, though it cannot store anything.',
    multi('multi-raft', ' && multi.#noSpace === undefined;\n      },', ';\n      },'),
  ),
];

/** Bugs of replicas at rest. */
const REST_MUTANTS: readonly Mutant[] = [
  mutant(
    'rest-round-as-of-the-last',
    [8],
    'A round that was answered at rest counts from the last round on, not from when it was sent.',
    multi(
      'rest-table',
      'this.#startsMs.slice(-rounds);',
      'this.#startsMs.slice(-rounds).map(() => this.#startsMs[this.#startsMs.length - 1]!);',
    ),
  ),
  mutant(
    'rest-answers-to-any-round',
    [8],
    'A leader at rest takes an answer to an earlier round for one to the latest.',
    multi(
      'rest-table',
      'if (m.context > this.#followers[at + ANSWERED]!) this.#followers[at + ANSWERED] = m.context;',
      'this.#followers[at + ANSWERED] = this.#rows[row + ROUND]!;',
    ),
  ),
  mutant(
    'rest-heard-nothing',
    [8, 10],
    'A follower that is woken is not told of the heartbeats that it has answered at rest.',
    multi('resting-core', 'if (heard !== undefined) {', 'if (heard !== undefined && heard.tick < 0) {'),
  ),
  mutant(
    'rest-commit-not-compared',
    ['general'],
    'A follower at rest goes on resting when the leader tells of a later commit index.',
    multi('rest-table', ' || m.commit !== rows[row + COMMIT]) return false;', ') return false;'),
  ),
  mutant(
    'rest-before-all-hold-all',
    ['general'],
    'A leader rests though a follower lacks entries, which are not sent again.',
    patch('rest', "pr.state !== 'replicate' || pr.match !== last || pr.isPaused", "pr.state !== 'replicate'"),
  ),
  mutant(
    'rest-heard-with-a-stalled-disk',
    [26],
    'Replicas at rest send heartbeats and answers though the disk of their node stands still.',
    multi('rest-table', 'if (isHeard) this.#sendRound(slot);', 'this.#sendRound(slot);'),
    multi('rest-table', 'if (isHeard) {\n      const', 'if (rows.length > 0) {\n      const'),
  ),
];

export const MULTI_MUTANTS: readonly Mutant[] = [
  ...REST_MUTANTS,
  ...DISK_MUTANTS,
  ...DURABILITY_MUTANTS,
  ...STATE_MUTANTS,
  ...CALL_MUTANTS,
  ...NODE_MUTANTS,
];
