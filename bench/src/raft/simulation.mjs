// How much faster than real time the simulator of nori-raft's tests runs, checks included.
import { rmSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const WORKSPACE = new URL('../../../', import.meta.url);
const ENTRY = fileURLToPath(new URL('packages/nori-raft/test/sim/run-seeds.ts', WORKSPACE));

/** The simulator is TypeScript and part of the tests: it is bundled with the sources of the packages it uses. */
const bundle = async (outfile) => {
  const names = ['nori-raft', 'nori-testkit'];
  const sourceOf = (name) => fileURLToPath(new URL(`packages/${name}/src/index.ts`, WORKSPACE));
  await build({
    entryPoints: [ENTRY],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'silent',
    alias: Object.fromEntries(names.map((name) => [name, sourceOf(name)])),
  });
};

/** Virtual seconds per second over seeds 1 to `seeds`. Every one must pass. */
export const simulate = async ({ seeds, warmupSeeds, dir }) => {
  const outfile = `${dir}/simulator.mjs`;
  await bundle(outfile);
  const { runSeed } = await import(pathToFileURL(outfile).href);
  rmSync(outfile);
  const run = (count) => {
    let virtualMs = 0;
    for (let seed = 1; seed <= count; seed++) {
      const result = runSeed(seed);
      if (!result.ok) throw new Error(`Seed ${seed}: ${result.violation}`);
      virtualMs += result.virtualMs;
    }
    return virtualMs;
  };
  run(warmupSeeds);
  const startMs = performance.now();
  const virtualMs = run(seeds);
  return { timesRealTime: virtualMs / (performance.now() - startMs) };
};
