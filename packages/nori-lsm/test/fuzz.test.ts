// Bytes that nobody wrote, behind checksums that are right: the decoders of log records, of the manifest and of CURRENT
// see random bytes and mutations of valid ones. Whatever they see, opening gives a database that works or a typed error; it
// never hangs, never throws anything else, and never takes memory that a length in the bytes asks for.
//
//   NORI_ROUNDS=200000 npx vitest run packages/nori-lsm/test/fuzz.test.ts
import { crc32c, writeVarint } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { Wal } from 'nori-wal';
import { beforeAll, expect, test } from 'vitest';
import { type Lsm, LsmError } from '../src/index.js';
import { encodeFileHeader, encodeRecord, FILE_HEADER_BYTES, RECORD, scanManifest } from '../src/manifest-records.js';
import { bytesOf, DIR, namesOf, open, overwrite } from './faults-support.js';
import { utf8, withSeed } from './support.js';

const ROUNDS = Number(process.env.NORI_ROUNDS ?? 800);
const MEMORY_MAX = 256 * 1024 * 1024;
const TIMEOUT = { timeout: 120_000 + ROUNDS * 20 };
/** Numbers that decoders get wrong. */
const HARD_NUMBERS = [0, 1, 127, 128, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 50, 2 ** 53 - 1];

/** A database with all that a manifest and a log can hold; closed. */
let sample: MemoryFileSystem;
let manifest: { readonly name: string; readonly bytes: Uint8Array };

beforeAll(async () => {
  sample = new MemoryFileSystem();
  const db = await open(sample, { autoCompact: false });
  for (let i = 0; i < 30; i++) await db.put(`key${i}`, `value ${i}`, { ttlMs: 10 ** 12 });
  await db.compact();
  for (let i = 0; i < 30; i += 2) await db.delete(`key${i}`);
  const words = await db.openKeyspace('words', { compression: 'lz4', ttlMs: 10 ** 12 });
  await words.put('a', 'word');
  await db.deleteRange({ gte: 'key3', lt: 'key4' });
  await db.flush();
  const { tables } = await db.exportTables('/data/tables', { lt: 'key2' });
  await db.ingest(tables.map(({ path }) => path));
  await db.put('tail', 'in the log');
  await db.batch([
    { type: 'deleteRange', gte: 'key5' },
    { type: 'put', key: 'key6', value: '1' },
  ]);
  await db.close();
  const name = (await namesOf(sample, /^MANIFEST/))[0]!;
  manifest = { name, bytes: await bytesOf(sample, name) };
});

const varint = (value: number): Uint8Array => {
  const bytes = new Uint8Array(8);
  return bytes.subarray(0, writeVarint(bytes, 0, value));
};

/** The bytes with a few of them changed, cut out, doubled, or replaced by a hard number. */
const mutate = (rng: Rng, bytes: Uint8Array): Uint8Array => {
  let mutated = bytes.slice();
  for (let i = rng.range(1, 4); i > 0; i--) {
    const at = rng.int(mutated.length + 1);
    const to = Math.min(mutated.length, at + rng.int(9));
    const replacement = rng.pick([
      () => rng.bytes(rng.int(5)),
      () => varint(rng.pick(HARD_NUMBERS)),
      () => new Uint8Array(0),
      () => bytes.slice(at, at + rng.int(30)),
    ])();
    mutated = new Uint8Array([...mutated.subarray(0, at), ...replacement, ...mutated.subarray(to)]);
  }
  return mutated;
};

/** Opens, uses and closes; throws unless it worked or failed with a typed error. @returns the error's code */
const tryOut = async (fs: MemoryFileSystem): Promise<string> => {
  let db: Lsm | undefined;
  try {
    db = await open(fs, { autoCompact: false });
    Array.from(db.scanSync());
    Array.from(db.scanSync({ reverse: true }));
    for (const name of db.keyspaces()) Array.from(db.keyspace(name).scanSync());
    await db.deleteRange({ gte: 'a', lt: 'b' });
    db.getSync('key7');
    await db.verify();
    await db.put('works', 'still');
    await db.flush();
    await db.compact();
    return '';
  } catch (error) {
    if (!(error instanceof LsmError)) throw error;
    if (error.code === 'LSM_INTERNAL') throw error;
    return error.code;
  } finally {
    await db?.close().catch((error: unknown) => expect(error).toBeInstanceOf(LsmError));
  }
};

/** Runs many rounds; each gives the files of a database to try out. */
const fuzz = async (make: (rng: Rng) => Promise<MemoryFileSystem>): Promise<Map<string, number>> => {
  const seed = seedFromEnv();
  const codes = new Map<string, number>();
  const before = process.memoryUsage();
  await withSeed(seed, async () => {
    const root = new Rng(seed);
    for (let i = 0; i < ROUNDS; i++) {
      const code = await tryOut(await make(root.fork()));
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  });
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(MEMORY_MAX);
  return codes;
};

const LOG = { dir: `${DIR}/wal`, lock: false };

/** A record as nori-lsm writes it: one put, one delete, of a key or a range, one put that expires. */
const validRecord = (firstSeq: number, hasRange = firstSeq % 2 === 1): Uint8Array => {
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  header[0] = 1;
  header[1] = hasRange ? 1 : 0;
  view.setUint32(4, 3, true);
  view.setBigUint64(8, BigInt(firstSeq), true);
  const put = [1, ...varint(3), ...varint(5), ...utf8('abc'), ...utf8('value')];
  const remove = hasRange
    ? [3, ...varint(4), ...varint(4), ...utf8('key1key2')]
    : [2, ...varint(4), ...varint(0), ...utf8('key1')];
  const expiring = [0x11, ...varint(1), ...varint(1), ...varint(1_900_000_000_000), 65, 66];
  return new Uint8Array([...header, ...put, ...remove, ...expiring]);
};

test('records of the log: any bytes are understood or refused', TIMEOUT, async () => {
  const { lastSequence } = await (async () => {
    const db = await open(sample.kill());
    const stats = db.stats();
    await db.close();
    return stats;
  })();
  const codes = await fuzz(async (rng) => {
    const fs = sample.kill();
    const wal = await Wal.open({ ...LOG, fs });
    for (let i = rng.range(1, 3), seq = lastSequence + 1; i > 0; i--, seq += 3) {
      const record = rng.chance(0.2) ? rng.bytes(rng.int(60)) : mutate(rng, validRecord(seq));
      await wal.append(rng.chance(0.1) ? validRecord(seq) : record);
    }
    await wal.close();
    return fs;
  });
  // Both sides of the decoder were reached.
  expect(codes.get('LSM_CORRUPT_LOG')).toBeGreaterThan(ROUNDS / 10);
  expect(codes.get('')).toBeGreaterThan(0);
});

test('the manifest: any payloads behind sound checksums are understood or refused', TIMEOUT, async () => {
  const number = 1;
  const scan = scanManifest(manifest.bytes, number, manifest.name);
  const codes = await fuzz(async (rng) => {
    const fs = sample.kill();
    const parts: Uint8Array[] = [encodeFileHeader(number)];
    let at = FILE_HEADER_BYTES;
    const victim = rng.int(scan.records.length);
    for (const [i, { kind, payload }] of scan.records.entries()) {
      const noise = i === victim ? (rng.chance(0.2) ? rng.bytes(rng.int(80)) : mutate(rng, payload)) : payload;
      const record = encodeRecord(number, at, rng.chance(0.05) ? rng.pick(Object.values(RECORD)) : kind, noise);
      parts.push(record);
      at += record.length;
    }
    await overwrite(fs, `${DIR}/${manifest.name}`, Buffer.concat(parts));
    return fs;
  });
  expect(codes.get('LSM_CORRUPT_MANIFEST')).toBeGreaterThan(ROUNDS / 10);
  expect(codes.get('')).toBeGreaterThan(0);
});

test('the manifest: raw bytes, and mutations without their checksums mended', TIMEOUT, async () => {
  await fuzz(async (rng) => {
    const fs = sample.kill();
    const bytes = rng.chance(0.3) ? rng.bytes(rng.int(400)) : mutate(rng, manifest.bytes);
    await overwrite(fs, `${DIR}/${manifest.name}`, bytes);
    return fs;
  });
});

test('CURRENT: any bytes are understood or refused, with sound checksums too', TIMEOUT, async () => {
  const current = await bytesOf(sample, 'CURRENT');
  const codes = await fuzz(async (rng) => {
    const fs = sample.kill();
    let bytes = rng.chance(0.2) ? rng.bytes(rng.int(60)) : mutate(rng, current);
    if (rng.chance(0.6)) {
      const lines = mutate(rng, current.subarray(0, current.length - 9));
      const sum = crc32c(lines).toString(16).padStart(8, '0');
      bytes = new Uint8Array([...lines, ...utf8(`${sum}\n`)]);
    }
    await overwrite(fs, `${DIR}/CURRENT`, bytes);
    return fs;
  });
  expect(codes.get('LSM_CORRUPT_MANIFEST')).toBeGreaterThan(ROUNDS / 10);
});
