// For components, which measure.
export * from './events.js';
export * from './meter.js';
// For applications and exporters, which read.
export {
  type HistogramSeries,
  MetricRegistry,
  type MetricRegistryOptions,
  type MetricSnapshot,
  type MetricType,
  type ValueSeries,
} from './metric-registry.js';
export { NoopMeter, noopMeter } from './noop-meter.js';
export { ObserveError, type ObserveErrorCode } from './observe-error.js';
export { RecordingMeter } from './recording-meter.js';
