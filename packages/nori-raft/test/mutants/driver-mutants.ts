// Bugs of those who drive the core: the simulator's own driver, log and state machine stand for them.
import type { Patch } from './build.js';
import { type Mutant, mutant } from './mutant.js';

const patch = (file: string, find: string, replace: string): Patch => ({
  file: `test/sim/${file}.ts`,
  find,
  replace,
});

export const DRIVER_MUTANTS: readonly Mutant[] = [
  mutant(
    'entries-durable-before-their-term',
    [16],
    'Entries are stored in a record of their own, before the hard state they came with.',
    patch(
      'log-storage',
      'const bytes = this.#encode(record);\n      parts.push(bytes);',
      `const isSplit = record.hardState !== undefined && record.entries.length > 0;
      if (isSplit) {
        const first = this.#encode({ ...record, hardState: undefined });
        parts.push(first);
        length += first.length;
      }
      const bytes = this.#encode(
        isSplit ? { hardState: record.hardState, entries: [], snapshot: undefined, base: undefined } : record,
      );
      parts.push(bytes);`,
    ),
  ),
  mutant(
    'votes-sent-before-sync',
    [16, 20],
    'The driver sends what must wait for the log together with the rest.',
    patch(
      'driver',
      'for (let i = 0; i < messages.length; i++) this.#send(messages[i]!);',
      `for (let i = 0; i < messages.length; i++) this.#send(messages[i]!);
    for (let i = 0; i < ready.afterAppend.length; i++) this.#send(ready.afterAppend[i]!);`,
    ),
  ),
  mutant(
    'disk-error-ignored',
    [18],
    'An error of a write or a sync is taken for success.',
    patch('log-storage', "if (result === 'error') {", "if (result === 'stale') {"),
  ),
  mutant(
    'sync-error-retried',
    [18],
    'A failed sync is tried again, and its success believed.',
    patch(
      'log-storage',
      "if (result === 'error') {",
      `if (result === 'error' && tag === this.#tag && this.#state === 'syncing') {
      this.#disk.sync(nowMs, FILE, tag);
      return;
    }
    if (result === 'error') {`,
    ),
  ),
  mutant(
    'write-not-synced',
    [20],
    'Entries count as durable once they are written.',
    patch(
      'log-storage',
      `this.#advance(nowMs, 'syncing');
        this.#disk.sync(nowMs, FILE, this.#tag);
        return;`,
      `this.#durableTo = this.#end;
        this.#finishFlush(nowMs);
        return;`,
    ),
  ),
  mutant(
    'nothing-must-be-synced',
    [20],
    'The driver does not tell the log that a Ready must be synced.',
    patch('driver', 'mustSync: ready.mustSync,', 'mustSync: false,'),
  ),
  mutant(
    'rename-before-sync',
    [19, 20],
    'A rewritten log takes the place of the old one before it is synced.',
    patch(
      'log-storage',
      `this.#advance(nowMs, 'rewrite-syncing');
        this.#disk.sync(nowMs, NEW_FILE, this.#tag);
        return;`,
      `this.#disk.rename(NEW_FILE, FILE);
        this.#advance(nowMs, 'renaming');
        this.#disk.syncDirectory(nowMs, this.#tag);
        return;`,
    ),
  ),
  mutant(
    'directory-not-synced',
    [19, 20],
    'A rewritten log is appended to before its new name is durable.',
    patch(
      'log-storage',
      `this.#advance(nowMs, 'renaming');
        this.#disk.syncDirectory(nowMs, this.#tag);
        return;`,
      `this.#finishRewrite(nowMs);
        return;`,
    ),
  ),
  mutant(
    'torn-tail-taken-for-good',
    [19],
    'Records of the log are read without looking at their checksums.',
    patch(
      'record-codec',
      'checksumOf(bytes, at + 8, end) !== checksum) return undefined;',
      'at > end) return undefined;',
    ),
  ),
  mutant(
    'tail-not-stored-anew',
    [19, 20],
    'What was read at the start counts as durable, although a dead process may have written it and not synced it.',
    patch(
      'log-storage',
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
    this.#rewrite(nowMs);`,
    ),
    patch(
      'log-storage',
      'function joined(',
      `function lastChecksumOf(bytes: Uint8Array): number {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let checksum = 0;
  for (let at = 0; at + 20 <= bytes.length; at += 20 + data.getUint32(at, true)) checksum = data.getUint32(at + 4, true);
  return checksum;
}

function joined(`,
    ),
  ),
  mutant(
    'applied-index-without-data',
    [21],
    'The applied index is stored, the data that it stands for are those of the time before.',
    patch(
      'driver',
      'data: this.map.serialize() };',
      'data: this.log.snapshot !== undefined && this.log.snapshot.data.length > 0 ? this.log.snapshot.data : this.map.serialize() };',
    ),
  ),
  mutant(
    'data-without-applied-index',
    [21, 25],
    'The data are stored, the applied index is that of the time before: entries are applied again after a restart.',
    patch(
      'driver',
      'const snapshot: Snapshot = { index, term: this.#appliedTerm,',
      'const snapshot: Snapshot = { index: this.log.snapshotIndex + 1, term: this.log.term(this.log.snapshotIndex + 1) ?? this.#appliedTerm,',
    ),
  ),
  mutant(
    'install-keeps-the-apply-queue',
    [22],
    'A snapshot is installed while older entries wait to be applied, and they are applied on top of it.',
    patch('driver', 'this.#applyQueue = [];\n    invariants.onInstalled', 'invariants.onInstalled'),
  ),
  mutant(
    'own-snapshot-replaces-a-newer-one',
    [22],
    'A snapshot that was being taken replaces the newer one that was installed meanwhile.',
    patch(
      'log-image',
      '} else if (snapshot !== undefined && snapshot.index > this.snapshotIndex) {',
      '} else if (snapshot !== undefined) {',
    ),
    patch(
      'driver',
      'if (this.#snapshotPending || this.appliedIndex <= this.log.snapshotIndex) return;',
      'if (this.#snapshotPending) return;',
    ),
  ),
  mutant(
    'retry-applied-twice',
    [25],
    'A write that is tried again takes effect again.',
    patch(
      'replicated-map',
      'if (session.outcomes[i] === sequence) return session.outcomes[i + 1]!;',
      'if (session.outcomes[i] === -1) return 0;',
    ),
  ),
  mutant(
    'sessions-not-in-snapshots',
    [25],
    'Snapshots hold the data, not what clients have done.',
    patch(
      'replicated-map',
      'const words: number[] = [this.#values.length, ...this.#values, this.#sessions.size];',
      'const words: number[] = [this.#values.length, ...this.#values, 0];',
    ),
    patch(
      'replicated-map',
      'for (const [client, { floor, outcomes }] of this.#sessions) words.push(client, floor, outcomes.length, ...outcomes);',
      '',
    ),
  ),
  mutant(
    'floor-not-kept',
    [25],
    "A write below its client's floor, whose outcome has been dropped, is applied again.",
    patch('replicated-map', 'if (sequence < session.floor) return REFUSED;', ''),
  ),
  mutant(
    'lease-not-checked-after-the-read',
    [8],
    'The lease is looked at before a read, but not again before its answer.',
    patch(
      'driver',
      "if (request.read === 'lease' && this.#leaseClock.nowMs(nowMs) >= core.leaseExpiresAtMs)",
      "if (request.read === 'lease' && nowMs < 0)",
    ),
  ),
  mutant(
    'lease-by-monotonic-time-alone',
    [8],
    'The lease is checked with a clock that stands still while the machine is suspended.',
    patch(
      'node-clock',
      'return this.#clock.monotonicMs(nowMs) + this.#gainedMs;',
      'return this.#clock.monotonicMs(nowMs);',
    ),
  ),
  mutant(
    'read-before-applied',
    [6, 7],
    'A read is answered without waiting until its index is applied.',
    patch(
      'driver',
      'if (this.appliedIndex >= read.index) this.#scheduleRead(read);',
      'if (this.appliedIndex >= 0) this.#scheduleRead(read);',
    ),
  ),
  mutant(
    'stalled-disk-leads-on',
    [26],
    'A leader whose disk has stalled goes on to send heartbeats.',
    patch('driver', 'if (this.#sim.nowMs - busySinceMs > ELECTION_TICKS * TICK_MS) {', 'if (this.#sim.nowMs < 0) {'),
  ),
];
