// What a run of many groups will do, drawn from its seed up front: nodes and groups, what goes wrong when, what clients ask for.
//
// There is one configuration for all seeds; only its weights differ, so that some seeds are calm and some wild.
import { type LinkQuality, Rng } from 'nori-testkit';
import type { MapFunction } from '../sim/replicated-map.js';
import { drawWeighted } from '../sim/weighted.js';

/** How the nodes are built. */
export interface MultiConfig {
  readonly nodes: number;
  /** At the start. */
  readonly groups: number;
  /** When faults end. */
  readonly faultMs: number;
  readonly keys: number;
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
  readonly callTimeoutMs: number;
  readonly network: LinkQuality;
  readonly disk: DiskSpeed;
  readonly segmentBytesMax: number;
  readonly pinnedBytesMax: number;
  readonly durability: 'sync' | 'batch';
  readonly snapshotChunkBytes: number;
  readonly snapshotsMax: number;
  readonly unappliedBytesMax: number;
  readonly uncommittedBytesMax: number;
  /** Bytes that a state machine's state has at least. */
  readonly ballastBytes: number;
  /** Time between two flushes of a state machine, on average. */
  readonly flushEveryMs: number;
  /** Share of applications, from 0 to 1, that take time. */
  readonly slowApplyRate: number;
  readonly applyMaxMs: number;
  readonly paddingMax: number;
  /** How far the rates of two clocks may be apart, as a fraction. */
  readonly maxClockDrift: number;
  /** Groups prefer to be led by one of their replicas. */
  readonly preferred: boolean;
  /** What stays broken at first when the faults end. */
  readonly trouble: Trouble;
}

/** Milliseconds that operations of a disk take. */
export interface DiskSpeed {
  readonly writeMaxMs: number;
  readonly syncMaxMs: number;
}

/** Something that stays broken on one node, while all groups that can do without it must get on with their work. */
export type Trouble = 'none' | 'down' | 'isolated' | 'deaf' | 'mute' | 'disk-stall' | 'disk-full';

export const MULTI_FAULT_TYPES = [
  'split',
  'isolate',
  'one-way',
  'chain',
  'bridge',
  'cut-link',
  'cut-lane',
  'weather',
  'clock-rate',
  'wall-jump',
  'pause',
  'suspend',
  'kill',
  'power-failure',
  'crash-at',
  'outage',
  'disk-stall',
  'disk-stall-for-ever',
  'disk-slow',
  'disk-error',
  'disk-full',
  'disk-wiped',
  'disk-damage',
  'transfer',
  'member',
  'new-group',
  'flush',
  'apply-lag',
] as const;

export type MultiFaultType = (typeof MULTI_FAULT_TYPES)[number];

/** One thing that goes wrong. What it hits is settled when it happens, by `aim` and `pick`. */
export interface MultiFault {
  readonly atMs: number;
  readonly type: MultiFaultType;
  /** `leader`: the node that leads the most groups. */
  readonly aim: 'leader' | 'any';
  /** 32 random bits to choose by. */
  readonly pick: number;
  readonly durationMs: number;
  /** How bad, from 0 to 1. */
  readonly degree: number;
}

/** How a client reads. `log`: by way of a log entry, as a write. */
export type MultiReadKind = 'lease' | 'index' | 'follower' | 'log';

/** What a client asks for, one after the other. */
export interface MultiOperation {
  /** Chooses the group. */
  readonly group: number;
  readonly f: MapFunction;
  readonly key: number;
  readonly read: MultiReadKind;
  /** Pause before it. */
  readonly thinkMs: number;
  /** 32 random bits to choose by. */
  readonly pick: number;
}

export interface MultiPlan {
  /** Seed of all chance within the run. */
  readonly noise: number;
  readonly config: MultiConfig;
  readonly faults: readonly MultiFault[];
  /** By client. */
  readonly operations: readonly (readonly MultiOperation[])[];
}

export function makeMultiPlan(seed: number): MultiPlan {
  const rng = new Rng(seed);
  const config = makeConfig(rng.fork());
  return {
    noise: seed,
    config,
    faults: makeFaults(rng.fork(), config),
    operations: makeOperations(rng.fork(), config),
  };
}

function makeConfig(rng: Rng): MultiConfig {
  const isSmall = rng.chance(0.4);
  const segmentBytesMax = rng.pick([4096, 8192, 8192, 16_384]);
  const electionTimeoutMs = rng.pick([500, 500, 1000]);
  return {
    nodes: rng.pick([3, 3, 3, 4, 5]),
    groups: rng.pick([2, 3, 4, 5, 6, 9]),
    faultMs: rng.range(6000, 11_000),
    keys: rng.range(2, 3),
    heartbeatMs: electionTimeoutMs / 5,
    electionTimeoutMs,
    callTimeoutMs: rng.range(500, 3000),
    network: {
      delayMinMs: 0.2,
      delayMaxMs: rng.pick([2, 2, 10, 40]),
      tailRate: rng.chance(0.3) ? 0.02 : 0,
      tailMaxMs: 400,
      lossRate: rng.chance(0.3) ? 0.004 : 0,
      duplicateRate: 0,
      ordered: true,
    },
    disk: { writeMaxMs: rng.pick([0.3, 2]), syncMaxMs: rng.pick([2, 4, 30]) },
    segmentBytesMax,
    pinnedBytesMax: rng.pick([0, segmentBytesMax, 4 * segmentBytesMax]),
    durability: rng.pick(['sync', 'batch'] as const),
    snapshotChunkBytes: rng.pick([100, 400, 100_000]),
    snapshotsMax: rng.range(1, 3),
    unappliedBytesMax: isSmall ? rng.range(100, 2000) : 1 << 26,
    uncommittedBytesMax: isSmall ? rng.range(100, 3000) : 1 << 24,
    ballastBytes: rng.pick([0, 300, 3000]),
    flushEveryMs: rng.pick([100, 400, 1500, 4000]),
    slowApplyRate: rng.pick([0, 0.1, 0.5]),
    applyMaxMs: rng.pick([1, 20, 150]),
    paddingMax: rng.pick([0, 60, 500]),
    maxClockDrift: rng.pick([0.1, 0.1, 0.3]),
    preferred: rng.chance(0.5),
    trouble: rng.pick(['none', 'down', 'isolated', 'deaf', 'mute', 'disk-stall', 'disk-stall', 'disk-full'] as const),
  };
}

/** How often each fault comes up, compared with the others, before a seed's own taste. */
const WEIGHTS: Readonly<Record<MultiFaultType, number>> = {
  split: 2,
  isolate: 3,
  'one-way': 2,
  chain: 1,
  bridge: 1,
  'cut-link': 2,
  'cut-lane': 2,
  weather: 3,
  'clock-rate': 1,
  'wall-jump': 1,
  pause: 3,
  suspend: 2,
  kill: 4,
  'power-failure': 7,
  'crash-at': 9,
  outage: 2,
  'disk-stall': 3,
  'disk-stall-for-ever': 1,
  'disk-slow': 2,
  'disk-error': 4,
  'disk-full': 2,
  'disk-wiped': 0.7,
  'disk-damage': 0.7,
  transfer: 4,
  member: 12,
  'new-group': 1,
  flush: 3,
  'apply-lag': 2,
};

function makeFaults(rng: Rng, { faultMs }: MultiConfig): MultiFault[] {
  const weights = MULTI_FAULT_TYPES.map((type) => (rng.chance(0.2) ? 0 : WEIGHTS[type] * -Math.log(1 - rng.next())));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // From calm (a fault every two seconds) to wild (seven a second).
  const meanMs = 2000 * 0.07 ** rng.next();
  const faults: MultiFault[] = [];
  for (let atMs = 300 + 700 * rng.next(); atMs < faultMs && total > 0; atMs += meanMs * -Math.log(1 - rng.next())) {
    const durationMs = Math.min(rng.chance(0.2) ? 800 + 2500 * rng.next() : 20 + 700 * rng.next(), faultMs - atMs);
    const fault: MultiFault = {
      atMs,
      type: drawWeighted(rng, MULTI_FAULT_TYPES, weights, total),
      aim: rng.chance(0.4) ? 'leader' : 'any',
      pick: rng.uint32(),
      durationMs,
      degree: rng.next(),
    };
    faults.push(fault);
    // Trouble seldom comes alone.
    for (let afterMs = 0; rng.chance(0.3); ) {
      afterMs += rng.next() * rng.pick([2, 20, 700]);
      faults.push({
        ...fault,
        atMs: atMs + afterMs,
        type: drawWeighted(rng, MULTI_FAULT_TYPES, weights, total),
        degree: rng.next(),
      });
    }
  }
  return faults.filter((fault) => fault.atMs < faultMs).sort((a, b) => a.atMs - b.atMs);
}

/** More than a client gets done. */
const OPERATIONS_MAX = 400;

function makeOperations(rng: Rng, { keys }: MultiConfig): MultiOperation[][] {
  const clients = rng.range(4, 8);
  const thinkMs = 5 + 40 * rng.next();
  const writes = 0.4 + 0.4 * rng.next();
  return Array.from({ length: clients }, () =>
    Array.from({ length: OPERATIONS_MAX }, () => ({
      // Some groups are busy, others are seldom asked.
      group: Math.floor(rng.next() ** 2 * 1000),
      f: rng.chance(writes) ? rng.pick(['put', 'put', 'delete', 'cas', 'cas'] as const) : 'get',
      key: rng.int(keys),
      read: rng.pick(['lease', 'lease', 'lease', 'index', 'follower', 'follower', 'log'] as const),
      thinkMs: -Math.log(1 - rng.next()) * thinkMs,
      pick: rng.uint32(),
    })),
  );
}
