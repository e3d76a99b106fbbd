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
  readonly #payloadBytes: Counter;
  readonly #preallocatedBytes: Counter;
  readonly #recycled: Counter;
  readonly #syncSeconds: Histogram;
  readonly #segments: Gauge;

  constructor(meter: Meter, clock: Clock, slowSyncMs: number) {
    this.#meter = meter;
    this.#clock = clock;
    this.#slowSyncMs = slowSyncMs;
    this.#records = meter.counter('wal_records_total', undefined, { help: 'Records written to the log.' });
    this.#bytes = meter.counter('wal_bytes_total', undefined, { help: 'Bytes written to the log, overhead included.' });
    this.#payloadBytes = meter.counter('wal_payload_bytes_total', undefined, {
      help: 'Bytes of the records written to the log, before compression.',
    });
    this.#preallocatedBytes = meter.counter('wal_preallocated_bytes_total', undefined, {
      help: 'Bytes of zeros written ahead of the records.',
    });
    this.#recycled = meter.counter('wal_segments_recycled_total', undefined, {
      help: 'Segments begun in the file of a dropped one.',
    });
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

  wrote(records: number, bytes: number, payloadBytes: number): void {
    this.#records.inc(records);
    this.#bytes.inc(bytes);
    this.#payloadBytes.inc(payloadBytes);
  }

  preallocated(bytes: number): void {
    this.#preallocatedBytes.inc(bytes);
  }

  synced(durationMs: number): void {
    this.#syncSeconds.observe(durationMs / MS_PER_SECOND);
    if (durationMs > this.#slowSyncMs && this.#meter.wantsEvents) {
      this.#meter.event({ type: 'wal.slow_sync', atMs: this.#clock.now(), durationMs });
    }
  }

  rotated(segment: number, segments: number, recycled: boolean): void {
    this.#segments.set(segments);
    if (recycled) this.#recycled.inc(1);
    if (this.#meter.wantsEvents) this.#meter.event({ type: 'wal.segment_rotated', atMs: this.#clock.now(), segment });
  }

  removed(count: number, segments: number): void {
    this.#segments.set(segments);
    if (count > 0 && this.#meter.wantsEvents) {
      this.#meter.event({ type: 'wal.segments_removed', atMs: this.#clock.now(), count });
    }
  }

  /** The log was cut back to a position; so many bytes and segments are gone. */
  cut(position: number, bytes: number, segments: number): void {
    this.#segments.set(segments);
    if (this.#meter.wantsEvents) {
      this.#meter.event({ type: 'wal.cut', atMs: this.#clock.now(), position, bytes });
    }
  }

  poisoned(message: string): void {
    if (this.#meter.wantsEvents) this.#meter.event({ type: 'wal.poisoned', atMs: this.#clock.now(), message });
  }
}
