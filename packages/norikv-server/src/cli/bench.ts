// norikv bench: load on a running node, from this process, with the latencies it saw.
import { Command } from 'commander';
import { parseChoice, parseInteger, parseNumber } from './arguments.js';
import { type BenchPlan, DISTRIBUTIONS, parseMix } from './bench/plan.js';
import { CommandFailure, usageFailure } from './failure.js';
import { writeJson, writeOut } from './output.js';
import { sessionOptions, withClient } from './session.js';

interface BenchFlags {
  readonly mix: string;
  readonly keys: string;
  readonly valueBytes: string;
  readonly callers: string;
  readonly durationS: string;
  readonly warmupS: string;
  readonly rate?: string;
  readonly distribution: string;
  readonly keyPrefix: string;
  readonly seed: string;
  readonly preload?: boolean;
  readonly quiet?: boolean;
}

const VALUE_BYTES_MAX = 1024 * 1024;
const KEYS_MAX = 1_000_000_000;
const PREFIX_LENGTH_MAX = 200;

export const benchCommand = (): Command =>
  new Command('bench')
    .description('put load on a node and print throughput and latencies')
    .option('--mix <SHARES>', 'operations and their shares', 'put=50,get=50')
    .option('--keys <N>', 'number of different keys', '100000')
    .option('--value-bytes <N>', 'size of a value', '1024')
    .option('--callers <N>', 'operations in flight; with --rate: at most', '256')
    .option('--duration-s <N>', 'how long to measure; 0: only write the keys', '10')
    .option('--warmup-s <N>', 'how long to run before that', '3')
    .option('--rate <N>', 'operations a second, each timed from its planned start; default: as fast as answers come')
    .option('--distribution <NAME>', `which keys: ${DISTRIBUTIONS.join(', ')}`, 'uniform')
    .option('--key-prefix <TEXT>', 'what keys begin with', 'bench:')
    .option('--seed <N>', 'of the random choices', '1')
    .option('--preload', 'write every key once first (default if the mix has gets)')
    .option('--no-preload', 'do not write the keys first')
    .option('--quiet', 'no progress on stderr')
    .action(async (flags: BenchFlags, command: Command) => {
      const session = sessionOptions(command);
      const plan = readPlan(flags);
      const { runBench } = await import('./bench/run.js');
      const { formatReport } = await import('./bench/report.js');
      const say = flags.quiet ? () => undefined : (line: string) => void process.stderr.write(`${line}\n`);
      const report = await withClient(session, (client) => runBench(client, plan, say));
      if (session.output === 'json') await writeJson({ endpoints: session.endpoints, ...report });
      else await writeOut(formatReport(report));
      const results = Object.values(report.operations);
      if (results.some((result) => result.count === 0 && Object.keys(result.errors).length > 0)) {
        throw new CommandFailure('BENCH_FAILED', 'No operation of one kind succeeded; see its errors.');
      }
    });

const readPlan = (flags: BenchFlags): BenchPlan => {
  const mix = parseMix(flags.mix);
  if (flags.keyPrefix.length > PREFIX_LENGTH_MAX) {
    throw usageFailure(`--key-prefix: allowed: at most ${PREFIX_LENGTH_MAX} characters`);
  }
  return {
    mix,
    keys: parseInteger('--keys', flags.keys, 1, KEYS_MAX),
    valueBytes: parseInteger('--value-bytes', flags.valueBytes, 0, VALUE_BYTES_MAX),
    callers: parseInteger('--callers', flags.callers, 1, 100_000),
    durationS: parseNumber('--duration-s', flags.durationS, 0, 86_400),
    warmupS: parseNumber('--warmup-s', flags.warmupS, 0, 86_400),
    ratePerS: flags.rate === undefined ? undefined : parseNumber('--rate', flags.rate, 1, 10_000_000),
    distribution: parseChoice('--distribution', flags.distribution, DISTRIBUTIONS),
    keyPrefix: flags.keyPrefix,
    seed: parseInteger('--seed', flags.seed, 0, 0xffff_ffff),
    preload: flags.preload ?? mix.get > 0,
  };
};
