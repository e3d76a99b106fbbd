import { type Meter, MetricRegistry, noopMeter } from 'nori-observe';
import { renderPrometheus } from 'nori-observe/prometheus';

class Mailbox {
  readonly #received;
  constructor(meter: Meter = noopMeter) {
    this.#received = meter.counter('mail_received_total', { result: 'ok' }, { help: 'Letters received.' });
  }
  receive(): void {
    this.#received.inc();
  }
}

const registry = new MetricRegistry();
new Mailbox(registry).receive();
export const text = renderPrometheus(registry);
