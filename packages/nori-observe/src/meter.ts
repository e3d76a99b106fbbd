// What every NoriKV component measures through. A component takes a `Meter`, binds its handles once when it is built,
// and calls them on its hot paths; who reads them (Prometheus, a dashboard, a test) is decided by the application.
import type { VizEvent } from './events.js';

/** Label names and values of one series. Allowed names are few on purpose: never a key, a client or an address. */
export type Labels = Readonly<Record<string, string>>;

/** A monotonically increasing count. */
export interface Counter {
  /** Adds `amount` (default 1, must not be negative). */
  inc(amount?: number): void;
}

/** A value that goes up and down. */
export interface Gauge {
  set(value: number): void;
  add(delta: number): void;
}

/** A distribution in fixed buckets. Durations are observed in seconds, sizes in bytes. */
export interface Histogram {
  observe(value: number): void;
}

/** Describes a metric; the first registration of a name decides. */
export interface MetricOptions {
  /** One sentence for the exporter's HELP line. */
  readonly help?: string;
}

/** {@link MetricOptions} of a histogram. */
export interface HistogramOptions extends MetricOptions {
  /** Upper bounds in ascending order, without +Inf. Default: {@link DURATION_BUCKETS_SECONDS}. */
  readonly buckets?: readonly number[];
}

/** Where a component sends counts, levels, distributions and events. */
export interface Meter {
  /** Binds a counter series; the same name and labels give the same handle. */
  counter(name: string, labels?: Labels, options?: MetricOptions): Counter;
  /** Binds a gauge series. */
  gauge(name: string, labels?: Labels, options?: MetricOptions): Gauge;
  /** Binds a histogram series. */
  histogram(name: string, labels?: Labels, options?: HistogramOptions): Histogram;
  /** Hands on one event. Build the event only if {@link Meter.wantsEvents} is true. */
  event(event: VizEvent): void;
  /** False when events are thrown away, so that hot paths need not build them. */
  readonly wantsEvents: boolean;
}

/** Default bounds for durations in seconds: 50 µs to 10 s. */
export const DURATION_BUCKETS_SECONDS: readonly number[] = Object.freeze([
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]);
