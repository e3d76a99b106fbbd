import { crc32c, writeU32LE, writeVarint } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { RecordingMeter } from 'nori-observe';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { segmentSalt } from '../src/record-format.js';
import { bytes, openMemory, readAll, replaceAll, segmentFiles, texts } from './helpers.js';

const SEED = seedFromEnv();
const zstd = 'zstdCompressSync' in (await import('node:zlib'));

describe('compression', () => {
  test('yields what was appended, from logs with records of all kinds', async () => {
    const fs = new MemoryFileSystem();
    const rng = new Rng(SEED);
    const sent: string[] = [];
    const kinds = ['none', 'lz4', 'deflate', ...(zstd ? (['zstd'] as const) : [])] as const;
    for (const compression of [...kinds, ...kinds]) {
      const wal = await openMemory(fs, { compression, segmentBytesMax: 2 ** 17 });
      for (let index = 0; index < 30; index++) {
        const word = `${compression} ${rng.int(1000)} `;
        const text = word.repeat(rng.pick([0, 1, 5, 50, 500, 9000]));
        sent.push(text);
        if (index % 3 > 0) {
          await wal.append(index % 2 === 0 ? bytes(text) : [bytes(text.slice(0, 7)), bytes(text.slice(7))]);
          continue;
        }
        sent.push('batched');
        await wal.appendBatch([bytes(text), bytes('batched')]);
      }
      expect(await texts(wal)).toEqual(sent);
      await wal.close();
    }
    const again = await openMemory(fs);
    expect(again.recovery.bytes).toBe(sent.reduce((sum, text) => sum + text.length, 0));
    expect(await texts(again)).toEqual(sent);
    await again.close();
  });

  test('saves space, is measured, and leaves alone what does not become smaller', async () => {
    const meter = new RecordingMeter();
    const rng = new Rng(SEED);
    for (const compression of ['lz4', 'deflate'] as const) {
      const wal = await openMemory(undefined, { compression, meter, segmentBytesMax: 2 ** 20 });
      const noise = rng.bytes(5000);
      await wal.append(noise);
      expect(wal.stats().bytes).toBeGreaterThan(5000);
      expect(wal.stats().bytes).toBeLessThan(5200);
      const before = wal.stats().bytes;
      await wal.append(new Uint8Array(100_000).fill(1));
      expect(wal.stats().bytes - before).toBeLessThan(1000);
      await wal.close();
    }
    expect(meter.value('wal_payload_bytes_total')).toBe(210_000);
    expect(meter.value('wal_bytes_total')).toBeLessThan(15_000);
  });

  test('a choice that there is not is refused', async () => {
    const wrong = openMemory(undefined, { compression: 'gzip' as never });
    await expect(wrong).rejects.toMatchObject({ code: 'WAL_INVALID_OPTION' });
  });

  test.skipIf(zstd)('zstd is refused where the runtime has none, as an option and in a record', async () => {
    const fs = new MemoryFileSystem();
    await expect(openMemory(fs, { compression: 'zstd' })).rejects.toMatchObject({
      code: 'WAL_UNSUPPORTED_COMPRESSION',
    });
    const { path } = await withRecord(fs, 3, Uint8Array.of(5, 1, 2, 3));
    await expect(openMemory(fs)).rejects.toMatchObject({
      code: 'WAL_UNSUPPORTED_COMPRESSION',
      file: path,
      offset: 94,
    });
  });

  test('a size that is wrong, or more than a record may have, is damage with file and offset', async () => {
    const tooLarge = new Uint8Array(9);
    writeVarint(tooLarge, 0, 2 ** 40);
    const wrong = [tooLarge, Uint8Array.of(0x80), new Uint8Array(0), Uint8Array.of(0x80, 0x80)];
    for (const payload of wrong) {
      for (const compression of [1, 2]) {
        const fs = new MemoryFileSystem();
        const { path } = await withRecord(fs, compression, payload);
        const opened = openMemory(fs);
        await expect(opened).rejects.toMatchObject({ code: 'WAL_CORRUPT_RECORD', file: path, offset: 94 });
      }
    }
  });

  test('bytes that do not mean that size are damage when they are read', async () => {
    for (const compression of [1, 2]) {
      for (const payload of [Uint8Array.of(5, 1, 2, 3), Uint8Array.of(200, 1, 0xff, 0xff, 0xff), Uint8Array.of(3)]) {
        const fs = new MemoryFileSystem();
        const { path } = await withRecord(fs, compression, payload);
        const handed = openMemory(fs, { onRecords: () => undefined });
        await expect(handed).rejects.toMatchObject({ code: 'WAL_CORRUPT_RECORD', file: path, offset: 94 });
        const wal = await openMemory(fs);
        await expect(texts(wal)).rejects.toMatchObject({ code: 'WAL_CORRUPT_RECORD', file: path, offset: 94 });
        await wal.close();
      }
    }
  });
});

/** A log of one record with this payload, its checksum right. */
async function withRecord(fs: MemoryFileSystem, compression: number, payload: Uint8Array): Promise<{ path: string }> {
  const wal = await openMemory(fs, { preallocateBytes: 0 });
  await wal.append(new Uint8Array(payload.length));
  await wal.close();
  const path = (await segmentFiles(fs))[0]!;
  const content = readAll(fs, path);
  content[95] = 1 | (compression << 4);
  content.set(payload, 100);
  const seed = crc32c(content, 94, 96, segmentSalt(1));
  writeU32LE(content, 96, crc32c(content, 100, 100 + payload.length, seed));
  await replaceAll(fs, path, content);
  return { path };
}
