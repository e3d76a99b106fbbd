// Installs an example the way its users would, from packed packages, and runs it. Everything comes from this checkout: the package and
// what it depends on are packed as they would be published, the others as they were installed. The network is not used, and
// nothing is compiled.
//
//   node scripts/examples.mjs NAME [DIR]     installs examples/NAME into DIR (default: a temporary folder) and runs `npm start` there
import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = resolve(import.meta.dirname, '..');
/** What using an example in its own folder leaves there. */
const LEFT_BEHIND = new Set(['node_modules', 'package-lock.json', 'data', 'bundle']);
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** Runs a program; resolves to what it printed, rejects with all of it if it fails. */
export function run(command, args, { cwd = root, env = process.env } = {}) {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', failed);
    child.on('close', (code, signal) => {
      if (code === 0) done(stdout);
      else failed(new Error(`${command} ${args.join(' ')}: ${code ?? signal}\n${stdout}${stderr}`));
    });
  });
}

/** The folders of a package and of all it depends on at run time, by name. */
function packageFolders(name, from, found = new Map()) {
  let dir = from;
  for (;;) {
    try {
      dir = realpathSync(join(dir, 'node_modules', name));
      break;
    } catch (error) {
      if (dirname(dir) === dir) throw error;
      dir = dirname(dir);
    }
  }
  const known = found.get(name);
  if (known !== undefined) {
    if (known !== dir) throw new Error(`Two versions of ${name} are needed: ${known}, ${dir}`);
    return found;
  }
  found.set(name, dir);
  for (const each of Object.keys(readJson(join(dir, 'package.json')).dependencies ?? {}))
    packageFolders(each, dir, found);
  return found;
}

/**
 * Packs a package of this repository and all it depends on into a folder. Those of this repository must have been built.
 * @returns {Promise<Map<string, string>>} the archive of each, by name
 */
export async function packAll(target, name = 'nori-lsm') {
  const path = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter);
  const ours = [];
  const others = [];
  const found = new Map([[name, join(root, 'packages', name)]]);
  for (const each of Object.keys(readJson(join(root, 'packages', name, 'package.json')).dependencies ?? {}))
    packageFolders(each, join(root, 'packages', name), found);
  for (const [each, dir] of found) (dir.startsWith(join(root, 'packages')) ? ours : others).push([each, dir]);
  mkdirSync(target, { recursive: true });
  const into = ['--json', '--pack-destination', target];
  const [packedOurs, packedOthers] = await Promise.all([
    // `workspace:` is what only pnpm understands: it writes the versions in its place.
    run('pnpm', [...ours.flatMap(([name]) => ['--filter', name]), 'pack', ...into], {
      env: { ...process.env, PATH: path },
    }),
    others.length === 0 ? '[]' : run('npm', ['pack', '--ignore-scripts', ...into, ...others.map(([, dir]) => dir)]),
  ]);
  const packed = [...JSON.parse(packedOurs), ...JSON.parse(packedOthers)];
  return new Map(packed.map(({ name, filename }) => [name, resolve(target, filename)]));
}

/**
 * Copies an example to a folder and installs it there, with npm, from the archives.
 * @param env of npm: its PATH needs node and npm, and no compiler
 */
export async function install(name, dir, archives, env = process.env) {
  const filter = (source) => !LEFT_BEHIND.has(basename(source));
  cpSync(join(root, 'examples', name), dir, { recursive: true, filter });
  // Tools of its developers are not what is looked at, and not in the archives: npm would ask the network about them.
  const { devDependencies: _, ...manifest } = readJson(join(dir, 'package.json'));
  const dependencies = Object.fromEntries([...archives].map(([each, file]) => [each, pathToFileURL(file).href]));
  const missing = Object.keys(manifest.dependencies).filter((each) => !archives.has(each));
  if (missing.length > 0)
    throw new Error(`examples/${name} depends on ${missing.join(', ')}, which nori-lsm does not bring`);
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ ...manifest, dependencies }, undefined, 2));
  await npmInstall(dir, [], env);
}

/**
 * Runs `npm install` in a folder, without a network and without scripts.
 * @param {readonly string[]} what archives; none: what its package.json says
 */
export async function npmInstall(dir, what, env = process.env) {
  const options = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier'];
  await run('npm', ['install', ...options, ...what], { cwd: dir, env });
}

if (import.meta.filename === process.argv[1]) {
  const name = process.argv[2] ?? '';
  const names = readdirSync(join(root, 'examples'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && readdirSync(join(root, 'examples', entry.name)).includes('package.json'))
    .map((entry) => entry.name);
  if (!names.includes(name)) {
    console.error(`Which example? ${names.join(', ')}`);
    process.exit(1);
  }
  const scratch = mkdtempSync(join(tmpdir(), 'nori-example-'));
  process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
  const dir = resolve(process.argv[3] ?? join(scratch, name));
  await install(name, dir, await packAll(join(scratch, 'packed')));
  const child = spawn('npm', ['start', '--silent'], { cwd: dir, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.on('close', (code) => (process.exitCode = code ?? 1));
}
