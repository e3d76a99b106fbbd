// A store on a simulated disk, with the real log and the real LSM, and promises around its sinks.

import { systemClock } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { inlineExecutor } from 'nori-lsm';
import { noopMeter } from 'nori-observe';
import { VirtualClock } from 'nori-testkit';
import { loadKeyHasher } from 'norikv-protocol';
import { KvService } from '../../src/core/kv-service.js';
import { Router } from '../../src/core/router.js';
import type { Store } from '../../src/core/store.js';
import type { NodeError } from '../../src/domain/node-error.js';
import { GROUP_COUNT_MAX, SHARD_COUNT } from '../../src/domain/placement.js';
import type { Version } from '../../src/domain/version.js';
import { type OpenedStore, openStore, type StoreEnvironment, type StoreSettings } from '../../src/node.js';
import type { KvNode, ReadConsistency, ScanQuery, WriteIdentity, WriteOperation } from '../../src/ports/kv.js';
import type { ShardPeers } from '../../src/ports/shard-peers.js';

/** Time stands still until the test moves it; turns of the event loop are real, since the log needs them. */
export class HeldClock extends VirtualClock {
  override nextTurn(fn: () => void): void {
    systemClock.nextTurn(fn);
  }
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const SETTINGS: StoreSettings = {
  nodeId: 'n1',
  clusterId: '00112233445566778899aabbccddeeff',
  raftDir: '/data/raft',
  tablesDir: '/data/tables',
  foundationLogDir: '/data/log',
  snapshotsDir: '/data/snapshots',
  memtableBytes: 64 * 1024,
  blockCacheBytes: 1024 * 1024,
  logSegmentBytes: 64 * 1024,
  ballastPath: '/data/ballast',
  ballastBytes: 0,
  fsync: 'batch',
};

export interface Fixture extends OpenedStore {
  readonly fs: MemoryFileSystem;
  readonly node: KvNode;
}

export interface FixtureOptions extends Partial<StoreSettings> {
  readonly fs?: MemoryFileSystem;
  readonly clock?: StoreEnvironment['clock'];
}

export const openFixture = async (options: FixtureOptions = {}): Promise<Fixture> => {
  const { fs = new MemoryFileSystem(), clock = systemClock, ...settings } = options;
  await fs.mkdir('/data/raft');
  await fs.mkdir('/data/tables');
  for (const dir of ['/data', '/']) await fs.syncDir(dir);
  const opened = await openStore(
    { ...SETTINGS, ...settings },
    { fs, clock, meter: noopMeter, random: Math.random, executor: inlineExecutor(fs) },
  );
  return { ...opened, fs, node: await serviceOf(opened.store, clock) };
};

/** It has the only replica of every shard. */
const ALONE: ShardPeers = {
  nodeId: 'n1',
  reachable: () => [],
  hostsOf: () => ['n1'],
  foundersOf: () => ['n1'],
  scanPart: () => Promise.reject(new Error('there are no other nodes')),
};

const serviceOf = async (store: Store, clock: StoreEnvironment['clock']): Promise<KvNode> => {
  const unused = () => {
    throw new Error('not part of this fixture');
  };
  const router = new Router(await loadKeyHasher(), SHARD_COUNT, new Array(GROUP_COUNT_MAX).fill(store));
  return new KvService({ router, stores: [store], clock, peers: ALONE, status: unused, cluster: unused });
};

export interface PutOptions {
  readonly ttlMs?: number;
  readonly ifAbsent?: boolean;
  readonly ifVersion?: Version;
  readonly identity?: WriteIdentity;
  readonly deadlineMs?: number;
}

export interface Written extends Version {
  readonly existed: boolean;
}

/** Sends operations as one write; resolves with a result for each, rejects with the first failure. */
export const write = (
  node: KvNode,
  operations: readonly Omit<WriteOperation, 'tag'>[],
  options: { readonly identity?: WriteIdentity | undefined; readonly deadlineMs?: number | undefined } = {},
): Promise<Written[]> =>
  new Promise((resolve, reject) => {
    const results: Written[] = [];
    let left = operations.length;
    node.write({
      operations: operations.map((operation, tag) => ({ ...operation, tag })),
      identity: options.identity,
      deadlineMs: options.deadlineMs ?? Number.POSITIVE_INFINITY,
      cancelled: false,
      sink: {
        value: () => reject(new Error('a write was answered as a read')),
        absent: () => reject(new Error('a write was answered as a read')),
        failed: (_tag, error: NodeError) => reject(error),
        written: (tag, term, index, existed) => {
          results[tag] = { term, index, existed };
          if (--left === 0) resolve(results);
        },
      },
    });
  });

export const put = async (node: KvNode, key: string, value: string, options: PutOptions = {}): Promise<Written> => {
  const operation = {
    kind: 'put' as const,
    key: utf8(key),
    value: utf8(value),
    ttlMs: options.ttlMs ?? 0,
    ifAbsent: options.ifAbsent ?? false,
    ifVersion: options.ifVersion,
  };
  return (await write(node, [operation], options))[0]!;
};

export const remove = async (node: KvNode, key: string, options: PutOptions = {}): Promise<Written> => {
  const operation = {
    kind: 'delete' as const,
    key: utf8(key),
    value: new Uint8Array(0),
    ttlMs: 0,
    ifAbsent: false,
    ifVersion: options.ifVersion,
  };
  return (await write(node, [operation], options))[0]!;
};

export const get = (
  node: KvNode,
  key: string,
  consistency: ReadConsistency = 'lease',
): Promise<(Version & { readonly value: string }) | undefined> =>
  new Promise((resolve, reject) => {
    node.get(
      utf8(key),
      consistency,
      Number.POSITIVE_INFINITY,
      {
        value: (_tag, value, term, index) => resolve({ value: text(value), term, index }),
        absent: () => resolve(undefined),
        failed: (_tag, error) => reject(error),
        written: () => reject(new Error('a read was answered as a write')),
      },
      0,
    );
  });

export const scanQuery = (options: Partial<ScanQuery> = {}): ScanQuery => ({
  prefix: new Uint8Array(0),
  start: undefined,
  startExclusive: false,
  end: undefined,
  endInclusive: false,
  reverse: false,
  limit: 0,
  consistency: 'lease',
  token: new Uint8Array(0),
  deadlineMs: Number.POSITIVE_INFINITY,
  signal: undefined,
  ...options,
});

export const scanAll = async (node: KvNode, options: Partial<ScanQuery> = {}): Promise<[string, string][]> => {
  const found: [string, string][] = [];
  let token: Uint8Array = new Uint8Array(0);
  do {
    const page = await node.scan(scanQuery({ ...options, token }));
    for (const { key, value } of page.entries) found.push([text(key), text(value)]);
    token = page.nextToken;
  } while (token.length > 0);
  return found;
};
