// The latest events of the node, for those who watch it live. A bounded ring: what a watcher missed is counted, not kept.
import type { Counter, Gauge, Histogram, HistogramOptions, Labels, Meter, MetricOptions, VizEvent } from 'nori-observe';

/** Events kept for watchers that come later or fall behind. */
const RING_EVENTS = 1024;

/** Events after a position, and how many before them are lost. */
export interface EventSlice {
  /** Position after the last event. */
  readonly next: number;
  readonly dropped: number;
  readonly events: readonly VizEvent[];
}

/** Keeps the last events. Positions count all events ever published, from 0. */
export class EventHub {
  readonly #ring: VizEvent[] = [];
  #next = 0;

  /** Position of the next event. */
  get next(): number {
    return this.#next;
  }

  publish(event: VizEvent): void {
    this.#ring[this.#next % RING_EVENTS] = event;
    this.#next++;
  }

  /** What was published from `position` on, as far as it is kept. */
  since(position: number): EventSlice {
    const oldest = Math.max(0, this.#next - RING_EVENTS);
    const from = Math.max(position, oldest);
    const events: VizEvent[] = [];
    for (let at = from; at < this.#next; at++) events.push(this.#ring[at % RING_EVENTS]!);
    return { next: this.#next, dropped: from - position, events };
  }

  /** A meter that measures through `meter` and publishes its events here too. */
  tap(meter: Meter): Meter {
    return new TappedMeter(meter, this);
  }
}

class TappedMeter implements Meter {
  readonly wantsEvents = true;
  readonly #meter: Meter;
  readonly #hub: EventHub;

  constructor(meter: Meter, hub: EventHub) {
    this.#meter = meter;
    this.#hub = hub;
  }

  counter(name: string, labels?: Labels, options?: MetricOptions): Counter {
    return this.#meter.counter(name, labels, options);
  }

  gauge(name: string, labels?: Labels, options?: MetricOptions): Gauge {
    return this.#meter.gauge(name, labels, options);
  }

  histogram(name: string, labels?: Labels, options?: HistogramOptions): Histogram {
    return this.#meter.histogram(name, labels, options);
  }

  event(event: VizEvent): void {
    this.#hub.publish(event);
    if (this.#meter.wantsEvents) this.#meter.event(event);
  }
}
