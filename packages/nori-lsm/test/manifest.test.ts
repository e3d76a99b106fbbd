import { writeVarint } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { inspectDirectory, manifestName, readWhole } from '../src/directory.js';
import { codeOf } from '../src/errors.js';
import { LsmError } from '../src/index.js';
import { Manifest } from '../src/manifest.js';
import { decodeEdit, encodeEdit } from '../src/manifest-codec.js';
import type { ManifestEdit, ManifestState } from '../src/manifest-edit.js';
import { FILE_HEADER_BYTES, RECORD_HEADER_BYTES } from '../src/manifest-records.js';
import { utf8, withSeed } from './support.js';

const DIR = '/db';

const edit = (number: number): ManifestEdit => ({
  nextNumber: number + 1,
  flushedSeq: number * 10,
  logPosition: number * 100,
  added: [
    {
      level: number % 3,
      meta: {
        number,
        fileBytes: 4096,
        entries: 100,
        tombstones: 3,
        shadowed: 1,
        expiring: 2,
        earliestExpiryMs: 1_700_000_000_000,
        cleanSeq: number % 2 === 0 ? 0 : number * 10 + 5,
        sequence: number % 3,
        smallestSeq: number * 10 - 9,
        largestSeq: number * 10,
        smallestKey: utf8(`a${number}`),
        largestKey: utf8(`b${number}`),
      },
    },
  ],
  removed: [],
  marks: [[number % 4, utf8(`mark ${number}`)]],
  usedSeq: number * 11,
  keyspaces: [
    {
      id: number,
      name: `käse ${number}`,
      settings: number % 2 === 0 ? {} : { compression: 'lz4', blockBytes: 512, bloomBitsPerKey: 0, ttlMs: 7 },
    },
  ],
  removedKeyspaces: number > 2 ? [number - 2] : [],
  mappedKeys: true,
  lastKeyspace: number,
  addedRanges: [{ seq: number * 10, start: utf8(`c${number}`), end: utf8(number % 2 === 0 ? '' : `d${number}`) }],
  removedRanges: number > 3 ? [(number - 3) * 10] : [],
});

const build = async (edits: number): Promise<{ fs: MemoryFileSystem; manifest: Manifest }> => {
  const fs = new MemoryFileSystem();
  await fs.mkdir(DIR);
  await fs.syncDir('/');
  const manifest = await Manifest.create(fs, DIR, { ownLog: false });
  for (let i = 1; i <= edits; i++) await manifest.append(edit(i));
  return { fs, manifest };
};

const summary = (state: ManifestState): unknown => state.snapshot();

const reopen = async (fs: MemoryFileSystem): Promise<Manifest> => {
  const seen = await inspectDirectory(fs, DIR);
  if (seen.kind !== 'database') throw new Error(`not a database but ${seen.kind}`);
  return Manifest.open(fs, DIR, seen.manifest);
};

const overwrite = async (fs: MemoryFileSystem, name: string, bytes: Uint8Array): Promise<void> => {
  const file = await fs.open(`${DIR}/${name}`, 'write');
  await file.truncate(0);
  await file.write([bytes], 0);
  await file.close();
};

test('an edit decodes to what was encoded', () => {
  expect(decodeEdit(encodeEdit(edit(5)))).toEqual(edit(5));
});

test('an unknown field with an even id is skipped, one with an odd id refused', () => {
  const field = (id: number): Uint8Array => {
    const bytes = new Uint8Array(4);
    writeVarint(bytes, 0, id);
    bytes[1] = 2;
    return new Uint8Array([...encodeEdit({ nextNumber: 7 }), ...bytes]);
  };
  expect(decodeEdit(field(40)).nextNumber).toBe(7);
  // The field that version 1 wrote at first and never needed.
  expect(decodeEdit(field(15)).nextNumber).toBe(7);
  expect(() => decodeEdit(field(41))).toThrow(expect.objectContaining({ code: 'LSM_UNSUPPORTED_VERSION' }));
});

test('what was appended is there after closing, and after a crash', async () => {
  const { fs, manifest } = await build(20);
  const expected = summary(manifest.state);
  const crashed = fs.crash(new Rng(1));
  await manifest.close();
  expect(summary((await reopen(fs)).state)).toEqual(expected);
  expect(summary((await reopen(crashed)).state)).toEqual(expected);
});

test('a database that was closed in order goes on in its file; after a crash a new file is begun', async () => {
  const { fs, manifest } = await build(3);
  const killed = fs.kill();
  await manifest.close();
  expect((await reopen(fs)).number).toBe(1);
  expect((await reopen(killed)).number).toBe(2);
  expect(await killed.readdir(DIR)).toEqual(['CURRENT', manifestName(2)]);
});

test('a large manifest is rewritten as its state', async () => {
  const { fs, manifest } = await build(0);
  const big = new Uint8Array(300_000);
  for (let i = 0; i < 20; i++) await manifest.append({ marks: [[1, big.fill(i)]] });
  expect(manifest.number).toBeGreaterThan(1);
  expect((await fs.stat(`${DIR}/${manifestName(manifest.number)}`))!.sizeBytes).toBeLessThan(2_000_000);
  await manifest.close();
  expect(Buffer.compare((await reopen(fs)).state.marks.get(1)!, big)).toBe(0);
});

test('a record that was never acknowledged is cut off', async () => {
  const { fs, manifest } = await build(5);
  const expected = summary(manifest.state);
  const name = manifestName(1);
  const bytes = await readWhole(fs, `${DIR}/${name}`);
  await manifest.append(edit(6));
  const longer = await readWhole(fs, `${DIR}/${name}`);
  for (let cut = bytes.length + 1; cut < longer.length - RECORD_HEADER_BYTES; cut += 7) {
    await overwrite(fs, name, longer.subarray(0, cut));
    expect(summary((await reopen(fs.kill())).state)).toEqual(expected);
  }
});

test('an acknowledgement of which a crash kept only the part in the page of the next record is no damage', async () => {
  const { fs, manifest } = await build(5);
  const name = manifestName(1);
  const before = await readWhole(fs, `${DIR}/${name}`);
  await manifest.append(edit(6));
  const expected = summary(manifest.state);
  const bytes = await readWhole(fs, `${DIR}/${name}`);
  const whole = bytes.subarray(0, bytes.length - RECORD_HEADER_BYTES);
  for (let lost = 1; lost <= RECORD_HEADER_BYTES; lost++) {
    const start = before.length - RECORD_HEADER_BYTES;
    await overwrite(fs, name, whole.slice().fill(0, start, start + lost));
    expect(summary((await reopen(fs.kill())).state)).toEqual(expected);
  }
});

test('no flipped bit goes unnoticed: the state is the same, or opening fails with file and offset', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const rng = new Rng(seed);
    const { fs, manifest } = await build(12);
    const expected = summary(manifest.state);
    const name = manifestName(1);
    const bytes = await readWhole(fs, `${DIR}/${name}`);
    for (let i = 0; i < 400; i++) {
      const damaged = bytes.slice();
      damaged[rng.int(bytes.length)]! ^= 1 << rng.int(8);
      await overwrite(fs, name, damaged);
      const found = await reopen(fs.kill()).then(
        (reopened) => summary(reopened.state),
        (error: unknown) => error,
      );
      if (!(found instanceof LsmError)) expect(found).toEqual(expected);
      else expect([found.code, found.file]).toEqual(['LSM_CORRUPT_MANIFEST', `${DIR}/${name}`]);
    }
  });
});

test('random bytes never open and never crash the reader', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, async () => {
    const rng = new Rng(seed);
    const { fs } = await build(3);
    const name = manifestName(1);
    const bytes = await readWhole(fs, `${DIR}/${name}`);
    for (let i = 0; i < 200; i++) {
      const head = rng.pick([0, FILE_HEADER_BYTES, bytes.length]);
      const noise = new Uint8Array([...bytes.subarray(0, head), ...rng.bytes(rng.int(300))]);
      await overwrite(fs, name, noise);
      const code = await reopen(fs.kill()).then(() => '', codeOf);
      expect(head === bytes.length ? '' : 'LSM_CORRUPT_MANIFEST').toBe(code);
    }
  });
});

test('random payloads decode or fail with a typed error', async () => {
  const seed = seedFromEnv();
  await withSeed(seed, () => {
    const rng = new Rng(seed);
    const good = encodeEdit(edit(3));
    for (let i = 0; i < 2000; i++) {
      const payload = rng.chance(0.5) ? rng.bytes(rng.int(60)) : good.slice();
      if (payload.length > 0) payload[rng.int(payload.length)] = rng.int(256);
      try {
        decodeEdit(payload);
      } catch (error) {
        expect(error).toBeInstanceOf(LsmError);
      }
    }
  });
});

test('after a failed sync the change goes to a new file, however often that fails, and nothing is lost', async () => {
  for (const on of ['create', 'write', 'datasync', 'rename', 'sync-dir'] as const) {
    for (const after of [0, 1, 2]) {
      const { fs, manifest } = await build(3);
      fs.inject({ on: 'datasync' });
      await expect(manifest.append(edit(4))).rejects.toThrow();
      fs.inject({ on, after });
      await manifest.append(edit(4)).catch(() => manifest.append(edit(4)));
      await manifest.append(edit(5)).catch(() => manifest.append(edit(5)));
      const expected = summary(manifest.state);
      for (let i = 0; i < 5; i++) {
        expect(summary((await reopen(fs.crash(new Rng(i)))).state)).toEqual(expected);
      }
    }
  }
});
