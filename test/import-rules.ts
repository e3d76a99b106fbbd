// Which package may import which, and which part of the server may import which: imports point one way.
// import-directions.test.ts applies these rules to every source file.
import { posix } from 'node:path';
import ts from 'typescript';

const EVERYTHING_PUBLISHED = [
  'nori-observe',
  'nori-io',
  'nori-wal',
  'nori-sstable',
  'nori-lsm',
  'nori-raft',
  'nori-swim',
  'norikv-protocol',
  'norikv-server',
] as const;

/** What the sources of a package may import of the packages of this repository. */
const PACKAGE_IMPORTS: Readonly<Record<string, readonly string[]>> = {
  'nori-observe': [],
  'nori-io': ['nori-observe'],
  'nori-wal': ['nori-io', 'nori-observe'],
  'nori-sstable': ['nori-io', 'nori-observe'],
  'nori-lsm': ['nori-wal', 'nori-sstable', 'nori-io', 'nori-observe'],
  'nori-raft': ['nori-observe'],
  'nori-swim': ['nori-observe'],
  'nori-testkit': [],
  'norikv-protocol': [],
  'norikv-client': ['norikv-protocol', 'nori-observe'],
  'norikv-server': EVERYTHING_PUBLISHED,
};

/** Files that may import more than the rest of their package. */
const FILE_IMPORTS: readonly { readonly path: RegExp; readonly adds: readonly string[] }[] = [
  { path: /^packages\/nori-raft\/src\/wal-storage(\.ts$|\/)/, adds: ['nori-wal', 'nori-io'] },
  { path: /^packages\/norikv-server\/src\/cli\//, adds: ['norikv-client'] },
];

interface Layer {
  /** Other layers of the server. */
  readonly layers: readonly string[];
  /** Packages of this repository; `any` is what {@link PACKAGE_IMPORTS} allows. */
  readonly packages: readonly string[] | 'any';
  /** Whether Node's modules and third-party packages may be imported. */
  readonly external: boolean;
}

/** The layers of the server, by the first folder (or file) below src. */
const SERVER_LAYERS: Readonly<Record<string, Layer>> = {
  // What a node knows, without any I/O.
  domain: { layers: [], packages: ['norikv-protocol'], external: false },
  // What a node needs of the world and offers to it: interfaces only.
  ports: { layers: ['domain'], packages: [], external: false },
  // What a node does, through ports.
  core: { layers: ['domain', 'ports'], packages: ['norikv-protocol', 'nori-io', 'nori-observe'], external: false },
  // How a node is set up.
  config: { layers: ['domain'], packages: ['norikv-protocol'], external: true },
  // The world.
  adapters: { layers: ['domain', 'ports', 'core', 'config'], packages: 'any', external: true },
  // The composition root.
  'node.ts': { layers: ['domain', 'ports', 'core', 'config', 'adapters'], packages: 'any', external: true },
  'index.ts': { layers: ['domain', 'ports', 'core', 'config', 'adapters', 'node.ts'], packages: 'any', external: true },
  cli: {
    layers: ['domain', 'ports', 'core', 'config', 'adapters', 'node.ts', 'index.ts'],
    packages: 'any',
    external: true,
  },
};

const OURS = /^nori(kv)?-[a-z-]+$/;

/** What a module imports, statically, dynamically or to re-export, types included. */
export function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
}

/**
 * What is wrong with the imports of one file, a sentence each.
 * @param path of the file, relative to the root of the repository
 */
export function violations(path: string, imports: readonly string[]): string[] {
  const [, name = '', , ...below] = path.split('/');
  const layerName = name === 'norikv-server' ? (below[0] ?? '') : undefined;
  const layer = layerName === undefined ? undefined : SERVER_LAYERS[layerName];
  if (layerName !== undefined && layer === undefined) return [`${path} is in no layer of the server`];
  const allowed = PACKAGE_IMPORTS[name];
  if (allowed === undefined) return [`${path} is in a package that has no import rule`];

  return imports.flatMap((specifier) => {
    const wrong = specifier.startsWith('.')
      ? relativeViolation(path, specifier, layerName, layer)
      : packageViolation(path, specifier, name, allowed, layerName, layer);
    return wrong === undefined ? [] : [`${path} imports ${specifier}: ${wrong}`];
  });
}

function relativeViolation(path: string, specifier: string, from: string | undefined, layer: Layer | undefined) {
  const [, name] = path.split('/');
  const target = posix.join(posix.dirname(path), specifier);
  if (target === `packages/${name}/package.json`) return undefined;
  if (!target.startsWith(`packages/${name}/src/`)) return `outside of the sources of ${name}`;
  if (layer === undefined) return undefined;
  const to = target.split('/')[3]?.replace(/\.js$/, '.ts') ?? '';
  return to === from || layer.layers.includes(to) ? undefined : `${from} may not import ${to}`;
}

function packageViolation(
  path: string,
  specifier: string,
  name: string,
  allowed: readonly string[],
  from: string | undefined,
  layer: Layer | undefined,
) {
  const imported = specifier.startsWith('@') ? specifier : (specifier.split('/')[0] ?? '');
  if (!OURS.test(imported)) {
    return layer === undefined || layer.external ? undefined : `${from} may not import what is not ours`;
  }
  if (imported === name) return 'a package imports its own files by path';
  const added = FILE_IMPORTS.filter((rule) => rule.path.test(path)).flatMap((rule) => rule.adds);
  if (![...allowed, ...added].includes(imported)) return `${name} may not import ${imported} here`;
  if (layer !== undefined && layer.packages !== 'any' && !layer.packages.includes(imported)) {
    return `${from} may not import ${imported}`;
  }
  return undefined;
}
