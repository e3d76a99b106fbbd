// The rules for names, which are those of the Prometheus text format: what passes here can always be exported.
import type { Labels } from './meter.js';
import { ObserveError } from './observe-error.js';

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

/** @throws ObserveError `OBSERVE_INVALID_NAME` */
export function checkMetricName(name: string): void {
  if (!METRIC_NAME.test(name)) {
    throw new ObserveError(
      'OBSERVE_INVALID_NAME',
      `Metric name ${JSON.stringify(name)} is not valid: use letters, digits, _ and :, and do not begin with a digit.`,
    );
  }
}

/**
 * Label pairs sorted by name, so that the order in which labels are written does not matter.
 * @throws ObserveError `OBSERVE_INVALID_LABEL`
 */
export function sortedLabels(metric: string, labels: Labels | undefined, reserved?: string): [string, string][] {
  if (labels === undefined) return [];
  const pairs = Object.entries(labels);
  for (const [name, value] of pairs) {
    if (!LABEL_NAME.test(name)) {
      throw new ObserveError(
        'OBSERVE_INVALID_LABEL',
        `Label name ${JSON.stringify(name)} of ${metric} is not valid: use letters, digits and _, and do not begin with a digit or __.`,
      );
    }
    if (name === reserved) {
      throw new ObserveError('OBSERVE_INVALID_LABEL', `Label ${name} of ${metric} is reserved for bucket bounds.`);
    }
    if (typeof value !== 'string') {
      throw new ObserveError('OBSERVE_INVALID_LABEL', `The value of label ${name} of ${metric} must be a string.`);
    }
  }
  return pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** One string for a set of sorted labels, unambiguous whatever the values contain. */
export function labelKey(pairs: readonly (readonly [string, string])[]): string {
  return pairs.length === 0 ? '' : JSON.stringify(pairs);
}
