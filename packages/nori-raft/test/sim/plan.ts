// What a run will do, drawn from its seed up front: how the cluster is built, what goes wrong when, and what the clients
// ask for. The run itself takes it from there, so a failing plan can be cut down and run again.
//
// There is one configuration for all seeds; only its weights differ, so that some seeds are calm and some wild.
import { type DiskLatency, type LinkQuality, Rng } from 'nori-testkit';
import type { MapFunction } from './replicated-map.js';
import { drawWeighted } from './weighted.js';

/** How the cluster is built. */
export interface SeedConfig {
  /** Replicas at the start, all voters. */
  readonly voters: number;
  /** When faults end. */
  readonly faultMs: number;
  readonly keys: number;
  readonly lease: boolean;
  readonly preVote: boolean;
  readonly forwardProposals: boolean;
  readonly stepDownOnRemoval: boolean;
  readonly appendBytesMax: number;
  readonly inflightAppendsMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
  readonly applyingBytesMax: number;
  /** See LogStorageOptions. */
  readonly lazyLog: boolean;
  readonly readsEarly: boolean;
  readonly network: LinkQuality;
  readonly disk: DiskLatency;
  /** A snapshot is taken when this many entries are applied since the last. */
  readonly snapshotEvery: number;
  /** Entries that are kept before a snapshot. */
  readonly trailingMax: number;
  readonly applyDelayMaxMs: number;
  readonly paddingMax: number;
  /** Clocks of different rates. */
  readonly drift: boolean;
  /** How far the rates of two clocks may be apart, as a fraction. */
  readonly maxClockDrift: number;
  /** What stays broken at first when the faults end. */
  readonly firstTrouble: Trouble;
  /** What is broken later, when all is well again. */
  readonly lastTrouble: Trouble;
}

/**
 * Something that stays broken while the rest must get on with its work: a minority that is down or cut off, a replica
 * that cannot hear or cannot speak, disks that never answer, a network in which no majority sees each other.
 */
export type Trouble = 'none' | 'down' | 'isolated' | 'deaf' | 'mute' | 'stalled' | 'chain' | 'ring' | 'bridge';

export const FAULT_TYPES = [
  'split',
  'isolate',
  'one-way',
  'chain',
  'ring',
  'bridge',
  'cut-link',
  'cut-clients',
  'weather',
  'slow-link',
  'clock-rate',
  'wall-forward',
  'pause',
  'suspend',
  'kill',
  'power-failure',
  'crash-at',
  'outage',
  'disk-stall',
  'disk-slow',
  'disk-error',
  'transfer',
  'flood',
  'forget-leader',
  'campaign',
  'report-unreachable',
  'report-snapshot',
  'member',
  'snapshot',
  'withhold-snapshot',
  'apply-lag',
] as const;

export type FaultType = (typeof FAULT_TYPES)[number];

/** One thing that goes wrong. What it hits is settled when it happens, by `aim` and `pick`. */
export interface Fault {
  readonly atMs: number;
  readonly type: FaultType;
  readonly aim: 'leader' | 'any';
  /** 32 random bits to choose by. */
  readonly pick: number;
  readonly durationMs: number;
  /** How bad, from 0 to 1. */
  readonly degree: number;
}

/** How a client reads. `log`: by way of a log entry, as a write. */
export type ReadKind = 'lease' | 'index' | 'follower' | 'log';

/** What a client asks for, one after the other. */
export interface ClientOperation {
  readonly f: MapFunction;
  readonly key: number;
  readonly read: ReadKind;
  /** Pause before it. */
  readonly thinkMs: number;
  /** 32 random bits to choose by. */
  readonly pick: number;
}

export interface Plan {
  /** Seed of all chance within the run: delays, latencies, losses. */
  readonly noise: number;
  readonly config: SeedConfig;
  readonly faults: readonly Fault[];
  /** By client. */
  readonly operations: readonly (readonly ClientOperation[])[];
}

export function makePlan(seed: number): Plan {
  const rng = new Rng(seed);
  const config = makeConfig(rng.fork());
  return {
    noise: seed,
    config,
    faults: makeFaults(rng.fork(), config),
    operations: makeOperations(rng.fork(), config),
  };
}

function makeConfig(rng: Rng): SeedConfig {
  const limited = rng.chance(0.5);
  const slowDisk = rng.chance(0.3);
  const slowNetwork = rng.chance(0.3);
  const preVote = rng.chance(0.9);
  return {
    voters: rng.pick([1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 5]),
    faultMs: rng.range(15_000, 25_000),
    keys: rng.range(2, 4),
    lease: rng.chance(0.85),
    preVote,
    forwardProposals: rng.chance(0.3),
    stepDownOnRemoval: rng.chance(0.9),
    appendBytesMax: limited ? rng.range(1, 1000) : 1 << 20,
    inflightAppendsMax: limited ? rng.range(1, 6) : 256,
    inflightBytesMax: limited ? rng.range(1, 2000) : 1 << 26,
    uncommittedBytesMax: limited ? rng.range(100, 3000) : 1 << 26,
    applyingBytesMax: limited ? rng.range(1, 2000) : 1 << 26,
    lazyLog: rng.chance(0.7),
    readsEarly: rng.chance(0.5),
    network: {
      delayMinMs: 0.2,
      delayMaxMs: slowNetwork ? rng.pick([30, 30, 150]) : 4,
      tailRate: rng.chance(0.3) ? rng.pick([0.01, 0.05]) : 0,
      tailMaxMs: rng.pick([400, 3000]),
      lossRate: rng.chance(0.3) ? 0.01 : 0,
      duplicateRate: rng.chance(0.3) ? 0.02 : 0,
      ordered: rng.chance(0.6),
    },
    disk: {
      writeMinMs: 0.05,
      writeMaxMs: 0.3,
      syncMinMs: 0.2,
      syncMaxMs: slowDisk ? 40 : 4,
    },
    snapshotEvery: rng.chance(0.2) ? rng.range(2, 10) : rng.range(8, 120),
    trailingMax: rng.chance(0.5) ? 0 : rng.range(1, 40),
    applyDelayMaxMs: rng.pick([0.5, 3, 20, 100]),
    paddingMax: rng.pick([0, 40, 700]),
    drift: rng.chance(0.7),
    // Without pre-vote the replica with a clock twice as fast as the others' would never let them be elected.
    maxClockDrift: preVote ? rng.pick([0.1, 0.1, 0.3, 0.5]) : 0.1,
    firstTrouble: rng.pick(['none', 'none', 'none', 'down', 'down', 'isolated', 'deaf', 'mute', 'stalled']),
    lastTrouble: rng.pick([
      'none',
      'none',
      'none',
      'chain',
      'ring',
      'bridge',
      'deaf',
      'mute',
      'isolated',
      'down',
      'stalled',
      'stalled',
    ]),
  };
}

/** How often each fault comes up, compared with the others, before a seed's own taste. */
const WEIGHTS: Readonly<Record<FaultType, number>> = {
  split: 3,
  isolate: 4,
  'one-way': 2,
  chain: 1,
  ring: 1,
  bridge: 1,
  'cut-link': 2,
  'cut-clients': 1,
  weather: 4,
  'slow-link': 2,
  'clock-rate': 2,
  'wall-forward': 1,
  pause: 5,
  suspend: 3,
  kill: 4,
  'power-failure': 6,
  'crash-at': 8,
  outage: 1,
  'disk-stall': 4,
  'disk-slow': 2,
  'disk-error': 3,
  transfer: 6,
  flood: 3,
  'forget-leader': 3,
  campaign: 3,
  'report-unreachable': 1,
  'report-snapshot': 1,
  member: 12,
  snapshot: 2,
  'withhold-snapshot': 1,
  'apply-lag': 4,
};

function makeFaults(rng: Rng, { faultMs }: SeedConfig): Fault[] {
  const weights = FAULT_TYPES.map((type) => (rng.chance(0.25) ? 0 : WEIGHTS[type] * -Math.log(1 - rng.next())));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // From calm (a fault every three seconds) to wild (seven a second).
  const meanMs = 3000 * 0.05 ** rng.next();
  const faults: Fault[] = [];
  for (let atMs = 1500 * rng.next(); atMs < faultMs && total > 0; atMs += meanMs * -Math.log(1 - rng.next())) {
    const durationMs = Math.min(rng.chance(0.2) ? 1200 + 3500 * rng.next() : 20 + 900 * rng.next(), faultMs - atMs);
    const fault: Fault = {
      atMs,
      type: drawWeighted(rng, FAULT_TYPES, weights, total),
      aim: rng.chance(0.45) ? 'leader' : 'any',
      pick: rng.uint32(),
      durationMs,
      degree: rng.next(),
    };
    faults.push(fault);
    // Trouble seldom comes alone: what hits a replica that has just been hit finds what single faults do not.
    for (let afterMs = 0; rng.chance(0.3); ) {
      afterMs += rng.next() * rng.pick([2, 20, 1000]);
      faults.push({
        ...fault,
        atMs: atMs + afterMs,
        type: drawWeighted(rng, FAULT_TYPES, weights, total),
        degree: rng.next(),
      });
    }
  }
  return faults.filter((fault) => fault.atMs < faultMs).sort((a, b) => a.atMs - b.atMs);
}

/** More than a client gets done. */
const OPERATIONS_MAX = 500;

function makeOperations(rng: Rng, { keys }: SeedConfig): ClientOperation[][] {
  const clients = rng.range(3, 7);
  const thinkMs = 10 + 100 * rng.next();
  const writes = 0.3 + 0.5 * rng.next();
  return Array.from({ length: clients }, () =>
    Array.from({ length: OPERATIONS_MAX }, () => ({
      f: rng.chance(writes) ? rng.pick(['put', 'put', 'delete', 'cas', 'cas'] as const) : 'get',
      key: rng.int(keys),
      read: rng.pick(['lease', 'lease', 'lease', 'index', 'follower', 'follower', 'log'] as const),
      thinkMs: -Math.log(1 - rng.next()) * thinkMs,
      pick: rng.uint32(),
    })),
  );
}
