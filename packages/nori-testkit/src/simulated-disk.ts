// A disk in virtual time: files of 512-byte sectors behind a volatile cache.
//
//   write ──▶ cache (what `read` shows) ──sync──▶ durable (what a crash leaves)
//
// Every call takes effect in the cache at once and is completed by an event: the disk hands a DiskCompletion to
// `schedule`; when its time has come, the owner gives it back to `complete`, which makes data durable and says how it
// ended. Calls complete in the order in which they were made.
//
// A crash keeps, loses or tears each sector that was not synced, independently of the others. A failed sync is as bad
// as on Linux: its sectors stay readable and count as clean, so a later sync does not write them; whether they reached
// the disk shows after a crash. A directory keeps the order of its changes, but they are durable only after
// `syncDirectory`.

export const SECTOR_BYTES = 512;

export type DiskOperation = 'write' | 'sync' | 'sync-directory';

/** How an operation ended. `stale`: it belongs to the time before a crash; forget it. `stalled`: it was put off. */
export type DiskResult = 'ok' | 'error' | 'stale' | 'stalled';

/** An operation that is to be completed: hand it to {@link SimulatedDisk.complete} when it is due. */
export interface DiskCompletion {
  readonly operation: DiskOperation;
  /** Whatever the caller gave along. */
  readonly tag: number;
  readonly generation: number;
  /** Operations complete in this order. */
  readonly order: number;
  readonly file: DiskFile | undefined;
  /** Sectors as they were when a sync was called. */
  readonly captured: readonly CapturedSector[];
  readonly length: number;
  /** Changes of the directory that a sync of it covers, counted from the start. */
  readonly changes: number;
  readonly fails: boolean;
}

interface CapturedSector {
  readonly sector: number;
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** One file. Opaque outside. */
interface DiskFile {
  cache: Uint8Array;
  length: number;
  durable: Uint8Array;
  durableLength: number;
  /** Written, not synced: version of the last write by sector. */
  readonly dirty: Map<number, number>;
  /** Sectors of failed syncs: the cache calls them clean, the disk may not have them. */
  readonly abandoned: Set<number>;
}

type DirectoryChange =
  | { readonly type: 'create'; readonly name: string; readonly file: DiskFile }
  | { readonly type: 'rename'; readonly name: string; readonly to: string }
  | { readonly type: 'remove'; readonly name: string };

/** A stall may be ended early: what has stalled looks again after this time. */
const STALL_LOOK_MS = 500;

const NOTHING_CAPTURED: readonly CapturedSector[] = [];

/** How long operations take, uniform in [min, max]. */
export interface DiskLatency {
  readonly writeMinMs: number;
  readonly writeMaxMs: number;
  readonly syncMinMs: number;
  readonly syncMaxMs: number;
}

/** An ordinary SSD. */
export const SSD_LATENCY: DiskLatency = { writeMinMs: 0.02, writeMaxMs: 0.1, syncMinMs: 0.1, syncMaxMs: 1 };

/** What has happened so far. */
export interface DiskStats {
  writes: number;
  syncs: number;
  errors: number;
  crashes: number;
  sectorsLost: number;
  sectorsTorn: number;
}

/** Options of {@link SimulatedDisk}. */
export interface SimulatedDiskOptions {
  /** A source in [0, 1). */
  readonly random: () => number;
  /** Puts a completion on the event heap, `delayMs` from now. */
  readonly schedule: (delayMs: number, completion: DiskCompletion) => void;
  readonly latency?: DiskLatency;
}

/** A flat directory of files. */
export class SimulatedDisk {
  readonly stats: DiskStats = { writes: 0, syncs: 0, errors: 0, crashes: 0, sectorsLost: 0, sectorsTorn: 0 };
  latency: DiskLatency;
  /** Share of writes and of syncs that fail. */
  writeErrorRate = 0;
  syncErrorRate = 0;
  readonly #random: () => number;
  readonly #schedule: (delayMs: number, completion: DiskCompletion) => void;
  #files = new Map<string, DiskFile>();
  #durableFiles = new Map<string, DiskFile>();
  /** Changes of the directory that are not durable, and how many came before them. */
  #changes: DirectoryChange[] = [];
  #changesDone = 0;
  #version = 0;
  #generation = 0;
  /** Operations called for, and how many of them are complete. */
  #planned = 0;
  #completed = 0;
  #stalledUntilMs = 0;
  #lastDueMs = 0;
  #failing: DiskOperation | undefined;

  constructor(options: SimulatedDiskOptions) {
    this.#random = options.random;
    this.#schedule = options.schedule;
    this.latency = options.latency ?? SSD_LATENCY;
  }

  /** Writes to the cache; what `read` shows has changed when this returns, unless the write is going to fail. */
  write(nowMs: number, name: string, offset: number, bytes: Uint8Array, tag: number): void {
    this.stats.writes++;
    const file = this.#files.get(name) ?? this.#create(name);
    const fails = this.#drawFailure('write', this.writeErrorRate);
    this.#writeCache(file, offset, fails ? bytes.subarray(0, Math.floor(this.#random() * bytes.length)) : bytes);
    const { writeMinMs, writeMaxMs } = this.latency;
    this.#plan(nowMs, writeMinMs, writeMaxMs, 'write', tag, fails, file, NOTHING_CAPTURED, 0);
  }

  /** Makes durable what was written to the file before this call. */
  sync(nowMs: number, name: string, tag: number): void {
    this.stats.syncs++;
    const file = this.#files.get(name);
    if (file === undefined) throw new Error(`There is no file ${name}.`);
    const captured: CapturedSector[] = [];
    for (const [sector, version] of file.dirty) {
      const start = sector * SECTOR_BYTES;
      captured.push({ sector, version, bytes: file.cache.slice(start, start + SECTOR_BYTES) });
    }
    const fails = this.#drawFailure('sync', this.syncErrorRate);
    const { syncMinMs, syncMaxMs } = this.latency;
    this.#plan(nowMs, syncMinMs, syncMaxMs, 'sync', tag, fails, file, captured, 0);
  }

  /** Gives a file another name, in place of whatever had that name. */
  rename(name: string, to: string): void {
    const file = this.#files.get(name);
    if (file === undefined) throw new Error(`There is no file ${name}.`);
    this.#change({ type: 'rename', name, to });
  }

  remove(name: string): void {
    this.#change({ type: 'remove', name });
  }

  /** Makes durable the creations, renames and removals made before this call. */
  syncDirectory(nowMs: number, tag: number): void {
    this.stats.syncs++;
    const fails = this.#drawFailure('sync-directory', this.syncErrorRate);
    const { syncMinMs, syncMaxMs } = this.latency;
    const changes = this.#changesDone + this.#changes.length;
    this.#plan(nowMs, syncMinMs, syncMaxMs, 'sync-directory', tag, fails, undefined, NOTHING_CAPTURED, changes);
  }

  /** What the file holds, as far as the cache knows. A view: do not keep it over the next write. */
  read(name: string): Uint8Array | undefined {
    const file = this.#files.get(name);
    return file?.cache.subarray(0, file.length);
  }

  /** What is certain to survive a crash. A view, as with {@link SimulatedDisk.read}. */
  readDurable(name: string): Uint8Array | undefined {
    const file = this.#durableFiles.get(name);
    return file?.durable.subarray(0, file.durableLength);
  }

  /** Names of the files, ascending. */
  names(): string[] {
    return [...this.#files.keys()].sort();
  }

  /** Nothing completes before that time. */
  stallUntil(atMs: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, atMs);
  }

  /** What has stalled goes on, a moment from now. */
  endStall(): void {
    this.#stalledUntilMs = 0;
  }

  /** No more errors; a stall lasts until its time, or until `endStall`. */
  heal(): void {
    this.writeErrorRate = 0;
    this.syncErrorRate = 0;
    this.#failing = undefined;
  }

  /** Lets the next operation of this type fail. */
  failNext(operation: DiskOperation): void {
    this.#failing = operation;
  }

  /** Ends an operation whose time has come. */
  complete(nowMs: number, completion: DiskCompletion): DiskResult {
    if (completion.generation !== this.#generation) return 'stale';
    if (nowMs < this.#stalledUntilMs || completion.order !== this.#completed) {
      this.#schedule(Math.min(Math.max(0, this.#stalledUntilMs - nowMs), STALL_LOOK_MS), completion);
      return 'stalled';
    }
    this.#completed++;
    const { operation, file, fails } = completion;
    if (fails) this.stats.errors++;
    if (operation === 'sync') finishSync(file!, completion);
    else if (operation === 'sync-directory' && !fails) this.#finishDirectory(completion.changes - this.#changesDone);
    return fails ? 'error' : 'ok';
  }

  /** The process that used the disk has died: what it had asked for is not reported any more, the cache stays. */
  abandon(): void {
    this.#generation++;
    this.#completed = this.#planned;
    this.#lastDueMs = 0;
  }

  /** The power has failed: the cache is gone. */
  crash(): void {
    this.abandon();
    this.stats.crashes++;
    this.#finishDirectory(Math.floor(this.#random() * (this.#changes.length + 1)));
    this.#changesDone += this.#changes.length;
    this.#changes = [];
    this.#files = new Map(this.#durableFiles);
    for (const file of new Set(this.#files.values())) this.#crashFile(file);
  }

  #create(name: string): DiskFile {
    const file: DiskFile = {
      cache: new Uint8Array(8 * SECTOR_BYTES),
      length: 0,
      durable: new Uint8Array(0),
      durableLength: 0,
      dirty: new Map(),
      abandoned: new Set(),
    };
    this.#change({ type: 'create', name, file });
    return file;
  }

  #change(change: DirectoryChange): void {
    applyChange(this.#files, change);
    this.#changes.push(change);
  }

  #writeCache(file: DiskFile, offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const end = offset + bytes.length;
    file.cache = grown(file.cache, end);
    file.cache.set(bytes, offset);
    file.length = Math.max(file.length, end);
    const version = ++this.#version;
    for (let sector = Math.floor(offset / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      file.dirty.set(sector, version);
      file.abandoned.delete(sector);
    }
  }

  #drawFailure(operation: DiskOperation, rate: number): boolean {
    if (this.#failing === operation) {
      this.#failing = undefined;
      return true;
    }
    return rate > 0 && this.#random() < rate;
  }

  #plan(
    nowMs: number,
    minMs: number,
    maxMs: number,
    operation: DiskOperation,
    tag: number,
    fails: boolean,
    file: DiskFile | undefined,
    captured: readonly CapturedSector[],
    changes: number,
  ): void {
    const delayMs = minMs + this.#random() * (maxMs - minMs);
    // Stalls are left to `complete`, which knows of those that begin later, too.
    this.#lastDueMs = Math.max(this.#lastDueMs, nowMs + delayMs);
    const length = file === undefined ? 0 : file.length;
    const order = this.#planned++;
    const generation = this.#generation;
    const completion = { operation, tag, generation, order, file, captured, length, changes, fails };
    this.#schedule(this.#lastDueMs - nowMs, completion);
  }

  #finishDirectory(changes: number): void {
    for (const change of this.#changes.splice(0, Math.max(0, changes))) {
      applyChange(this.#durableFiles, change);
      this.#changesDone++;
    }
  }

  #crashFile(file: DiskFile): void {
    let length = file.durableLength;
    const unsynced = [...file.dirty.keys(), ...file.abandoned].sort((a, b) => a - b);
    for (const sector of unsynced) {
      const start = sector * SECTOR_BYTES;
      const end = Math.min(start + SECTOR_BYTES, file.length);
      const fate = this.#random();
      if (fate < 0.35) {
        this.stats.sectorsLost++;
        continue;
      }
      let [from, to] = [start, end];
      if (fate < 0.65) {
        this.stats.sectorsTorn++;
        const cut = start + Math.floor(this.#random() * (end - start + 1));
        if (this.#random() < 0.7) to = cut;
        else from = cut;
      }
      file.durable = grown(file.durable, end);
      file.durable.set(file.cache.subarray(from, to), from);
      length = Math.max(length, to);
    }
    // A file system may have recorded the new length and lost the bytes: they read as zeros.
    if (unsynced.length > 0 && this.#random() < 0.3) {
      length = Math.max(length, file.length);
      file.durable = grown(file.durable, length);
    }
    file.durableLength = length;
    file.length = length;
    file.cache = file.durable.slice();
    file.dirty.clear();
    file.abandoned.clear();
  }
}

function finishSync(file: DiskFile, completion: DiskCompletion): void {
  for (const { sector, version, bytes } of completion.captured) {
    const unchanged = file.dirty.get(sector) === version;
    if (unchanged) file.dirty.delete(sector);
    if (completion.fails) {
      if (unchanged) file.abandoned.add(sector);
      continue;
    }
    const start = sector * SECTOR_BYTES;
    file.durable = grown(file.durable, start + bytes.length);
    file.durable.set(bytes, start);
  }
  if (!completion.fails) file.durableLength = Math.max(file.durableLength, completion.length);
}

function applyChange(files: Map<string, DiskFile>, change: DirectoryChange): void {
  if (change.type === 'create') {
    files.set(change.name, change.file);
    return;
  }
  const file = files.get(change.name);
  files.delete(change.name);
  if (change.type === 'rename' && file !== undefined) files.set(change.to, file);
}

/** The bytes with room for `length`, zeros at the end. */
function grown(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length >= length) return bytes;
  const larger = new Uint8Array(Math.max(length, 2 * bytes.length, SECTOR_BYTES));
  larger.set(bytes);
  return larger;
}
