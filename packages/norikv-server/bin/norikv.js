#!/usr/bin/env node
// The norikv command. Lives outside dist so that package managers can link it before the first build.
import { existsSync } from 'node:fs';

const entry = new URL('../dist/cli.js', import.meta.url);
if (!existsSync(entry)) {
  process.stderr.write('norikv is not built yet: run `npm run build` in the repository first.\n');
  process.exit(1);
}
await import(entry.href);
