// The meter of a test: a registry that can be asked for one series, and that keeps every event.
import type { VizEvent } from './events.js';
import type { Counter, Gauge, Histogram, HistogramOptions, Labels, Meter, MetricOptions } from './meter.js';
import { MetricRegistry } from './metric-registry.js';
import { labelKey, sortedLabels } from './series-name.js';

/** Records what a component measured. */
export class RecordingMeter implements Meter {
  readonly wantsEvents = true;
  /** Every event so far, oldest first. */
  readonly events: VizEvent[] = [];
  readonly #registry = new MetricRegistry();

  counter(name: string, labels?: Labels, options?: MetricOptions): Counter {
    return this.#registry.counter(name, labels, options);
  }

  gauge(name: string, labels?: Labels, options?: MetricOptions): Gauge {
    return this.#registry.gauge(name, labels, options);
  }

  histogram(name: string, labels?: Labels, options?: HistogramOptions): Histogram {
    return this.#registry.histogram(name, labels, options);
  }

  event(event: VizEvent): void {
    this.events.push(event);
  }

  /**
   * The value of a counter or gauge, or the sum of a histogram: of the series with exactly `labels`, or of all series
   * of the name together when `labels` is left out. 0 for what was never bound.
   */
  value(name: string, labels?: Labels): number {
    return this.#total(name, labels, 'value');
  }

  /** How many values a histogram has observed; series are chosen as in {@link RecordingMeter.value}. */
  count(name: string, labels?: Labels): number {
    return this.#total(name, labels, 'count');
  }

  #total(name: string, labels: Labels | undefined, what: 'value' | 'count'): number {
    const metric = this.#registry.snapshot().find((candidate) => candidate.name === name);
    if (metric === undefined) return 0;
    const wanted = labels === undefined ? undefined : labelKey(sortedLabels(name, labels));
    let total = 0;
    for (const series of metric.series) {
      if (wanted !== undefined && labelKey(series.labels) !== wanted) continue;
      if ('count' in series) total += what === 'count' ? series.count : series.sum;
      else if (what === 'value') total += series.value;
    }
    return total;
  }
}
