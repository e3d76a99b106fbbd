// What the engine measures, bound once. Names and labels are those of the metrics reference.
import type { Counter, Gauge, Histogram, Meter } from 'nori-observe';
import type { CompactionPick } from './compaction-pick.js';
import type { Hold } from './holds.js';
import { LEVELS } from './limits.js';
import type { TaskResult } from './task.js';
import type { Version } from './version.js';

/** Handles of all metrics of one database, and the counts behind `stats()`. */
export class LsmMetrics {
  readonly meter: Meter;
  readonly memtableBytes: Gauge;
  readonly sealedMemtables: Gauge;
  readonly writtenBytes: Counter;
  readonly flushSeconds: Histogram;
  readonly flushedBytes: Counter;
  readonly flushFailures: Counter;
  readonly compactionReadBytes: Counter;
  readonly compactionWrittenBytes: Counter;
  readonly compactionFailures: Counter;
  readonly expiryFailures: Counter;
  readonly stalls: Counter;
  readonly stallSeconds: Histogram;
  readonly #tables: Gauge[];
  readonly #levelBytes: Gauge[];
  readonly #compactionSeconds = new Map<string, Histogram>();
  readonly counts = {
    writtenBytes: 0,
    flushes: 0,
    flushedBytes: 0,
    compactions: 0,
    compactionReadBytes: 0,
    compactionWrittenBytes: 0,
    movedTables: 0,
    droppedTables: 0,
    stalls: 0,
    stalledMs: 0,
  };

  constructor(meter: Meter) {
    this.meter = meter;
    this.memtableBytes = meter.gauge('lsm_memtable_size_bytes', {}, { help: 'Bytes used in the active memtable.' });
    this.sealedMemtables = meter.gauge('lsm_sealed_memtables', {}, { help: 'Memtables that wait for their flush.' });
    this.writtenBytes = meter.counter('lsm_written_bytes_total', {}, { help: 'Bytes of keys and values written.' });
    this.flushSeconds = meter.histogram('lsm_flush_duration_seconds', {}, { help: 'Time from seal to table.' });
    this.flushedBytes = meter.counter('lsm_flushed_bytes_total', {}, { help: 'Bytes of tables made from memtables.' });
    this.flushFailures = meter.counter(
      'lsm_flush_failures_total',
      {},
      { help: 'Flushes that failed and are retried.' },
    );
    this.compactionReadBytes = meter.counter(
      'lsm_compaction_read_bytes_total',
      {},
      { help: 'Bytes compactions read.' },
    );
    this.compactionWrittenBytes = meter.counter(
      'lsm_compaction_written_bytes_total',
      {},
      { help: 'Bytes compactions wrote.' },
    );
    this.compactionFailures = meter.counter(
      'lsm_compaction_failures_total',
      {},
      { help: 'Compactions that failed and are retried.' },
    );
    this.expiryFailures = meter.counter(
      'lsm_expiry_failures_total',
      {},
      { help: 'Times the function that tells what may be dropped as expired has thrown.' },
    );
    this.stalls = meter.counter('lsm_stalls_total', {}, { help: 'Times writes had to wait.' });
    this.stallSeconds = meter.histogram('lsm_stall_duration_seconds', {}, { help: 'How long writes had to wait.' });
    this.#tables = perLevel((level) => meter.gauge('lsm_sstables', { level }, { help: 'Tables in a level.' }));
    this.#levelBytes = perLevel((level) =>
      meter.gauge('lsm_level_size_bytes', { level }, { help: 'Bytes of the tables in a level.' }),
    );
  }

  compactionSeconds(level: number, result: 'ok' | 'failed' | 'cancelled'): Histogram {
    const key = `${level} ${result}`;
    let histogram = this.#compactionSeconds.get(key);
    if (histogram === undefined) {
      const help = 'Time a compaction out of a level took.';
      histogram = this.meter.histogram('lsm_compaction_duration_seconds', { level: String(level), result }, { help });
      this.#compactionSeconds.set(key, histogram);
    }
    return histogram;
  }

  /** Counts and tells a snapshot or cursor that was collected without having been closed. */
  leaked({ kind, seq }: Pick<Hold, 'kind' | 'seq'>, openMs: number, atMs: number): void {
    const { meter } = this;
    meter.counter('lsm_leaked_total', { kind }, { help: 'Snapshots and cursors dropped without being closed.' }).inc();
    if (meter.wantsEvents) meter.event({ type: 'lsm.snapshot_leaked', atMs, held: kind, sequence: seq, openMs });
  }

  /** Tells that the database was closed while snapshots were open. */
  closedWith(snapshots: number, atMs: number): void {
    if (this.meter.wantsEvents) this.meter.event({ type: 'lsm.closed_with_snapshots', atMs, snapshots });
  }

  /** Counts a compaction that is done. */
  compacted(pick: CompactionPick, { bytesRead, bytesWritten }: TaskResult, durationMs: number, atMs: number): void {
    const { counts, meter } = this;
    counts.compactions++;
    counts.compactionReadBytes += bytesRead;
    counts.compactionWrittenBytes += bytesWritten;
    if (pick.kind === 'move') counts.movedTables += pick.upper.length;
    if (pick.kind === 'drop') counts.droppedTables += pick.upper.length;
    this.compactionReadBytes.inc(bytesRead);
    this.compactionWrittenBytes.inc(bytesWritten);
    this.compactionSeconds(pick.level, 'ok').observe(durationMs / 1000);
    if (!meter.wantsEvents) return;
    const [fromLevel, toLevel] = [pick.level, pick.outputLevel];
    meter.event({
      type: 'lsm.compacted',
      atMs,
      fromLevel,
      toLevel,
      bytesIn: bytesRead,
      bytesOut: bytesWritten,
      durationMs,
    });
  }

  /** Tells the sizes of a new version. */
  showVersion(version: Version): void {
    for (let level = 0; level < LEVELS; level++) {
      this.#tables[level]!.set(version.tablesIn(level).length);
      this.#levelBytes[level]!.set(version.bytesIn(level));
    }
  }
}

const perLevel = (make: (level: string) => Gauge): Gauge[] =>
  Array.from({ length: LEVELS }, (_, level) => make(String(level)));
