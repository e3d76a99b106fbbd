export * from './events.js';
export * from './meter.js';
