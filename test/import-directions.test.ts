import { describe, expect, test } from 'vitest';
import { importsOf, violations } from './import-rules.js';
import { filesBelow, readText, workspacePackages } from './workspace.js';

const isSource = (path: string) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path);

test.each(workspacePackages())('the imports of $folder point the right way', ({ folder, manifest }) => {
  const wrong: string[] = [];
  for (const path of filesBelow(`packages/${folder}`).filter(isSource)) {
    const imports = importsOf(readText(path));
    wrong.push(...violations(path, imports));
    for (const specifier of imports) {
      const name = /^(nori(?:kv)?-[a-z-]+)(\/|$)/.exec(specifier)?.[1];
      if (name !== undefined && manifest.dependencies?.[name] === undefined) {
        wrong.push(`${path} imports ${specifier}: not among the dependencies of ${folder}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

describe('a wrong import is named', () => {
  const server = 'packages/norikv-server/src';
  test.each([
    ['packages/nori-wal/src/wal.ts', 'nori-lsm', 'nori-wal may not import nori-lsm here'],
    ['packages/nori-observe/src/meter.ts', 'nori-io', 'nori-observe may not import nori-io here'],
    ['packages/nori-raft/src/core.ts', 'nori-wal', 'nori-raft may not import nori-wal here'],
    ['packages/nori-lsm/src/lsm.ts', 'nori-testkit', 'nori-lsm may not import nori-testkit here'],
    ['packages/nori-io/src/a.ts', '../test/b.js', 'outside of the sources of nori-io'],
    ['packages/nori-io/src/a.ts', '../../nori-wal/src/index.js', 'outside of the sources of nori-io'],
    ['packages/nori-io/src/a.ts', 'nori-io/memory', 'a package imports its own files by path'],
    [`${server}/adapters/http.ts`, 'norikv-client', 'norikv-server may not import norikv-client here'],
    [`${server}/domain/version.ts`, '../ports/kv.js', 'domain may not import ports'],
    [`${server}/domain/version.ts`, 'node:fs', 'domain may not import what is not ours'],
    [`${server}/domain/version.ts`, 'nori-lsm', 'domain may not import nori-lsm'],
    [`${server}/ports/kv.ts`, 'zod', 'ports may not import what is not ours'],
    [`${server}/core/store.ts`, '../adapters/local-log.js', 'core may not import adapters'],
    [`${server}/core/store.ts`, 'nori-wal', 'core may not import nori-wal'],
    [`${server}/adapters/local-log.ts`, '../node.js', 'adapters may not import node.ts'],
    [`${server}/node.ts`, './cli/start.js', 'node.ts may not import cli'],
  ])('%s → %s', (path, specifier, reason) => {
    expect(violations(path, [specifier])).toEqual([`${path} imports ${specifier}: ${reason}`]);
  });

  test('so are a package and a layer that nobody has thought about', () => {
    expect(violations('packages/nori-new/src/index.ts', [])).toHaveLength(1);
    expect(violations(`${server}/helpers/index.ts`, [])).toHaveLength(1);
  });
});

test.each([
  ['packages/nori-raft/src/wal-storage.ts', 'nori-wal'],
  ['packages/norikv-server/src/cli/get.ts', 'norikv-client'],
  ['packages/norikv-server/src/cli/main.ts', '../../package.json'],
  ['packages/norikv-server/src/domain/node-error.ts', 'norikv-protocol'],
  ['packages/norikv-server/src/adapters/lsm-storage.ts', 'nori-lsm'],
])('%s may import %s', (path, specifier) => {
  expect(violations(path, [specifier])).toEqual([]);
});

test('every way to import is seen', () => {
  const text = `
    import a from 'a';
    import type { B } from 'b';
    export * from 'c';
    export type { D } from 'd';
    const e = await import('e');
    let f: import('f').F;
    // import g from 'g';
  `;
  expect(importsOf(text).sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
});
