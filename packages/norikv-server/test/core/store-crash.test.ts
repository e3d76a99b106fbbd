// Power loss at any boundary of the disk: a store under concurrent load runs on a simulated disk; at a chosen operation
// the disk is cloned as a power loss would leave it (what was synced, and a random part of what was not); a new store
// opens the clone. Every acknowledged write must be there, every key must hold a value that was written to it and is not
// older than the last acknowledged, and a retry of any write must not be applied twice.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { get, openFixture, put } from './fixture.js';

const RUNS = Number(process.env.NORI_RUNS ?? 60);
const KEYS = 24;
const WRITERS = 8;
const WRITES_PER_WRITER = 30;

interface Issued {
  readonly value: string;
  readonly sequence: number;
  readonly key: string;
  index: number;
}

const run = async (seed: number): Promise<void> => {
  const rng = new Rng(seed);
  const fs = new MemoryFileSystem();
  const fixture = await openFixture({ fs, memtableBytes: 64 * 1024, logSegmentBytes: 16 * 1024 });
  const target = 1 + rng.int(900);
  const crashRng = rng.fork();
  const issued: Issued[] = [];
  let acknowledged: Issued[] = [];
  let crashed: { fs: MemoryFileSystem; acknowledged: Issued[]; issued: number } | undefined;
  let operations = 0;
  fs.onOperation = () => {
    if (++operations === target) {
      crashed = { fs: fs.crash(crashRng), acknowledged: [...acknowledged], issued: issued.length };
    }
  };
  const clientId = rng.bytes(16).reduce((hex, byte) => hex + byte.toString(16).padStart(2, '0'), '');
  let sequence = 0;
  const writer = async (number: number): Promise<void> => {
    const own = new Rng(seed * 31 + number);
    for (let i = 0; i < WRITES_PER_WRITER && crashed === undefined; i++) {
      const one: Issued = {
        key: `key ${own.int(KEYS)}`,
        value: `${number}.${i}`.padEnd(own.int(400), 'x'),
        sequence: ++sequence,
        index: 0,
      };
      issued.push(one);
      one.index = (await put(fixture.node, one.key, one.value, { identity: identity(clientId, one.sequence) })).index;
      acknowledged = [...acknowledged, one];
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, number) => writer(number)));
  fs.onOperation = undefined;
  crashed ??= { fs: fs.crash(crashRng), acknowledged, issued: issued.length };
  await fixture.store.close({ flush: false });

  const again = await openFixture({ fs: crashed.fs, memtableBytes: 64 * 1024, logSegmentBytes: 16 * 1024 });
  const before = issued.slice(0, crashed.issued);
  for (let k = 0; k < KEYS; k++) {
    const key = `key ${k}`;
    const found = await get(again.node, key);
    const acks = crashed.acknowledged.filter((one) => one.key === key);
    const last = acks.reduce((index, one) => Math.max(index, one.index), 0);
    if (found === undefined) expect(acks, `${key} lost its acknowledged writes`).toEqual([]);
    else {
      expect(found.index, `${key} went back`).toBeGreaterThanOrEqual(last);
      const matching = before.filter((one) => one.key === key && one.value === found.value);
      expect(matching.length, `${key} holds what nobody wrote`).toBeGreaterThan(0);
    }
  }
  for (const one of crashed.acknowledged) {
    const retried = await put(again.node, one.key, one.value, { identity: identity(clientId, one.sequence) });
    expect(retried.index, 'a retry got another outcome').toBe(one.index);
  }
  await again.store.close({ flush: false });
};

const identity = (clientId: string, sequence: number) => ({ clientId, sequence, floor: 1, ageMs: 0 });

describe('after power loss', () => {
  const first = seedFromEnv();
  test(`every acknowledged write is there (${RUNS} runs from seed ${first})`, { timeout: 120_000 }, async () => {
    for (let seed = first; seed < first + RUNS; seed++) {
      try {
        await run(seed);
      } catch (error) {
        throw new Error(`NORI_SEED=${seed} NORI_RUNS=1 shows it`, { cause: error });
      }
    }
  });
});
