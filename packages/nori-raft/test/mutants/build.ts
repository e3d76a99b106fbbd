// Builds the simulator with a bug put into the source text on the way, so that the code that is published holds no trace
// of it. Without a mutant it builds the simulator as it is.
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

/** One place of the source text, and what stands there instead. */
export interface Patch {
  /** Relative to packages/nori-raft: in src/, test/sim/ or another package's src/. */
  readonly file: string;
  /** Must stand in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));
const WORKSPACE = fileURLToPath(new URL('../../../..', import.meta.url));

/** The text of a file with its patches. @throws Error when a patch does not fit exactly once */
export const patched = (text: string, patches: readonly Patch[]): string =>
  patches.reduce((before, { file, find, replace }) => {
    const parts = before.split(find);
    if (parts.length === 2) return parts.join(replace);
    throw new Error(`${file} holds ${parts.length - 1} times, not once, what the mutant replaces:\n${find}`);
  }, text);

const patching = (patches: readonly Patch[], applied: Set<string>): Plugin => ({
  name: 'mutant',
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^nori-[a-z]+(\/[a-z-]+)?$/ }, ({ path }) => {
      const [name, entry = 'index'] = path.split('/') as [string, string?];
      return { path: join(WORKSPACE, 'packages', name, 'src', `${entry}.ts`) };
    });
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const own = patches.filter(({ file }) => join(PACKAGE, file) === path);
      if (own.length === 0) return undefined;
      applied.add(relative(PACKAGE, path));
      return { contents: patched(readFileSync(path, 'utf8'), own), loader: 'ts' };
    });
  },
});

/** Which simulation: of the core, or of MultiRaft over its real log. */
export type Simulator = 'core' | 'multi';

const WORKERS: Readonly<Record<Simulator, string>> = { core: 'seeds-worker.ts', multi: 'multi-seeds-worker.ts' };

/**
 * Bundles the worker that runs seeds to `outfile`, an .mjs.
 * @throws Error when a patch does not fit exactly once, or its file is no part of the simulator
 */
export const buildSimulator = async (
  outfile: string,
  patches: readonly Patch[] = [],
  simulator: Simulator = 'core',
): Promise<void> => {
  const applied = new Set<string>();
  await build({
    entryPoints: [join(PACKAGE, 'test/mutants', WORKERS[simulator])],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'silent',
    plugins: [patching(patches, applied)],
  });
  for (const { file } of patches) {
    if (!applied.has(file)) throw new Error(`${file} is no part of the simulator: the mutant changes nothing.`);
  }
};
