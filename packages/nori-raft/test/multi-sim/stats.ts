// What happened in a run of many groups, counted.
import type { MultiFaultType, MultiReadKind } from './plan.js';

export interface MultiStats {
  events: number;
  virtualMs: number;
  faults: Partial<Record<MultiFaultType, number>>;
  crashes: number;
  crashesAtOperations: number;
  failStops: number;
  opens: number;
  /** Opens that found writes which nobody had been told of. */
  opensWithMore: number;
  elections: number;
  configs: number;
  groups: number;
  replicas: number;
  removed: number;
  resurrectionsTried: number;
  snapshotsSent: number;
  installs: number;
  checkpoints: number;
  committed: number;
  frames: number;
  framesLost: number;
  /** Connections that were refused because of another log. */
  refusals: number;
  noSpace: number;
  /** Bytes of logs that were changed, and logs that were refused for it. */
  damages: number;
  damagesFound: number;
  operations: number;
  unknown: number;
  givenUp: number;
  completed: Record<MultiReadKind | 'write', number>;
  recoveryMs: number;
  checkerSteps: number;
}

export function emptyMultiStats(): MultiStats {
  return {
    events: 0,
    virtualMs: 0,
    faults: {},
    crashes: 0,
    crashesAtOperations: 0,
    failStops: 0,
    opens: 0,
    opensWithMore: 0,
    elections: 0,
    configs: 0,
    groups: 0,
    replicas: 0,
    removed: 0,
    resurrectionsTried: 0,
    snapshotsSent: 0,
    installs: 0,
    checkpoints: 0,
    committed: 0,
    frames: 0,
    framesLost: 0,
    refusals: 0,
    noSpace: 0,
    damages: 0,
    damagesFound: 0,
    operations: 0,
    unknown: 0,
    givenUp: 0,
    completed: { lease: 0, index: 0, follower: 0, log: 0, write: 0 },
    recoveryMs: 0,
    checkerSteps: 0,
  };
}
