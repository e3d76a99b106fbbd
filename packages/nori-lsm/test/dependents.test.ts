// NoriLevel beneath packages of others, which know abstract-level only. See also level-read-stream in abstract-level.test.ts.
import { mkdtemp, rm } from 'node:fs/promises';
import { register } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// @ts-expect-error it brings no types
import chaiAsPromised from 'chai-as-promised';
import { LevelDatastore } from 'datastore-level';
import { Key } from 'interface-datastore';
import { MemoryLevel } from 'memory-level';
import { Rng, seedFromEnv } from 'nori-testkit';
import { type Pattern, Quadstore, type TermName } from 'quadstore';
import { DataFactory } from 'rdf-data-factory';
import { afterAll, afterEach, beforeAll, beforeEach, chai, describe, expect, it, test } from 'vitest';
import { NoriLevel, type NoriLevelOptions } from '../src/abstract-level.js';
import { withSeed } from './support.js';

const dirs: string[] = [];

const directory = async (): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-level-'));
  dirs.push(dir);
  return join(dir, 'db');
};

afterAll(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});

/** Everything happens in tables and compactions, too. */
const SMALL = { durability: 'os', memtableBytes: 64 * 1024, l0Trigger: 2, tableBytes: 16 * 1024 } as const;

const datastore = (dir: string, options: NoriLevelOptions<string, Uint8Array> = {}): LevelDatastore => {
  const db = new NoriLevel<string, Uint8Array>(dir, { keyEncoding: 'utf8', valueEncoding: 'view', ...options });
  // It is typed for `level`, and takes what has the methods.
  return new LevelDatastore(db as never);
};

// The suite of interface-datastore is written for mocha's globals, and for an assertion library that brings a whole tool chain and lets
// assertions be called: `expect(x).to.be.true()`.
const mochaIt = (name: string, body: () => Promise<void>) => it(name, () => body.call({ timeout: () => {} }));
const mocha = { describe, it: mochaIt, before: beforeAll, after: afterAll, beforeEach, afterEach };
for (const name of ['true', 'false'] as const) {
  const { get } = Object.getOwnPropertyDescriptor(chai.Assertion.prototype, name)!;
  chai.Assertion.addChainableMethod(
    name,
    () => {},
    function (this: unknown) {
      get!.call(this);
    },
  );
}
Object.assign(globalThis, mocha, { datastoreExpect: chai.use(chaiAsPromised).expect });
const assertions = 'data:text/javascript,export const expect = globalThis.datastoreExpect';
const hooks = `export const resolve = (name, context, next) =>
  name === 'aegir/chai' ? { url: ${JSON.stringify(assertions)}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
const { interfaceDatastoreTests } = await import('interface-datastore-tests');

describe('datastore-level (IPFS) passes the suite of interface-datastore', () => {
  interfaceDatastoreTests({
    setup: async () => {
      const store = datastore(await directory());
      await store.open();
      return store;
    },
    teardown: async (store) => (store as LevelDatastore).close(),
  });
});

test('datastore-level: batches, queries and streams over tables, and after opening again', async () => {
  const dir = await directory();
  let store = datastore(dir, SMALL);
  await store.open();
  const value = (i: number) => new TextEncoder().encode(`value ${i}`.repeat(8));
  for (let from = 0; from < 4000; from += 500) {
    const batch = store.batch();
    for (let i = from; i < from + 500; i++) batch.put(new Key(`/blocks/${i % 7}/${i}`), value(i));
    for (let i = from; i < from + 500; i += 5) batch.delete(new Key(`/blocks/${i % 7}/${i}`));
    await batch.commit();
  }
  await store.close();
  store = datastore(dir, SMALL);
  await store.open();
  const found: number[] = [];
  for await (const { key, value: bytes } of store.query({ prefix: '/blocks/3' })) {
    const i = Number(key.name());
    expect(bytes).toEqual(value(i));
    found.push(i);
  }
  const left = Array.from({ length: 4000 }, (_, i) => i).filter((i) => i % 7 === 3 && i % 5 !== 0);
  expect(found.sort((a, b) => a - b)).toEqual(left);
  await store.close();
});

const factory = new DataFactory();
const TERMS: readonly TermName[] = ['subject', 'predicate', 'object', 'graph'];

/** Few names, so that patterns find some. */
const randomQuad = (rng: Rng) =>
  factory.quad(
    factory.namedNode(`http://example.org/s${rng.int(8)}`),
    factory.namedNode(`http://example.org/p${rng.int(4)}`),
    rng.chance(0.5)
      ? factory.namedNode(`http://example.org/s${rng.int(8)}`)
      : factory.literal(String(rng.int(40) - 20), factory.namedNode('http://www.w3.org/2001/XMLSchema#decimal')),
    rng.chance(0.3) ? factory.defaultGraph() : factory.namedNode(`http://example.org/g${rng.int(3)}`),
  );

/** The types of abstract-level tell its classes apart by their additional methods, classic-level's too. */
const openQuads = async (backend: NoriLevel | MemoryLevel): Promise<Quadstore> => {
  const store = new Quadstore({ backend: backend as never, dataFactory: factory });
  await store.open();
  return store;
};

type Quad = ReturnType<typeof randomQuad>;

const randomPattern = (rng: Rng): Pattern => {
  const quad = randomQuad(rng);
  const pattern: Record<string, unknown> = Object.fromEntries(
    TERMS.filter(() => rng.chance(0.4)).map((term) => [term, quad[term]]),
  );
  if (rng.chance(0.2)) {
    const at = rng.int(20);
    const decimal = factory.namedNode('http://www.w3.org/2001/XMLSchema#decimal');
    pattern.object = {
      termType: 'Range',
      gte: factory.literal(String(at - 20), decimal),
      lt: factory.literal(String(at), decimal),
    };
  }
  return pattern as Pattern;
};

/** One change, the same to each store. */
const randomChange = (rng: Rng): ((store: Quadstore) => Promise<unknown>) => {
  const quads = Array.from({ length: 1 + rng.int(30) }, () => randomQuad(rng));
  const others = Array.from({ length: 1 + rng.int(10) }, () => randomQuad(rng));
  const kind = rng.int(10);
  if (kind < 5) return (store) => store.multiPut(quads);
  if (kind === 5) return (store) => store.put(quads[0]!);
  if (kind === 6) return (store) => store.multiDel(others);
  if (kind === 7) return (store) => store.multiPatch(others, quads.slice(0, 5));
  if (kind === 8) return (store) => store.patch(quads[0]!, others[0]!);
  return (store) =>
    new Promise((resolve, reject) => {
      const { subject, predicate } = others[0] as Quad;
      store.removeMatches(subject, predicate).on('end', resolve).on('error', reject);
    });
};

test('quadstore (RDF) answers as it does over memory-level, under random changes, queries and restarts', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const rng = new Rng(seed);
    const dir = await directory();
    const expected = await openQuads(new MemoryLevel());
    let store = await openQuads(new NoriLevel(dir, SMALL));
    for (let round = 0; round < 200; round++) {
      const change = randomChange(rng);
      await change(expected);
      await change(store);
      if (round % 50 === 49) {
        await store.close();
        store = await openQuads(new NoriLevel(dir, SMALL));
      }
      const pattern = randomPattern(rng);
      const options = {
        ...(rng.chance(0.3) ? { limit: 1 + rng.int(20) } : {}),
        ...(rng.chance(0.3) ? { reverse: true } : {}),
        ...(rng.chance(0.2) ? { order: [TERMS[rng.int(4)]!] } : {}),
      };
      // There are combinations that it refuses.
      const ask = (of: Quadstore) => of.get(pattern, options).catch((error: Error) => error.message);
      expect(await ask(store)).toEqual(await ask(expected));
    }
    expect((await store.get({})).items.length).toBeGreaterThan(50);
    await store.close();
    await expected.close();
  });
});

test('quadstore: scopes keep the blank nodes of one import together', async () => {
  const dir = await directory();
  let store = await openQuads(new NoriLevel(dir));
  const scope = await store.initScope();
  const knows = factory.namedNode('http://example.org/knows');
  const about = (object: string) => factory.quad(factory.blankNode('a'), knows, factory.literal(object));
  await store.put(about('b'), { scope });
  await store.close();
  store = await openQuads(new NoriLevel(dir));
  await store.put(about('c'), { scope: await store.loadScope(scope.id) });
  await store.put(about('d'), { scope: await store.initScope() });
  const { items } = await store.get({ predicate: knows });
  const subjects = new Map(items.map(({ subject, object }) => [object.value, subject.value]));
  expect(subjects.get('b')).toBe(subjects.get('c'));
  expect(subjects.get('d')).not.toBe(subjects.get('b'));
  await store.close();
});
