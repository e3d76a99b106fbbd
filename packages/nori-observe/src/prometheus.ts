// Prometheus text exposition format, version 0.0.4: per metric a HELP and a TYPE line, then one line a series.
// Metrics come sorted by name and series by labels, so that two scrapes of the same state are equal byte by byte.
import type { MetricRegistry, MetricSnapshot } from './metric-registry.js';

/** The Content-Type to serve {@link renderPrometheus} with. */
export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type LabelPairs = readonly (readonly [string, string])[];

/** All metrics of the registry as text, ending with a newline (the empty string when there are none). */
export function renderPrometheus(registry: MetricRegistry): string {
  const lines: string[] = [];
  for (const metric of registry.snapshot()) renderMetric(metric, lines);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function renderMetric(metric: MetricSnapshot, lines: string[]): void {
  const { name } = metric;
  if (metric.help !== '') lines.push(`# HELP ${name} ${escapeHelp(metric.help)}`);
  lines.push(`# TYPE ${name} ${metric.type}`);
  if (metric.type !== 'histogram') {
    for (const { labels, value } of metric.series) lines.push(`${name}${renderLabels(labels)} ${renderNumber(value)}`);
    return;
  }
  for (const { labels, bucketCounts, count, sum } of metric.series) {
    let cumulative = 0;
    for (const [i, bound] of metric.bounds.entries()) {
      cumulative += bucketCounts[i]!;
      lines.push(`${name}_bucket${renderLabels(labels, renderNumber(bound))} ${cumulative}`);
    }
    lines.push(`${name}_bucket${renderLabels(labels, '+Inf')} ${count}`);
    lines.push(`${name}_sum${renderLabels(labels)} ${renderNumber(sum)}`);
    lines.push(`${name}_count${renderLabels(labels)} ${count}`);
  }
}

function renderLabels(labels: LabelPairs, le?: string): string {
  if (labels.length === 0 && le === undefined) return '';
  const parts = labels.map(([name, value]) => `${name}="${escapeLabelValue(value)}"`);
  if (le !== undefined) parts.push(`le="${le}"`);
  return `{${parts.join(',')}}`;
}

function renderNumber(value: number): string {
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabelValue(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
