// What a log measures and reports. Handles are bound once; events are built only if someone wants them.
import type { Clock } from 'nori-io';
import type { Counter, Gauge, Histogram, Meter } from 'nori-observe';

const MS_PER_SECOND = 1000;

/** Metrics and events of one log. */
export class WalMetrics {
  readonly #meter: Meter;
  readonly #clock: Clock;
  readonly #slowSyncMs: number;
  readonly #records: Counter;
  readonly #bytes: Counter;
  readonly #syncSeconds: Histogram;
  readonly #segments: Gauge;

  constructor(meter: Meter, clock: Clock, slowSyncMs: number) {
    this.#meter = meter;
    this.#clock = clock;
    this.#slowSyncMs = slowSyncMs;
    this.#records = meter.counter('wal_records_total', undefined, { help: 'Records written to the log.' });
    this.#bytes = meter.counter('wal_bytes_total', undefined, { help: 'Bytes written to the log, overhead included.' });
    this.#syncSeconds = meter.histogram('wal_fsync_duration_seconds', undefined, {
      help: 'Duration of data syncs of the log.',
    });
    this.#segments = meter.gauge('wal_segments', undefined, { help: 'Segment files of the log.' });
  }

  recovered(segments: number, records: number, bytesCut: number): void {
    this.#segments.set(segments);
    if (this.#meter.wantsEvents) {
      this.#meter.event({ type: 'wal.recovered', atMs: this.#clock.now(), segments, records, bytesCut });
    }
  }

  wrote(records: number, bytes: number): void {
    this.#records.inc(records);
    this.#bytes.inc(bytes);
  }

  synced(durationMs: number): void {
    this.#syncSeconds.observe(durationMs / MS_PER_SECOND);
    if (durationMs > this.#slowSyncMs && this.#meter.wantsEvents) {
      this.#meter.event({ type: 'wal.slow_sync', atMs: this.#clock.now(), durationMs });
    }
  }

  rotated(segment: number, segments: number): void {
    this.#segments.set(segments);
    if (this.#meter.wantsEvents) this.#meter.event({ type: 'wal.segment_rotated', atMs: this.#clock.now(), segment });
  }

  removed(count: number, segments: number): void {
    this.#segments.set(segments);
    if (count > 0 && this.#meter.wantsEvents) {
      this.#meter.event({ type: 'wal.segments_removed', atMs: this.#clock.now(), count });
    }
  }

  poisoned(message: string): void {
    if (this.#meter.wantsEvents) this.#meter.event({ type: 'wal.poisoned', atMs: this.#clock.now(), message });
  }
}
