export { EventHeap } from './event-heap.js';
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
