// Writes with an own log: calls of one turn are gathered into groups, a group is one record of the log, and groups enter
// the memtable in the order of the log. All callers of a group share its promise.
//
//   put/delete/batch ─ open group ─ (end of turn, writes not stalled) ─ sealed, appended ─ logged ─ applied ─ resolved
//                                                                          └ inserted ┘
//
// While the log writes a group, its operations are inserted into the memtable, where nobody sees them: they become visible
// when the group is applied, after it was logged. A group that the log refuses is taken out again.
//
// `none` is the exception: such a group is applied as soon as all before it are, without waiting for its own record. If the log
// then refuses that record, the memtable has what the log has not: writing goes on only after it was flushed, and fails
// while that cannot be.
//
// Calls with conditions gather in groups of their own, which calls without conditions that come behind them join:
//
//   ─ open group ─ (nothing is in flight) ─ judged, call by call ─ the calls that passed: sealed, appended ─ …
//                                             └ the others fail, and leave nothing
//
// What was called before has been applied by then, or has failed, and what is called later comes later: so each is judged by what
// is there at the moment it is applied. What earlier calls of the group are going to write counts: all of the group is one record.

import { type Condition, Judge, type JudgedState } from './conditions.js';
import { LsmError, toLsmError } from './errors.js';
import { LogRecord, operationBytes } from './log-record.js';
import type { Durability } from './types.js';

const GROUP_BYTES_FIRST = 512;
const SPARE_RECORDS_MAX = 4;
const SPARE_BYTES_MAX = 256 * 1024;
const NO_CONDITIONS: readonly Condition[] = [];
/** Calls with conditions that are judged in one go. */
const CONDITIONAL_CALLS_MAX = 1000;

/** What the queue needs of the log. */
export interface RecordLog {
  append(record: Uint8Array, options: { readonly durability: 'sync' | 'batch' | 'os' }): Promise<number>;
}

/** What the queue needs of the engine. */
export interface WriteTarget extends JudgedState {
  /** The sequence number that is taken next. */
  readonly nextSequence: number;
  /** Takes the next `count` sequence numbers and tells the first. */
  takeSequence(count: number): number;
  /** Calls back once what was begun in this turn is under way. */
  nextTurn(callback: () => void): void;
  /** Puts a record into the memtable, if that can be now, where nobody sees it until it is applied. */
  insertAhead(record: Uint8Array): void;
  /** Takes such a record out again. */
  takeBack(record: Uint8Array): void;
  /** Makes a record visible, and puts it into the memtable if need be. `position` in the log; undefined if not yet known. */
  applyRecord(record: Uint8Array, position: number | undefined): void;
  /** Undefined if writes may go on, else resolves when they may, and fails with why they cannot. */
  waitWritable(): Promise<void> | undefined;
  /** Makes all that was applied durable without the log; fails with why that cannot be for now. */
  flushApplied(): Promise<void>;
}

/** One call with conditions: its operations, if it may go on. */
interface ConditionalCall {
  readonly conditions: readonly Condition[];
  readonly record: LogRecord;
  readonly reject: (error: LsmError) => void;
  /** What to fail with once the group has succeeded: it was judged by what others of the group write. */
  error: LsmError | undefined;
}

/** One group of operations. */
class Group {
  readonly durability: Durability;
  record: LogRecord;
  readonly done: Promise<void>;
  resolve!: () => void;
  reject!: (error: LsmError) => void;
  isOpen = true;
  bytes: Uint8Array | undefined;
  state: 'waiting' | 'logged' | 'failed' = 'waiting';
  isApplied = false;
  position: number | undefined;
  error: LsmError | undefined;
  /** Of a group of calls with conditions, until they are judged. */
  calls: ConditionalCall[] | undefined;
  /** Bytes of the records of these calls. */
  callBytes = 0;

  constructor(durability: Durability, record: LogRecord) {
    this.durability = durability;
    this.record = record;
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** See the top of the file. */
export class WriteQueue {
  readonly #log: RecordLog;
  readonly #groupBytesMax: number;
  readonly #target: WriteTarget;
  /** Not yet handed to the log; the last one may be open. */
  readonly #unsent: Group[] = [];
  /** Handed to the log, in its order, not yet finished. */
  readonly #inFlight: Group[] = [];
  readonly #spares: LogRecord[] = [];
  #isScheduled = false;
  #isInsertScheduled = false;
  /** What sending waits for. */
  #blocks = 0;
  /** The next group to be sent waits until nothing is in flight. */
  #awaitsQuiet = false;
  /** Groups applied that the log refused, and how many of them have been flushed since. */
  #unlogged = 0;
  #unloggedFlushed = 0;
  #isClosing = false;
  #idle: (() => void) | undefined;
  /** Who waits until nothing is in flight. */
  #drained: (() => void)[] = [];

  /** @param groupBytesMax a group of several calls does not grow beyond this */
  constructor(log: RecordLog, target: WriteTarget, groupBytesMax: number) {
    this.#groupBytesMax = groupBytesMax;
    this.#log = log;
    this.#target = target;
  }

  /** Adds one operation; the promise is shared with others of its group. Bytes are copied before it returns. */
  add(durability: Durability, kind: number, key: Uint8Array, value: Uint8Array, expiresAtMs: number): Promise<void> {
    const bytes = operationBytes(key.length, value.length);
    const last = this.#unsent.at(-1);
    if (last?.calls !== undefined && this.#takesCall(last, durability, bytes)) {
      const record = this.takeRecord();
      record.add(kind, key, value, expiresAtMs);
      return this.#addCall(last, record, NO_CONDITIONS);
    }
    const group = this.#groupFor(durability, bytes);
    group.record.add(kind, key, value, expiresAtMs);
    return group.done;
  }

  /** An empty record to gather operations in that go together: give it to {@link addRecord} or {@link dropRecord}. */
  takeRecord(): LogRecord {
    return this.#spares.pop() ?? new LogRecord(GROUP_BYTES_FIRST);
  }

  /** As {@link add}, for all operations of a record that was taken in this turn. */
  addRecord(durability: Durability, record: LogRecord): Promise<void> {
    const open = this.#unsent.at(-1);
    if (open?.calls !== undefined && this.#takesCall(open, durability, record.size)) {
      return this.#addCall(open, record, NO_CONDITIONS);
    }
    const last = this.#joinable(durability, record.size);
    if (last === undefined) return this.#begin(durability, record).done;
    last.record.addAll(record);
    this.dropRecord(record);
    return last.done;
  }

  /**
   * Adds what is written only if all conditions hold: the operations, maybe none, of a record that was taken in this turn. The promise is
   * the call's own. Keys of conditions are copied before it returns.
   */
  addConditional(durability: Durability, record: LogRecord, conditions: readonly Condition[]): Promise<void> {
    const copies = conditions.map((condition) => ({ ...condition, key: condition.key.slice() }));
    return this.#addCall(this.#conditionalGroupFor(durability, record.size), record, copies);
  }

  #addCall(group: Group, record: LogRecord, conditions: readonly Condition[]): Promise<void> {
    group.callBytes += record.size;
    // What comes after a deleted range is judged once that has been applied.
    if (record.hasRanges) group.isOpen = false;
    return new Promise((resolve, reject) => {
      const call: ConditionalCall = { conditions, record, reject, error: undefined };
      group.calls!.push(call);
      group.done.then(() => (call.error === undefined ? resolve() : reject(call.error)), reject);
    });
  }

  /** Takes back a record that is not used after all. */
  dropRecord(record: LogRecord): void {
    if (record.capacity > SPARE_BYTES_MAX || this.#spares.length >= SPARE_RECORDS_MAX) return;
    record.clear();
    this.#spares.push(record);
  }

  /** Resolves once everything added so far is settled, whether it succeeded or not. */
  async settled(): Promise<void> {
    await (this.#unsent.at(-1) ?? this.#inFlight.at(-1))?.done.catch(() => {});
  }

  /** Runs `work` once everything handed to the log so far is settled; what is added meanwhile waits. */
  async alone(work: () => Promise<void>): Promise<void> {
    this.#blocks++;
    try {
      if (this.#inFlight.length > 0) await new Promise<void>((resolve) => this.#drained.push(resolve));
      // What is visible but was refused by the log comes first, as for every write.
      while (this.#mustFlush) await this.#flushUnlogged();
      await work();
    } finally {
      this.#blocks--;
      this.#send();
    }
  }

  /** Fails what waits for room, then resolves once the log has answered for the rest. Nothing may be added any more. */
  async close(): Promise<void> {
    if (this.#blocks > 0 || this.#mustFlush) this.#failUnsent(closedError());
    this.#isClosing = true;
    if (this.#unsent.length + this.#inFlight.length > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  #groupFor(durability: Durability, bytes: number): Group {
    return this.#joinable(durability, bytes) ?? this.#begin(durability, this.takeRecord());
  }

  /** The last group, if `bytes` more may join it. */
  #joinable(durability: Durability, bytes: number): Group | undefined {
    const last = this.#unsent.at(-1);
    const isFitting = last?.isOpen && last.durability === durability && last.record.size + bytes <= this.#groupBytesMax;
    return isFitting && last.calls === undefined ? last : undefined;
  }

  #conditionalGroupFor(durability: Durability, bytes: number): Group {
    const last = this.#unsent.at(-1);
    if (last !== undefined && this.#takesCall(last, durability, bytes)) return last;
    const group = this.#begin(durability, this.takeRecord());
    group.calls = [];
    return group;
  }

  /** True if a call may join this group of calls that are judged one by one. */
  #takesCall({ isOpen, calls, callBytes, durability: of }: Group, durability: Durability, bytes: number): boolean {
    const hasRoom = calls !== undefined && calls.length < CONDITIONAL_CALLS_MAX;
    return hasRoom && isOpen && of === durability && callBytes + bytes <= this.#groupBytesMax;
  }

  #begin(durability: Durability, record: LogRecord): Group {
    const last = this.#unsent.at(-1);
    if (last !== undefined) last.isOpen = false;
    const group = new Group(durability, record);
    this.#unsent.push(group);
    this.#schedule();
    return group;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#blocks > 0) return;
    this.#isScheduled = true;
    // After the callers of this turn had their say.
    Promise.resolve().then(() => {
      this.#isScheduled = false;
      this.#send();
    });
  }

  #send(): void {
    while (this.#unsent.length > 0 && this.#blocks === 0) {
      const wait = this.#isClosing ? undefined : this.#mustFlush ? this.#flushUnlogged() : this.#target.waitWritable();
      if (wait !== undefined) this.#block(wait);
      else if (this.#unsent[0]!.calls === undefined) this.#append(this.#unsent.shift()!);
      else if (this.#inFlight.length === 0) this.#appendPassed(this.#unsent.shift()!);
      else {
        this.#awaitsQuiet = true;
        return;
      }
    }
  }

  /** Judges the calls of a group, and appends what those that passed write. */
  #appendPassed(group: Group): void {
    const target = this.#target;
    const judge = new Judge(target);
    const calls = group.calls!;
    const { record } = group;
    for (const call of calls) {
      try {
        judge.check(call.conditions);
        // A call that is alone keeps its record: it may be large.
        if (calls.length === 1) group.record = call.record;
        else {
          judge.count(call.record, target.nextSequence + record.count);
          record.addAll(call.record);
        }
      } catch (thrown) {
        const error = toLsmError(thrown, 'Cannot write');
        // If the log refuses the group, what was found there never was.
        if (judge.foundPending) call.error = error;
        else call.reject(error);
      }
      if (group.record !== call.record) this.dropRecord(call.record);
    }
    group.calls = undefined;
    if (group.record !== record) this.dropRecord(record);
    if (group.record.count > 0) {
      this.#append(group);
      return;
    }
    group.isOpen = false;
    group.resolve();
    this.dropRecord(group.record);
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#unsent.length + this.#inFlight.length === 0) this.#idle?.();
  }

  get #mustFlush(): boolean {
    return this.#unlogged > this.#unloggedFlushed;
  }

  async #flushUnlogged(): Promise<void> {
    const unlogged = this.#unlogged;
    await this.#target.flushApplied();
    this.#unloggedFlushed = unlogged;
  }

  /** Stops sending until `wait` resolves; if it fails, so does all that waits. */
  #block(wait: Promise<void>): void {
    this.#blocks++;
    wait.then(
      () => {
        this.#blocks--;
        this.#send();
      },
      (thrown: unknown) => {
        this.#blocks--;
        this.#failUnsent(toLsmError(thrown, 'Cannot write'));
      },
    );
  }

  #failUnsent(error: LsmError): void {
    for (const group of this.#unsent.splice(0)) {
      group.isOpen = false;
      group.reject(error);
    }
    this.#tellIdle();
  }

  #append(group: Group): void {
    group.isOpen = false;
    const { record, durability } = group;
    group.bytes = record.seal(this.#target.takeSequence(record.count));
    this.#inFlight.push(group);
    let appended: Promise<number>;
    try {
      appended = this.#log.append(group.bytes, { durability: durability === 'none' ? 'os' : durability });
    } catch (error) {
      appended = Promise.reject(error);
    }
    appended.then(
      (position) => {
        group.state = 'logged';
        group.position = position;
        this.#advance();
      },
      (thrown: unknown) => {
        group.state = 'failed';
        group.error = toLsmError(thrown, 'Cannot write to the log');
        if (!group.isApplied) this.#target.takeBack(group.bytes!);
        this.#advance();
      },
    );
    if (durability === 'none') this.#advance();
    else this.#scheduleInsert();
  }

  /** Inserts what is in flight once the log is at work, so that the two go on side by side. */
  #scheduleInsert(): void {
    if (this.#isInsertScheduled) return;
    this.#isInsertScheduled = true;
    this.#target.nextTurn(() => {
      this.#isInsertScheduled = false;
      for (const group of this.#inFlight) {
        if (!group.isApplied && group.state === 'waiting') this.#insertAhead(group.bytes!);
      }
    });
  }

  #insertAhead(record: Uint8Array): void {
    try {
      this.#target.insertAhead(record);
    } catch {
      // Applying it is going to fail as well, and tells the caller.
      this.#target.takeBack(record);
    }
  }

  /** Applies and settles what is ready, in order. */
  #advance(): void {
    for (const group of this.#inFlight) {
      if (group.isApplied) continue;
      if (group.state === 'failed') continue;
      if (group.state === 'waiting' && group.durability !== 'none') break;
      this.#apply(group);
    }
    while (this.#inFlight.length > 0 && this.#inFlight[0]!.state !== 'waiting') this.#settle(this.#inFlight.shift()!);
    if (this.#inFlight.length === 0) for (const resolve of this.#drained.splice(0)) resolve();
    if (this.#awaitsQuiet && this.#inFlight.length === 0) {
      this.#awaitsQuiet = false;
      this.#send();
    }
    this.#tellIdle();
  }

  #apply(group: Group): void {
    group.isApplied = true;
    try {
      this.#target.applyRecord(group.bytes!, group.position);
    } catch (thrown) {
      group.error = toLsmError(thrown, 'Cannot apply a write');
    }
    if (group.error === undefined) group.resolve();
    else group.reject(group.error);
  }

  #settle(group: Group): void {
    if (group.state === 'failed') {
      if (!group.isApplied) group.reject(group.error!);
      else {
        this.#unlogged++;
        this.#block(this.#flushUnlogged());
      }
    }
    this.dropRecord(group.record);
  }
}

/** The error for whoever uses a closed database. */
export const closedError = (): LsmError => new LsmError('LSM_CLOSED', 'The database is closed.');
