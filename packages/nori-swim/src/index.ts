// For applications.

// For those who drive the protocol themselves, over a network of their own.
export type { SelfOptions } from './core/context.js';
export type * from './core/messages.js';
export type { CoreAction, CoreInput, IgnoredReason, Random } from './core/ports.js';
export { SwimCore } from './core/swim-core.js';
export { SwimError, type SwimErrorCode } from './errors.js';
export type * from './member.js';
export type * from './membership-events.js';
export { type JoinAttempt, type JoinResult, SwimJoinError } from './node/joins.js';
export type { DropReason, SwimStats } from './node/metrics.js';
export type { SwimOptions } from './node/options.js';
export { Swim } from './node/swim.js';
export { DEFAULT_PROTOCOL, type LifeguardOptions, type ProtocolOptions, resolveProtocol } from './protocol-options.js';
export type { Sealer } from './wire/envelope.js';
export { PacketCodec } from './wire/packet-codec.js';
