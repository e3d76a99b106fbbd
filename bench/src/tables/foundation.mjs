// The single node: throughput of many callers, latency of one, memory under a large load. Values of 1 KiB, every put
// durable before it is acknowledged, node and generator in two processes on this machine. Each measurement has a new node.
import { setTimeout as sleep } from 'node:timers/promises';
import { assertClean, generate } from '../generator.mjs';
import { flushNode, withNode } from '../node-process.mjs';
import { peakResidentMibOf } from '../process-stats.mjs';

const VALUE_BYTES = 1024;
const KEYS = 100_000;
const MANY_CALLERS = 256;
/** What the node does with tables after a flush is done within this. */
const SETTLE_MS = 2000;

const perSecond = (figure) => `${Math.round(figure).toLocaleString('en-US')}/s`;
const milliseconds = (figure) => `${figure.toFixed(figure < 1 ? 3 : 2)} ms`;
const mebibytes = (figure) => `${Math.round(figure)} MiB`;

const load = (node, keys) =>
  generate(node, { keys, 'value-bytes': VALUE_BYTES, preload: true, 'duration-s': 0, quiet: true });

/** Measures one mix. `prepared`: the keys are written and flushed to tables before. */
const measureMix =
  ({ operation, callers, prepared, figureOf }) =>
  async (plan, say) =>
    withNode([], async (node) => {
      if (prepared) {
        const { preload } = await load(node, KEYS);
        say(`wrote ${KEYS} keys in ${preload.seconds.toFixed(1)} s`);
        await flushNode(node.rpc);
        await sleep(SETTLE_MS);
      }
      const report = await generate(node, {
        mix: `${operation}=1`,
        keys: KEYS,
        'value-bytes': VALUE_BYTES,
        callers,
        'duration-s': plan.durationS,
        'warmup-s': plan.warmupS,
        'no-preload': true,
        quiet: true,
      });
      assertClean(report);
      const result = report.operations[operation];
      const { p50, p99, max } = result.latencyMs;
      say(
        `${perSecond(result.throughputPerS)}, p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}, max ${milliseconds(max)}`,
      );
      return { ...report, figure: figureOf(result), peakResidentMib: peakResidentMibOf(node.pid) };
    });

const throughputOf = (result) => result.throughputPerS;
const medianOf = (result) => result.latencyMs.p50;

const measureLoad = (keys, quickKeys) => async (plan, say) =>
  withNode([], async (node) => {
    const report = await load(node, plan.quick ? quickKeys : keys);
    const { seconds, throughputPerS } = report.preload;
    say(`${seconds.toFixed(1)} s, ${perSecond(throughputPerS)}`);
    return { ...report, figure: peakResidentMibOf(node.pid) };
  });

/** Rows in the order in which they are measured. */
export const foundation = [
  {
    id: 'put-256',
    what: `put, ${MANY_CALLERS} callers`,
    floor: 20_000,
    goal: 50_000,
    smallerIsBetter: false,
    format: perSecond,
    measure: measureMix({ operation: 'put', callers: MANY_CALLERS, prepared: false, figureOf: throughputOf }),
  },
  {
    id: 'get-256',
    what: `get, ${MANY_CALLERS} callers, 100,000 keys`,
    floor: 60_000,
    goal: 120_000,
    smallerIsBetter: false,
    format: perSecond,
    measure: measureMix({ operation: 'get', callers: MANY_CALLERS, prepared: true, figureOf: throughputOf }),
  },
  {
    id: 'get-1',
    what: 'get, one caller, median latency',
    floor: 0.35,
    goal: 0.2,
    smallerIsBetter: true,
    format: milliseconds,
    measure: measureMix({ operation: 'get', callers: 1, prepared: true, figureOf: medianOf }),
  },
  {
    id: 'put-1',
    what: 'durable put, one caller, median latency',
    floor: 0.8,
    goal: 0.5,
    smallerIsBetter: true,
    format: milliseconds,
    measure: measureMix({ operation: 'put', callers: 1, prepared: false, figureOf: medianOf }),
  },
  {
    id: 'load',
    what: '1 million keys loaded, peak RSS of the node',
    quickWhat: '100,000 keys loaded, peak RSS of the node',
    floor: 900,
    goal: 600,
    smallerIsBetter: true,
    format: mebibytes,
    measure: measureLoad(1_000_000, 100_000),
  },
];
