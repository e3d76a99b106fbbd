// One run for the whole repository. Packages see each other's sources, so that a test never runs against a stale
// build; what starts a process or a worker thread uses dist, which `npm test` builds first.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(`./packages/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^(nori(?:kv)?-[a-z]+)$/, replacement: source('$1/src/index.ts') },
      { find: /^(nori-(?:observe|io|lsm|raft|swim))\/([a-z-]+)$/, replacement: source('$1/src/$2.ts') },
    ],
  },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
  },
});
