// The meter of an application that does not measure: every handle is one shared object whose methods are empty.
import type { Counter, Gauge, Histogram, Meter } from './meter.js';

const noopCounter: Counter = Object.freeze({ inc() {} });
const noopGauge: Gauge = Object.freeze({ set() {}, add() {} });
const noopHistogram: Histogram = Object.freeze({ observe() {} });

/** Throws everything away; costs a call to an empty function. */
export class NoopMeter implements Meter {
  readonly wantsEvents = false;

  counter(): Counter {
    return noopCounter;
  }

  gauge(): Gauge {
    return noopGauge;
  }

  histogram(): Histogram {
    return noopHistogram;
  }

  event(): void {}
}

/** The shared {@link NoopMeter}: the default of every component that takes a meter. */
export const noopMeter: Meter = new NoopMeter();
