export type * from './clock.js';
export type * from './file-system.js';
