// Loaded into a node before the product (node --import): puts in the mistake that NORI_TEST_BUG names.
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) register('./bug-loader.mjs', import.meta.url, { data: process.env.NORI_TEST_BUG });
