// The checks of the repository, one after the other, each with its time. All of them run, also after a failure; the
// output of those that failed is shown. The outcome is left in .reports/checks.json.
//
//   node scripts/check.mjs [name …]     only the steps whose name contains one of the given words
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const protocol = join(root, 'packages/norikv-protocol');
const scratch = mkdtempSync(join(tmpdir(), 'norikv-check-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

/** Runs a program; resolves to its exit code and everything it printed. */
function run(command, args, cwd = root) {
  const path = [join(cwd, 'node_modules/.bin'), join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter);
  return new Promise((done) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => done({ code: 1, output: `${output}${command}: ${error.message}\n` }));
    child.on('close', (code) => done({ code: code ?? 1, output }));
  });
}

/** The packages that are published, with their manifests. */
function publicPackages() {
  return readdirSync(join(root, 'packages'))
    .map((name) => ({ name, dir: join(root, 'packages', name) }))
    .filter(({ dir }) => existsSync(join(dir, 'package.json')))
    .filter(({ dir }) => JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')).private !== true);
}

/** Packs a package as it would be published, and has both linters look at the archive. */
async function checkPackage(dir) {
  const target = mkdtempSync(join(scratch, 'pack-'));
  const packed = await run('pnpm', ['pack', '--pack-destination', target], dir);
  if (packed.code !== 0) return packed;
  const tarball = join(
    target,
    readdirSync(target).find((name) => name.endsWith('.tgz')),
  );
  const [publint, attw] = await Promise.all([
    run('publint', ['run', tarball, '--strict']),
    run('attw', [tarball, '--profile', 'esm-only', '--no-emoji', '--no-color']),
  ]);
  return { code: publint.code || attw.code, output: [publint, attw].map((r) => (r.code ? r.output : '')).join('') };
}

/** Generates the protocol's code anew and compares it with what is checked in. */
async function generatedCode() {
  const generated = await run('buf', ['generate', '-o', scratch], protocol);
  if (generated.code !== 0) return generated;
  const compared = await run('diff', ['-r', '-u', 'src/gen', join(scratch, 'src/gen')], protocol);
  const hint = 'Run `npx buf generate` in packages/norikv-protocol.\n';
  return compared.code === 0 ? compared : { ...compared, output: compared.output + hint };
}

const baseline = join(protocol, 'proto-baseline.binpb');

const steps = [
  ['format and lint', () => run('biome', ['check', '--error-on-warnings', '--max-diagnostics=100', '.'])],
  ['types', () => run('tsc', ['-p', '.', '--pretty', 'false'])],
  ['protocol lint', () => run('buf', ['lint'], protocol)],
  [
    'protocol compatibility',
    existsSync(baseline)
      ? () => run('buf', ['breaking', '--against', baseline], protocol)
      : 'packages/norikv-protocol/proto-baseline.binpb is missing',
  ],
  ['generated code', generatedCode],
  ['unused code and dependencies', () => run('knip', ['--no-progress', '--no-config-hints'])],
  ...publicPackages().map(({ name, dir }) => [`package ${name}`, () => checkPackage(dir)]),
];

const wanted = process.argv.slice(2);
const selected = steps.filter(([name]) => wanted.length === 0 || wanted.some((word) => name.includes(word)));
const results = [];
for (const [name, step] of selected) {
  if (typeof step === 'string') {
    console.log(`check  ${name.padEnd(32)} SKIPPED: ${step}`);
    results.push({ name, outcome: 'skipped', durationMs: 0 });
    continue;
  }
  const started = performance.now();
  const { code, output } = await step();
  const durationMs = Math.round(performance.now() - started);
  const outcome = code === 0 ? 'passed' : 'failed';
  console.log(`check  ${name.padEnd(32)} ${code === 0 ? 'ok' : 'FAILED'}  ${(durationMs / 1000).toFixed(1)} s`);
  if (code !== 0) console.log(output.trimEnd().replaceAll(/^/gm, '  | '));
  results.push({ name, outcome, durationMs });
}

mkdirSync(join(root, '.reports'), { recursive: true });
writeFileSync(join(root, '.reports/checks.json'), `${JSON.stringify(results, undefined, 2)}\n`);
const failed = results.filter(({ outcome }) => outcome === 'failed');
if (failed.length > 0) {
  console.log(`check  ${failed.length} of ${results.length} failed: ${failed.map(({ name }) => name).join(', ')}`);
  process.exitCode = 1;
} else if (results.length === 0) {
  console.log(`check  nothing is called ${wanted.join(' or ')}: ${steps.map(([name]) => name).join(', ')}`);
  process.exitCode = 1;
}
