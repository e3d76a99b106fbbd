import type { BatchOperation } from '../src/index.js';

export declare const COUNTER: string;
/** Batch `number`, the same in every process. */
export declare const batchAt: (number: number) => BatchOperation[];
