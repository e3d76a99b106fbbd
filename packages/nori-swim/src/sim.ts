// `nori-swim/sim`: clusters of up to thousands of nodes in one process of virtual time, and the experiments behind the README's tables.
export { type Detection, type DetectionOptions, measureDetection } from './sim/detection.js';
export { type Conviction, InvariantChecker } from './sim/invariants.js';
export { type LifeguardOptions, type LifeguardParts, type LifeguardResult, tryLifeguard } from './sim/lifeguard.js';
export { type Load, type LoadOptions, measureLoad, measureSpread, type Spread } from './sim/load.js';
export { type CutKind, LAN, type NetworkQuality, SimulatedNetwork } from './sim/network.js';
export { seededRandom } from './sim/rng.js';
export { Simulation, type SimulationObserver, type SimulationOptions, type SimulationStats } from './sim/simulation.js';
