// The log of one replica on its simulated disk.
//
// File `log` is a sequence of records (record-codec.ts), one for each Ready. To compact, and at every start, the whole
// state goes as one record into `log.new`, which then takes the place of `log`:
//
//   write log.new ──▶ sync ──▶ rename ──▶ sync the directory
//
// Starting so makes durable whatever could be read, also what a dead process had written and not synced, or had failed
// to sync. Any error of the disk ends the process: after a failed sync nobody knows what is on the disk.
import type { DiskCompletion, DiskResult, SimulatedDisk } from 'nori-testkit';
import type { AppendToken, Entry, LogReader, Message, Snapshot } from '../../src/index.js';
import { entryBytes } from '../../src/index.js';
import { LogImage, type LogRecord, NO_CONFIG } from './log-image.js';
import { encodeRecord, type RecoveredLog, recoverLog } from './record-codec.js';

const FILE = 'log';
const NEW_FILE = 'log.new';

/** What one Ready, or one snapshot of the own state machine, asks of the log. */
export interface Append {
  readonly record: LogRecord | undefined;
  /** Whether the log must be synced before it is reported. */
  readonly mustSync: boolean;
  readonly token: AppendToken | undefined;
  readonly afterAppend: readonly Message[];
  reported: boolean;
}

/** Places at which a process may be made to die. */
export type PersistPoint =
  | 'before-write'
  | 'after-write'
  | 'after-sync'
  | 'amid-send'
  | 'before-rename'
  | 'after-rename';

/** Who uses the log. */
export interface LogOwner {
  /** The log is ready to be read and appended to. */
  opened(): void;
  /** Reported in the order of {@link LogStorage.append}. */
  appended(append: Append): void;
  /** The disk failed: end the process. */
  failed(): void;
  /** Whether the process has just died here. */
  reach(point: PersistPoint): boolean;
  /** What is certain to be on the disk has grown. */
  becameDurable(record: LogRecord): void;
}

/** How a log behaves; drawn from the seed. */
export interface LogStorageOptions {
  /** Records that need no sync wait for the next that does. */
  readonly lazy: boolean;
  /** The core sees entries when they are handed over, not only when they are durable. */
  readonly readsEarly: boolean;
}

type State = 'closed' | 'idle' | 'writing' | 'syncing' | 'rewriting' | 'rewrite-syncing' | 'renaming';

const NO_ENTRIES: readonly Entry[] = [];

export class LogStorage implements LogReader {
  /** What the core may read. */
  readonly image: LogImage;
  /** Sequence of the last record that is certain to be on the disk. */
  durableSequence: number;
  /** No snapshot can be had at the moment. */
  snapshotWithheld = false;
  readonly #disk: SimulatedDisk;
  readonly #owner: LogOwner;
  readonly #options: LogStorageOptions;
  #state: State = 'closed';
  #queue: Append[] = [];
  #writing: Append[] = [];
  #sequence: number;
  #checksum = 0;
  #end = 0;
  #durableTo = 0;
  #rewriteDue = false;
  #busySinceMs = 0;
  /** Certain to be durable: what a rewrite stores. */
  readonly #durable: LogImage;

  /** @param recovered what the disk held */
  constructor(disk: SimulatedDisk, owner: LogOwner, recovered: RecoveredLog, options: LogStorageOptions) {
    this.#disk = disk;
    this.#owner = owner;
    this.#options = options;
    this.image = recovered.image;
    this.#durable = LogImage.from(recovered.image.toRecord());
    this.#sequence = recovered.sequence;
    this.durableSequence = recovered.sequence;
  }

  /** What a disk holds, or undefined when it is blank. @throws LogCorruptError */
  static recover(disk: SimulatedDisk): RecoveredLog | undefined {
    const bytes = disk.read(FILE);
    return bytes === undefined ? undefined : recoverLog(bytes);
  }

  /** What would be there after a crash now, or undefined when it would be blank. @throws LogCorruptError */
  static recoverDurable(disk: SimulatedDisk): RecoveredLog | undefined {
    const bytes = disk.readDurable(FILE);
    return bytes === undefined ? undefined : recoverLog(bytes);
  }

  /** Begins to store what was recovered anew; the owner hears of it by `opened`. */
  open(nowMs: number): void {
    this.#rewrite(nowMs);
  }

  // LogReader.

  initialState() {
    const { hardState, snapshot } = this.image;
    return { hardState, config: snapshot === undefined ? NO_CONFIG : snapshot.config };
  }

  firstIndex(): number {
    return this.image.baseIndex + 1;
  }

  lastIndex(): number {
    return this.image.lastIndex;
  }

  term(index: number): number | undefined {
    return this.image.term(index);
  }

  entries(from: number, to: number, bytesMax: number): readonly Entry[] | undefined {
    const { baseIndex, entries } = this.image;
    const start = from - baseIndex - 1;
    if (start < 0) return undefined;
    const end = Math.min(to - baseIndex - 1, entries.length);
    if (start >= end) return NO_ENTRIES;
    let bytes = entryBytes(entries[start]!);
    let last = start + 1;
    for (; last < end; last++) {
      bytes += entryBytes(entries[last]!);
      if (bytes > bytesMax) break;
    }
    return entries.slice(start, last);
  }

  snapshot(): Snapshot | undefined {
    return this.snapshotWithheld ? undefined : this.image.snapshot;
  }

  // Writing.

  /** Stores what a Ready asks for. Reported at once when there is nothing to wait for. */
  append(nowMs: number, append: Append): void {
    if (this.#options.readsEarly && append.record !== undefined) this.image.apply(append.record);
    if (append.record !== undefined) this.#queue.push(append);
    else if (this.#isQuiet) this.#report(append);
    else this.#queue.push(append);
    this.#reportLazy();
    this.#flush(nowMs);
  }

  /** Drops the entries up to and including `index`, which a durable snapshot covers. */
  compact(nowMs: number, index: number): void {
    this.image.compactTo(index);
    this.#durable.compactTo(index);
    this.#rewriteDue = true;
    this.#flush(nowMs);
  }

  /** Since when the disk has owed an answer, or undefined. */
  get busySinceMs(): number | undefined {
    return this.#state === 'idle' || this.#state === 'closed' ? undefined : this.#busySinceMs;
  }

  /** Takes a completion of the disk. */
  completed(nowMs: number, { tag }: DiskCompletion, result: DiskResult): void {
    if (result === 'error') {
      this.#owner.failed();
      return;
    }
    if (tag !== this.#tag) return;
    switch (this.#state) {
      case 'writing':
        if (this.#owner.reach('after-write')) return;
        this.#advance(nowMs, 'syncing');
        this.#disk.sync(nowMs, FILE, this.#tag);
        return;
      case 'syncing':
        this.#durableTo = this.#end;
        this.#finishFlush(nowMs);
        return;
      case 'rewriting':
        this.#advance(nowMs, 'rewrite-syncing');
        this.#disk.sync(nowMs, NEW_FILE, this.#tag);
        return;
      case 'rewrite-syncing':
        if (this.#owner.reach('before-rename')) return;
        this.#disk.rename(NEW_FILE, FILE);
        if (this.#owner.reach('after-rename')) return;
        this.#advance(nowMs, 'renaming');
        this.#disk.syncDirectory(nowMs, this.#tag);
        return;
      case 'renaming':
        this.#finishRewrite(nowMs);
        return;
      default:
        throw new Error(`Nothing was asked of the disk in state ${this.#state}.`);
    }
  }

  #tag = 0;

  #advance(nowMs: number, state: State): void {
    this.#state = state;
    this.#tag++;
    this.#busySinceMs = nowMs;
  }

  get #isQuiet(): boolean {
    return this.#state === 'idle' && this.#queue.length === 0;
  }

  /** With nothing in flight, what needs no sync is as good as done; it is written with what comes next. */
  #reportLazy(): void {
    for (let i = 0; i < this.#queue.length && this.#state === 'idle'; i++) {
      const append = this.#queue[i]!;
      if (this.#needsWrite(append)) return;
      if (append.reported) continue;
      this.#show(append);
      this.#report(append);
    }
  }

  #needsWrite({ mustSync, record }: Append): boolean {
    return mustSync || (record !== undefined && !this.#options.lazy);
  }

  /** Writes what needs no sync but has waited long. */
  flushLazy(nowMs: number): void {
    this.#flush(nowMs, true);
  }

  #flush(nowMs: number, all = false): void {
    if (this.#state !== 'idle' || (all && this.#queue.length === 0)) return;
    if (this.#rewriteDue) {
      this.#rewrite(nowMs);
      return;
    }
    if (!all && !this.#queue.some((append) => this.#needsWrite(append))) return;
    this.#writing = this.#queue;
    this.#queue = [];
    const parts: Uint8Array[] = [];
    let length = 0;
    for (const { record } of this.#writing) {
      if (record === undefined) continue;
      const bytes = this.#encode(record);
      parts.push(bytes);
      length += bytes.length;
    }
    if (this.#owner.reach('before-write')) return;
    this.#advance(nowMs, 'writing');
    this.#disk.write(nowMs, FILE, this.#end, joined(parts, length), this.#tag);
    this.#end += length;
  }

  #encode(record: LogRecord): Uint8Array {
    const place = { previousChecksum: this.#checksum, sequence: ++this.#sequence, durableTo: this.#durableTo };
    const { bytes, checksum } = encodeRecord(record, place);
    this.#checksum = checksum;
    return bytes;
  }

  #finishFlush(nowMs: number): void {
    const written = this.#writing;
    this.#writing = [];
    this.durableSequence = this.#sequence;
    for (const { record } of written) {
      if (record === undefined) continue;
      this.#durable.apply(record);
      this.#owner.becameDurable(record);
    }
    this.#state = 'idle';
    if (this.#owner.reach('after-sync')) return;
    // Reports may lead to new appends: they wait until these are all out.
    this.#state = 'syncing';
    for (const append of written) {
      this.#show(append);
      if (!append.reported) this.#report(append);
      if (this.#isDead) return;
    }
    this.#state = 'idle';
    this.#reportLazy();
    this.#flush(nowMs);
  }

  /** The process died while it was being told. */
  get #isDead(): boolean {
    return this.#state === 'closed';
  }

  /** The process has died: nothing more is reported. */
  close(): void {
    this.#state = 'closed';
  }

  #show(append: Append): void {
    if (!this.#options.readsEarly && !append.reported && append.record !== undefined) this.image.apply(append.record);
  }

  #report(append: Append): void {
    append.reported = true;
    this.#owner.appended(append);
  }

  #rewrite(nowMs: number): void {
    this.#rewriteDue = false;
    this.#checksum = 0;
    this.#durableTo = 0;
    const bytes = this.#encode(this.#durable.toRecord());
    this.#end = bytes.length;
    this.#disk.remove(NEW_FILE);
    this.#advance(nowMs, 'rewriting');
    this.#disk.write(nowMs, NEW_FILE, 0, bytes, this.#tag);
  }

  #finishRewrite(nowMs: number): void {
    this.#durableTo = this.#end;
    this.durableSequence = this.#sequence;
    this.#state = 'idle';
    if (!this.#opened) {
      this.#opened = true;
      this.#owner.opened();
    }
    if (this.#isDead) return;
    this.#reportLazy();
    this.#flush(nowMs);
  }

  #opened = false;
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
