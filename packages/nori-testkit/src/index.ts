export { EventHeap } from './event-heap.js';
export { Rng } from './rng.js';
export { seedFromEnv } from './seed-from-env.js';
export { VirtualClock, type VirtualClockOptions } from './virtual-clock.js';
