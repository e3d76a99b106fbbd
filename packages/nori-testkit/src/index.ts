export { EventHeap } from './event-heap.js';
export { FaultLink, type FaultLinkMode, FaultProxy, type FaultProxyOptions } from './fault-proxy.js';
export {
  type CheckOptions,
  checkLinearizability,
  type Verdict,
  type Violation,
} from './linearizability/checker.js';
export { FAILED, type Operation, UNKNOWN } from './linearizability/history.js';
export { type EventOf, historyLines, registerEvent } from './linearizability/json-lines.js';
export type { SequentialModel, StateKey } from './linearizability/model.js';
export {
  type RegisterInput,
  type RegisterOutput,
  type RegisterState,
  type RegisterValue,
  registerMap,
} from './linearizability/register-map.js';
export { Rng } from './rng.js';
export { seedFromEnv } from './seed-from-env.js';
export {
  type DiskCompletion,
  type DiskLatency,
  type DiskOperation,
  type DiskResult,
  type DiskStats,
  SECTOR_BYTES,
  SimulatedDisk,
  type SimulatedDiskOptions,
  SSD_LATENCY,
} from './simulated-disk.js';
export {
  bridgeLinks,
  CALM_LINK,
  chainLinks,
  type Delivery,
  type Link,
  type LinkQuality,
  type NetworkStats,
  oneWayLinks,
  ringLinks,
  SimulatedNetwork,
  type SimulatedNetworkOptions,
  splitLinks,
} from './simulated-network.js';
export { VirtualClock, type VirtualClockOptions } from './virtual-clock.js';
