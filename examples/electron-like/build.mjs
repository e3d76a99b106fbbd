// Bundles the application into two files, which is all that has to be shipped: no node_modules, nothing native.
import { build } from 'esbuild';

await build({
  // The second is what worker threads run. It must lie beside the code that starts them, and be called lsm-worker.js.
  entryPoints: { main: 'main.js', 'lsm-worker': 'nori-lsm/lsm-worker' },
  outdir: process.argv[2] ?? 'bundle',
  bundle: true,
  platform: 'node',
  target: 'node20',
  external: ['electron'],
  // CommonJS has no import.meta.url: each file gets it from its name. With `format: 'esm'` these two are not needed.
  format: 'cjs',
  define: { 'import.meta.url': 'bundledFrom' },
  banner: { js: "const bundledFrom = require('node:url').pathToFileURL(__filename).href;" },
});
