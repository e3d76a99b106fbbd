// What must be injected is forbidden by lint. Each rule is shown to fire in a copy of the configuration, where the
// code in question stands at the path in question.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root } from './workspace.js';

const FORBIDDEN: readonly (readonly [code: string, rule: string])[] = [
  ['export const x = Date.now();', 'lint/style/noRestrictedGlobals'],
  ['export const x = new Date();', 'lint/style/noRestrictedGlobals'],
  ['export const x = performance.now();', 'lint/style/noRestrictedGlobals'],
  ['export const x = crypto.randomUUID();', 'lint/style/noRestrictedGlobals'],
  ['export const x = (fn: () => void) => setTimeout(fn, 1);', 'lint/style/noRestrictedGlobals'],
  ['export const x = (fn: () => void) => setInterval(fn, 1);', 'lint/style/noRestrictedGlobals'],
  ['export const x = (fn: () => void) => setImmediate(fn);', 'lint/style/noRestrictedGlobals'],
  ['export const x = fetch;', 'lint/style/noRestrictedGlobals'],
  ['export const x = Math.random();', 'plugin'],
  ['export const { random } = Math;', 'plugin'],
  ['export const x = AbortSignal.timeout(1);', 'plugin'],
  ['export const x = process.hrtime.bigint();', 'plugin'],
  ['export const x = globalThis.setTimeout;', 'plugin'],
  ...[
    'node:fs',
    'node:fs/promises',
    'node:net',
    'node:dgram',
    'node:tls',
    'node:http',
    'node:http2',
    'node:https',
    'node:dns',
    'node:crypto',
    'node:worker_threads',
    'node:child_process',
    'node:perf_hooks',
    'node:timers',
    'node:timers/promises',
  ].map((module) => [`export * from '${module}';`, 'lint/style/noRestrictedImports'] as const),
  [`export const x = await import('node:fs');`, 'lint/style/noRestrictedImports'],
];

const FOLDERS_UNDER_RULE = [
  'packages/nori-wal/src',
  'packages/nori-sstable/src',
  'packages/nori-lsm/src/deeper',
  'packages/nori-raft/src',
  'packages/nori-swim/src',
  'packages/norikv-server/src/core',
  'packages/norikv-server/src/domain',
];

/** Files that wrap what is forbidden elsewhere. */
const ADAPTERS = [
  'packages/nori-lsm/src/worker-executor.ts',
  'packages/nori-lsm/src/lsm-worker.ts',
  'packages/norikv-server/src/adapters/http/server.ts',
  'packages/norikv-server/src/cli/start.ts',
  'packages/norikv-server/src/node.ts',
  'packages/nori-swim/src/node/sockets.ts',
  'packages/nori-io/src/node-file-system.ts',
  'packages/nori-wal/test/wal.test.ts',
];

/** Sources that may open sockets, and nothing else of it. */
const SOCKETS = ['packages/nori-raft/src/tcp-transport.ts', 'packages/nori-raft/src/tcp/sockets.ts'];

interface Report {
  readonly diagnostics: readonly { readonly category: string; readonly location: { readonly path: string } }[];
}

const directory = mkdtempSync(join(tmpdir(), 'norikv-lint-'));
let categoriesByPath: Map<string, string[]>;

function write(path: string, text: string): void {
  const target = join(directory, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, `${text}\n`);
}

beforeAll(async () => {
  for (const path of ['biome.json', 'scripts/lint']) {
    cpSync(join(root, path), join(directory, path), { recursive: true });
  }
  for (const folder of FOLDERS_UNDER_RULE) {
    for (const [i, [code]] of FORBIDDEN.entries()) write(`${folder}/case-${i}.ts`, code);
  }
  for (const path of SOCKETS) write(path, "export * from 'node:net';\nexport const x = Date.now();");
  for (const path of ADAPTERS) write(path, FORBIDDEN.map(([code]) => code.replace('const x', 'let x')).join('\n'));
  const stdout = await new Promise<string>((done) => {
    const biome = join(root, 'node_modules/.bin/biome');
    const args = ['lint', '--vcs-enabled=false', '--max-diagnostics=none', '--reporter=json', 'packages'];
    execFile(biome, args, { cwd: directory, maxBuffer: 2 ** 26 }, (_error, output) => done(output));
  });
  categoriesByPath = new Map();
  for (const { category, location } of (JSON.parse(stdout) as Report).diagnostics) {
    const path = location.path.replaceAll('\\', '/').replace(/^.*?(?=packages\/)/, '');
    categoriesByPath.set(path, [...(categoriesByPath.get(path) ?? []), category]);
  }
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.each(FORBIDDEN.map(([code, rule], i) => ({ code, rule, i })))('lint refuses: $code', ({ rule, i }) => {
  for (const folder of FOLDERS_UNDER_RULE) {
    expect(categoriesByPath.get(`${folder}/case-${i}.ts`), folder).toContain(rule);
  }
});

test.each(ADAPTERS)('%s may do all of it', (path) => {
  const injected = ['lint/style/noRestrictedGlobals', 'lint/style/noRestrictedImports', 'plugin'];
  expect((categoriesByPath.get(path) ?? []).filter((category) => injected.includes(category))).toEqual([]);
});

test.each(SOCKETS)('%s may open sockets, but takes its time by injection', (path) => {
  const categories = categoriesByPath.get(path) ?? [];
  expect(categories).not.toContain('lint/style/noRestrictedImports');
  expect(categories).toContain('lint/style/noRestrictedGlobals');
});
