// The meter of an application that does measure. All numbers live in one Float64Array; a handle knows its slot.
//
//   slot of a counter or gauge    value
//   slots of a histogram          count of bucket 0, …, count of bucket n-1, count above the last bound, sum
//
// When the array is full it is replaced by one twice as long. Handles reach it through the `Slab` that they share with
// the registry, so they stay valid. Counts are doubles: exact up to 2^53.
import type { VizEvent } from './events.js';
import {
  type Counter,
  DURATION_BUCKETS_SECONDS,
  type Gauge,
  type Histogram,
  type HistogramOptions,
  type Labels,
  type Meter,
  type MetricOptions,
} from './meter.js';
import { ObserveError } from './observe-error.js';
import { checkMetricName, labelKey, sortedLabels } from './series-name.js';

/** The kinds of metric. */
export type MetricType = 'counter' | 'gauge' | 'histogram';

/** One series of a counter or gauge in a {@link MetricSnapshot}. */
export interface ValueSeries {
  /** Pairs of name and value, sorted by name. */
  readonly labels: readonly (readonly [string, string])[];
  readonly value: number;
}

/** One series of a histogram in a {@link MetricSnapshot}. */
export interface HistogramSeries {
  readonly labels: readonly (readonly [string, string])[];
  /** Observations per bucket, not cumulative; the last one counts what lies above the highest bound. */
  readonly bucketCounts: readonly number[];
  readonly count: number;
  readonly sum: number;
}

/** All series of one name at one moment. */
export type MetricSnapshot =
  | {
      readonly type: 'counter' | 'gauge';
      readonly name: string;
      readonly help: string;
      readonly series: readonly ValueSeries[];
    }
  | {
      readonly type: 'histogram';
      readonly name: string;
      readonly help: string;
      /** Upper bounds, ascending, without +Inf. */
      readonly bounds: readonly number[];
      readonly series: readonly HistogramSeries[];
    };

/** Options of {@link MetricRegistry}. */
export interface MetricRegistryOptions {
  /** Gets every event. Default: events are thrown away and {@link Meter.wantsEvents} is false. */
  readonly onEvent?: (event: VizEvent) => void;
}

const SLOTS_INITIAL = 256;

/** The array of all numbers and how much of it is taken. */
class Slab {
  values = new Float64Array(SLOTS_INITIAL);
  #taken = 0;

  take(slots: number): number {
    const first = this.#taken;
    this.#taken += slots;
    if (this.#taken > this.values.length) {
      const grown = new Float64Array(Math.max(this.values.length * 2, this.#taken));
      grown.set(this.values);
      this.values = grown;
    }
    return first;
  }
}

class SlabCounter implements Counter {
  readonly #slab: Slab;
  readonly #slot: number;

  constructor(slab: Slab, slot: number) {
    this.#slab = slab;
    this.#slot = slot;
  }

  inc(amount = 1): void {
    if (!(amount >= 0)) {
      throw new ObserveError('OBSERVE_NEGATIVE_INCREMENT', `A counter can only grow: ${amount} was to be added.`);
    }
    this.#slab.values[this.#slot]! += amount;
  }
}

class SlabGauge implements Gauge {
  readonly #slab: Slab;
  readonly #slot: number;

  constructor(slab: Slab, slot: number) {
    this.#slab = slab;
    this.#slot = slot;
  }

  set(value: number): void {
    this.#slab.values[this.#slot] = value;
  }

  add(delta: number): void {
    this.#slab.values[this.#slot]! += delta;
  }
}

class SlabHistogram implements Histogram {
  readonly #slab: Slab;
  readonly #slot: number;
  readonly #bounds: Float64Array;

  constructor(slab: Slab, slot: number, bounds: Float64Array) {
    this.#slab = slab;
    this.#slot = slot;
    this.#bounds = bounds;
  }

  /** NaN belongs to no bucket and is ignored. */
  observe(value: number): void {
    if (Number.isNaN(value)) return;
    const bounds = this.#bounds;
    // The first bound that is not below the value.
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (bounds[middle]! < value) low = middle + 1;
      else high = middle;
    }
    const values = this.#slab.values;
    values[this.#slot + low]! += 1;
    values[this.#slot + bounds.length + 1]! += value;
  }
}

interface Series<H> {
  readonly labels: readonly (readonly [string, string])[];
  readonly slot: number;
  readonly handle: H;
}

interface Family {
  readonly name: string;
  readonly type: MetricType;
  help: string;
  readonly bounds: Float64Array;
  readonly series: Map<string, Series<Counter | Gauge | Histogram>>;
}

const NO_BOUNDS = new Float64Array(0);
const HISTOGRAM_SUFFIXES = ['_bucket', '_sum', '_count'] as const;

/**
 * Keeps every series in memory for exporters to read. Binding a handle looks names up and may allocate; using one
 * does neither.
 */
export class MetricRegistry implements Meter {
  readonly wantsEvents: boolean;
  readonly #onEvent: ((event: VizEvent) => void) | undefined;
  readonly #slab = new Slab();
  readonly #families = new Map<string, Family>();
  readonly #collectors = new Set<() => void>();

  constructor(options: MetricRegistryOptions = {}) {
    this.#onEvent = options.onEvent;
    this.wantsEvents = options.onEvent !== undefined;
  }

  /** @throws ObserveError if the name or a label is not valid, or the name has another type. */
  counter(name: string, labels?: Labels, options?: MetricOptions): Counter {
    const pairs = sortedLabels(name, labels);
    const family = this.#family(name, 'counter', options);
    return this.#bind(family, pairs, 1, (slot) => new SlabCounter(this.#slab, slot)) as Counter;
  }

  /** @throws ObserveError if the name or a label is not valid, or the name has another type. */
  gauge(name: string, labels?: Labels, options?: MetricOptions): Gauge {
    const pairs = sortedLabels(name, labels);
    const family = this.#family(name, 'gauge', options);
    return this.#bind(family, pairs, 1, (slot) => new SlabGauge(this.#slab, slot)) as Gauge;
  }

  /** @throws ObserveError if the name, a label or the bounds are not valid, or the name has another type. */
  histogram(name: string, labels?: Labels, options?: HistogramOptions): Histogram {
    const pairs = sortedLabels(name, labels, 'le');
    const family = this.#family(name, 'histogram', options, options?.buckets ?? DURATION_BUCKETS_SECONDS);
    const slots = family.bounds.length + 2;
    return this.#bind(family, pairs, slots, (slot) => new SlabHistogram(this.#slab, slot, family.bounds)) as Histogram;
  }

  event(event: VizEvent): void {
    this.#onEvent?.(event);
  }

  /**
   * Calls `collect` before every snapshot, for values that are read when asked for (memory, queue lengths).
   * @returns a function that ends it
   */
  onCollect(collect: () => void): () => void {
    this.#collectors.add(collect);
    return () => {
      this.#collectors.delete(collect);
    };
  }

  /** Every metric with its series, sorted by name and then by labels. */
  snapshot(): MetricSnapshot[] {
    for (const collect of this.#collectors) collect();
    const families = [...this.#families.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return families.map((family) => this.#snapshotOf(family));
  }

  #snapshotOf(family: Family): MetricSnapshot {
    const { name, help, bounds } = family;
    const values = this.#slab.values;
    const sorted = [...family.series].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, series]) => series);
    if (family.type !== 'histogram') {
      const series = sorted.map(({ labels, slot }) => ({ labels, value: values[slot]! }));
      return { type: family.type, name, help, series };
    }
    const series = sorted.map(({ labels, slot }) => {
      const bucketCounts = Array.from(values.subarray(slot, slot + bounds.length + 1));
      const count = bucketCounts.reduce((total, n) => total + n, 0);
      return { labels, bucketCounts, count, sum: values[slot + bounds.length + 1]! };
    });
    return { type: 'histogram', name, help, bounds: Array.from(bounds), series };
  }

  #family(name: string, type: MetricType, options?: MetricOptions, buckets?: readonly number[]): Family {
    let family = this.#families.get(name);
    if (family === undefined) {
      checkMetricName(name);
      this.#checkDerivedNames(name, type);
      const bounds = buckets === undefined ? NO_BOUNDS : checkedBounds(name, buckets);
      family = { name, type, help: options?.help ?? '', bounds, series: new Map() };
      this.#families.set(name, family);
    } else if (family.type !== type) {
      throw new ObserveError('OBSERVE_TYPE_CONFLICT', `${name} is a ${family.type}, it cannot also be a ${type}.`);
    } else if (family.help === '' && options?.help !== undefined) {
      family.help = options.help;
    }
    return family;
  }

  /** A histogram x is exported as x_bucket, x_sum and x_count, which therefore are taken. */
  #checkDerivedNames(name: string, type: MetricType): void {
    for (const suffix of HISTOGRAM_SUFFIXES) {
      const base = name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
      const taken =
        base !== undefined && this.#families.get(base)?.type === 'histogram'
          ? base
          : type === 'histogram' && this.#families.has(name + suffix)
            ? name + suffix
            : undefined;
      if (taken !== undefined) {
        throw new ObserveError(
          'OBSERVE_TYPE_CONFLICT',
          `${name} would be exported under the same name as ${taken}, which exists already.`,
        );
      }
    }
  }

  #bind<H extends Counter | Gauge | Histogram>(
    family: Family,
    labels: readonly (readonly [string, string])[],
    slots: number,
    create: (slot: number) => H,
  ): Counter | Gauge | Histogram {
    const key = labelKey(labels);
    const existing = family.series.get(key);
    if (existing !== undefined) return existing.handle;
    const slot = this.#slab.take(slots);
    const handle = create(slot);
    family.series.set(key, { labels, slot, handle });
    return handle;
  }
}

function checkedBounds(name: string, buckets: readonly number[]): Float64Array {
  for (let i = 0; i < buckets.length; i++) {
    if (!Number.isFinite(buckets[i]) || (i > 0 && buckets[i]! <= buckets[i - 1]!)) {
      throw new ObserveError(
        'OBSERVE_INVALID_BUCKETS',
        `The bounds of ${name} must be finite and strictly ascending, +Inf is added by itself: [${buckets.join(', ')}].`,
      );
    }
  }
  if (buckets.length === 0) throw new ObserveError('OBSERVE_INVALID_BUCKETS', `${name} needs at least one bound.`);
  return Float64Array.from(buckets);
}
