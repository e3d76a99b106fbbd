// The one build recipe of every package: ESM for Node 20, declarations, a flat dist.
import { defineConfig } from 'tsup';

export const library = (entry: Record<string, string>) =>
  defineConfig({
    entry,
    format: 'esm',
    target: 'node20',
    platform: 'node',
    dts: true,
    sourcemap: true,
    clean: true,
    treeshake: true,
    splitting: true,
  });
