// Any bytes under the name of a segment: opening and reading end, in bounded memory, with a correct prefix or a typed error.
// NORI_ROUNDS=n makes n rounds of each instead of the short form's.
import { crc32c, writeU32LE, writeU64LE, writeVarint } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { WalError } from 'nori-wal';
import { expect, test } from 'vitest';
import { segmentSalt } from '../src/record-format.js';
import { decodeHeader, encodeHeader } from '../src/segment-format.js';
import { bytes, DIR, openMemory, readAll, replaceAll, segmentFiles, texts } from './helpers.js';

const SEED = seedFromEnv();
const ROUNDS = Number(process.env.NORI_ROUNDS ?? 400);
const HEADER = encodeHeader({ id: 1, base: 0, previousEnd: 0, createdMs: 0, previousId: 0, recycled: false });

/** Opens a log whose files are these, reads it, appends to it, and reads it again. What it held; undefined if it was refused. */
async function judge(files: ReadonlyMap<string, Uint8Array>): Promise<string[] | undefined> {
  const fs = new MemoryFileSystem();
  await fs.mkdir(DIR);
  for (const [path, content] of files) await replaceAll(fs, path, content);
  try {
    const wal = await openMemory(fs, { recordBytesMax: 100_000 });
    try {
      const found = await texts(wal);
      expect(wal.recovery.records).toBe(found.length);
      await wal.append(bytes('goes on'));
      expect(await texts(wal)).toEqual([...found, 'goes on']);
      return found;
    } finally {
      await wal.close();
    }
  } catch (error) {
    if (!(error instanceof WalError)) throw error;
    expect(error.code).toMatch(
      /^WAL_(CORRUPT_RECORD|CORRUPT_HEADER|NOT_A_LOG|MISSING_SEGMENT|UNSUPPORTED_VERSION|UNSUPPORTED_COMPRESSION)$/,
    );
    expect(files.has(error.file!) || error.code === 'WAL_MISSING_SEGMENT').toBe(true);
    return undefined;
  }
}

test('random bytes as a segment, with a sound header or without, are judged', async () => {
  const rng = new Rng(SEED);
  const path = `${DIR}/000000000001.wal`;
  for (let round = 0; round < ROUNDS; round++) {
    const noise = rng.bytes(rng.int(3000));
    expect(await judge(new Map([[path, Buffer.concat([HEADER, noise])]]))).toEqual([]);
    await judge(new Map([[path, noise]]));
  }
});

test('records with a sound checksum and any length, flags and payload are judged', async () => {
  const rng = new Rng(SEED + 1);
  const path = `${DIR}/000000000001.wal`;
  let read = 0;
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const parts: Uint8Array[] = [HEADER];
    for (let more = rng.range(1, 6); more > 0; more--) parts.push(soundRecord(rng));
    const found = await judge(new Map([[path, Buffer.concat(parts)]]));
    if (found) read += 1;
    else refused += 1;
  }
  expect(Math.min(read, refused)).toBeGreaterThan(ROUNDS / 20);
});

/** A record that checks out; what it says is random. */
function soundRecord(rng: Rng): Uint8Array {
  const payload = rng.chance(0.5) ? rng.bytes(rng.int(300)) : new Uint8Array(rng.int(300)).fill(rng.int(256));
  if (payload.length > 8 && rng.chance(0.3))
    writeVarint(payload, 0, rng.pick([5, 1000, 99_999, 100_001, 2 ** 31, 2 ** 50]));
  const record = new Uint8Array(payload.length + 13);
  const flagsAt = writeVarint(record, 0, payload.length);
  record[flagsAt] = rng.chance(0.7) ? rng.pick([1, 1, 5, 9, 0x11, 0x21]) : rng.int(256);
  record.set(payload, flagsAt + 5);
  const seed = crc32c(record, 0, flagsAt + 1, segmentSalt(1));
  writeU32LE(record, flagsAt + 1, crc32c(payload, 0, payload.length, seed));
  return record.subarray(0, flagsAt + 5 + payload.length);
}

test('headers with a sound checksum and any fields are judged', async () => {
  const rng = new Rng(SEED + 2);
  const values = [0, 1, 2, 3, 64, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63];
  for (let round = 0; round < ROUNDS; round++) {
    const files = new Map<string, Uint8Array>();
    for (const id of [1, 2, 3]) {
      const header = encodeHeader({
        id,
        base: 64 * (id - 1),
        previousEnd: 64 * (id - 1),
        createdMs: 0,
        previousId: id - 1,
        recycled: false,
      });
      if (rng.chance(0.5)) {
        if (rng.chance(0.3)) writeU32LE(header, 8, rng.pick([0, 1, 2, 2, 3]));
        for (const at of [16, 24, 32, 40, 48, 56]) if (rng.chance(0.2)) writeU64LE(header, at, rng.pick(values));
        writeU32LE(header, 60, crc32c(header, 0, 60));
      }
      files.set(`${DIR}/00000000000${id}.wal`, rng.chance(0.1) ? rng.bytes(64) : header);
    }
    const found = await judge(files);
    if (found) expect(found).toEqual([]);
  }
  for (let round = 0; round < ROUNDS; round++) {
    const verdict = decodeHeader(rng.bytes(rng.int(65)), 'f');
    expect(typeof verdict).toBe('string');
  }
});

test('a valid log of every kind, with any of its bytes changed, yields a prefix or is refused', async () => {
  const rng = new Rng(SEED + 3);
  const { files, expected } = await valid();
  const paths = [...files.keys()];
  let kept = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const changed = new Map(files);
    for (let more = rng.range(1, 3); more > 0; more--) {
      const path = rng.pick(paths);
      changed.set(path, mutated(rng, changed.get(path)!, files.get(rng.pick(paths))!));
    }
    const found = await judge(changed);
    if (!found) continue;
    kept += 1;
    // The beginning may be gone with its segment only if that was taken away whole, which nothing here does.
    expect(found).toEqual(expected.slice(0, found.length));
  }
  expect(kept).toBeGreaterThan(0);
});

/** A log with compressed records, a cut, a recycled segment and room ahead; not closed. */
async function valid(): Promise<{ files: Map<string, Uint8Array>; expected: string[] }> {
  const fs = new MemoryFileSystem();
  const wal = await openMemory(fs, { compression: 'lz4', spareSegmentsMax: 2 });
  const text = (index: number) => `record ${index} `.repeat(1 + (index % 40)) + Math.sin(index);
  for (let index = 0; index < 200; index++) await wal.append(bytes(text(index)));
  await wal.truncateBefore(wal.end);
  const positions: number[] = [];
  for (let index = 200; index < 240; index++) positions.push(await wal.append(bytes(text(index))));
  await wal.truncateAfter(positions[20]!);
  await wal.appendBatch([bytes('one'), bytes('two')]);
  for (let index = 0; index < 9; index++) await wal.append(new Uint8Array(600).fill(65 + index));
  const expected = await texts(wal);
  const disk = fs.kill();
  const files = new Map<string, Uint8Array>();
  for (const path of await segmentFiles(disk)) files.set(path, readAll(disk, path));
  return { files, expected };
}

function mutated(rng: Rng, content: Uint8Array, other: Uint8Array): Uint8Array {
  const at = rng.int(content.length + 1);
  const noise = rng.chance(0.5) ? rng.bytes(rng.int(60)) : other.slice(rng.int(other.length)).subarray(0, rng.int(500));
  const rest = rng.pick([at, at + noise.length, at + rng.int(200)]);
  if (rng.chance(0.2)) return content.slice(0, at);
  if (rng.chance(0.5)) {
    const flipped = content.slice();
    if (at < flipped.length) flipped[at]! ^= 1 << rng.int(8);
    return flipped;
  }
  return Buffer.concat([content.subarray(0, at), noise, content.subarray(Math.min(rest, content.length))]);
}
