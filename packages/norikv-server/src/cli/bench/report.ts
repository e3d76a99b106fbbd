// A bench report as text.
import { formatTable } from '../output.js';
import { type BenchReport, formatCount } from './run.js';

const HEADER = ['OPERATION', 'COUNT', 'PER SECOND', 'P50', 'P95', 'P99', 'P99.9', 'MAX', 'ERRORS'];
const GENERATOR_BUSY_PERCENT = 90;

/** A table of operations, and a line each for what else there is to know. */
export const formatReport = (report: BenchReport): string => {
  const lines: string[] = [];
  if (report.preload !== undefined) {
    const { keys, seconds, throughputPerS } = report.preload;
    lines.push(`wrote ${formatCount(keys)} keys in ${seconds.toFixed(1)} s, ${formatCount(throughputPerS)}/s`);
  }
  const rows = Object.entries(report.operations).map(([operation, result]) => {
    const { p50, p95, p99, 'p99.9': p999, max } = result.latencyMs;
    return [
      operation,
      formatCount(result.count),
      formatCount(result.throughputPerS),
      ...[p50, p95, p99, p999, max].map((ms) => `${ms.toFixed(3)} ms`),
      formatErrors(result.errors, result.misses),
    ];
  });
  if (rows.length > 0) lines.push(formatTable([HEADER, ...rows]).trimEnd());
  if (report.unstarted > 0) {
    lines.push(`${formatCount(report.unstarted)} operations were not started: too many were unanswered`);
  }
  if (report.generatorCpuPercent > GENERATOR_BUSY_PERCENT) {
    lines.push(`this process used ${Math.round(report.generatorCpuPercent)} % of a core and may have been the limit`);
  }
  return `${lines.join('\n')}\n`;
};

const formatErrors = (errors: Readonly<Record<string, number>>, misses: number): string => {
  const parts = Object.entries(errors).map(([code, count]) => `${code} ${formatCount(count)}`);
  if (misses > 0) parts.push(`absent ${formatCount(misses)}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
};
