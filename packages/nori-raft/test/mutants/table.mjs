// node packages/nori-raft/test/mutants/table.mjs [SEEDS] [core|multi|MUTANT...]: which seeds find which mutants, as Markdown.
import { mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
// Beside the sources, whose places it is to know.
const dir = mkdtempSync(join(here, '.table-'));
try {
  const outfile = join(dir, 'table.mjs');
  await build({
    entryPoints: [join(here, 'table.ts')],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    external: ['esbuild'],
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(join(here, 'table.ts')).href) },
  });
  const { printTable } = await import(pathToFileURL(outfile).href);
  const [seeds = '2000', ...ids] = process.argv.slice(2);
  await printTable(Number(seeds), ids);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
