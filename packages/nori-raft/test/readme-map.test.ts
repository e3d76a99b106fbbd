// The replicated map of the README on three processes, each of which is killed and comes back: as this repository has the
// package built, and as its users have it, packed and installed by npm.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
// @ts-expect-error a script without declarations
import { npmInstall, packAll } from '../../../scripts/examples.mjs';
import { MapProcesses } from './helpers/map-processes.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));

let dir: string;
let map: MapProcesses | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nori-raft-map-'));
});

afterEach(async () => {
  await map?.killAll();
  map = undefined;
  rmSync(dir, { recursive: true, force: true });
});

async function survivesEachDeath(one: MapProcesses): Promise<void> {
  await Promise.all([1, 2, 3].map((number) => one.start(number)));
  expect(await one.ask(1, 'color', 'red')).toMatch(/^created at \d+$/);
  for (const number of [1, 2, 3]) expect(await one.ask(number, 'color')).toBe('red');
  for (const number of [1, 2, 3]) {
    await one.kill(number);
    const others = [1, 2, 3].filter((n) => n !== number);
    expect(await one.ask(others[0]!, 'color', `without ${number}`)).toMatch(/^changed at \d+$/);
    expect(await one.ask(others[1]!, 'color')).toBe(`without ${number}`);
    await one.start(number);
    expect(await one.ask(number, 'color')).toBe(`without ${number}`);
  }
}

test('the replicated map of the README survives the death of its leader', { timeout: 60_000 }, async () => {
  const [readme, source] = ['README.md', 'test/readme-map.mjs'].map((path) =>
    readFileSync(join(PACKAGE, path), 'utf8'),
  );
  expect(readme).toContain(`\`\`\`js\n${source}\`\`\``);
  // Inside the package, so that it finds itself by its name.
  const script = join(PACKAGE, '.reports', 'map.mjs');
  mkdirSync(join(PACKAGE, '.reports'), { recursive: true });
  map = await MapProcesses.prepare(script, dir);
  await survivesEachDeath(map);
  rmSync(script);
});

test('installed from its archive, without a network, the package runs the replicated map', {
  timeout: 120_000,
}, async () => {
  // Holds node and npm, and nothing else; and an empty cache: what npm installs can only come from the archives.
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  symlinkSync(process.execPath, join(bin, 'node'));
  const npm = process.env.PATH?.split(delimiter).find((folder) => existsSync(join(folder, 'npm')));
  symlinkSync(realpathSync(join(npm!, 'npm')), join(bin, 'npm'));
  const env = { PATH: bin, HOME: dir, npm_config_cache: join(dir, 'cache') };
  const archives: Map<string, string> = await packAll(join(dir, 'packed'), 'nori-raft');
  expect([...archives.keys()]).toEqual(expect.arrayContaining(['nori-raft', 'nori-wal', 'nori-io', 'nori-observe']));
  const home = join(dir, 'home');
  mkdirSync(home);
  await npmInstall(home, [...archives.values()], env);
  expect(
    readdirSync(join(home, 'node_modules'))
      .filter((name) => !name.startsWith('.'))
      .sort(),
  ).toEqual([...archives.keys()].sort());
  map = await MapProcesses.prepare(join(home, 'map.mjs'), home, env);
  await survivesEachDeath(map);
});
