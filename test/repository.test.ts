import { describe, expect, test } from 'vitest';
import { filesBelow, readText, workspacePackages } from './workspace.js';

const THIS_FILE = 'test/repository.test.ts';
const TEXT = /\.(ts|mjs|js|json|yaml|yml|md|sh|grit|proto|toml)$|(^|\/)(run|Dockerfile)$/;
// Other people's names and addresses, which are not ours to judge.
const SKIPPED = /^pnpm-lock\.yaml$|^data\/|\.tmp\//;

const files = filesBelow('.').filter((path) => TEXT.test(path) && !SKIPPED.test(path) && path !== THIS_FILE);

/** `file:line: text` of every line that matches. */
function linesMatching(pattern: RegExp, paths: readonly string[]): string[] {
  return paths.flatMap((path) =>
    readText(path)
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  );
}

describe('the files of the repository', () => {
  test('name no place on the machine of whoever wrote them', () => {
    expect(linesMatching(/(^|[\s'"`(=:])\/(work|root|home)\//, files)).toEqual([]);
  });

  test('name no folder for temporary files in sources, which ask the system for it', () => {
    const sources = files.filter((path) => /^packages\/[^/]+\/src\//.test(path));
    expect(linesMatching(/['"`]\/tmp\b/, sources)).toEqual([]);
  });

  test('name no package registry', () => {
    expect(linesMatching(/registry\.(npmjs|yarnpkg)\.|npm\.pkg\.github\.com|artifactory|_authToken/i, files)).toEqual(
      [],
    );
    expect(filesBelow('.').filter((path) => path.endsWith('.npmrc'))).toEqual([]);
  });

  test('look outside of the repository in one place only', () => {
    const outside = linesMatching(/\.\.\/shared\b|\bshared\/(etcd|notes|design)/, files);
    expect(outside.filter((line) => !line.startsWith('.ci/run:'))).toEqual([]);
  });

  test('leave no test out by choosing another', () => {
    const tests = files.filter((path) => path.endsWith('.test.ts'));
    expect(tests.length).toBeGreaterThan(0);
    expect(linesMatching(/\b(test|it|describe|suite)(\.\w+)*\.only\b/, tests)).toEqual([]);
  });
});

const packages = workspacePackages();

test.each(packages)('$folder is called like its folder and says under which license it comes', (each) => {
  expect(each.manifest.name).toBe(each.folder);
  expect(each.manifest.license).toBe('MIT');
});

const published = packages.filter(({ manifest }) => manifest.private !== true);

test.each(published)('$folder has a manual, and exports that point to dist', ({ folder, manifest }) => {
  expect(readText(`packages/${folder}/README.md`)).toMatch(new RegExp(`^# ${folder}\\b`));
  expect(Object.keys(manifest.exports ?? {})).toContain('.');
  for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
    if (typeof target === 'string') continue;
    expect(target, subpath).toEqual({
      types: expect.stringMatching(/^\.\/dist\/[a-z-]+\.d\.ts$/),
      default: expect.stringMatching(/^\.\/dist\/[a-z-]+\.js$/),
    });
  }
});
