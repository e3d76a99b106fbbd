import fc from 'fast-check';
import { crc32c, writeU32LE } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { type Wal, WalError } from 'nori-wal';
import { describe, expect, test } from 'vitest';
import { bytes, DIR, openMemory, readAll, replaceAll, segmentFiles, texts } from './helpers.js';

const SEED = seedFromEnv();
const MARKER = 30;

/** A log of three segments. Without `close`, as after a crash of the process. */
async function written(close: boolean): Promise<{ fs: MemoryFileSystem; expected: string[]; lastGroup: number }> {
  const live = new MemoryFileSystem();
  const wal = await openMemory(live, { preallocateBytes: 0 });
  const expected: string[] = [];
  for (let index = 0; wal.stats().segments < 3 || index % 7 > 0; index++) {
    const group = Array.from(
      { length: 1 + (index % 3) },
      (_, part) => `record ${index}.${part} ${'x'.repeat(index * 9)}`,
    );
    expected.push(...group);
    if (index % 4 === 3) await wal.appendBatch(group.map(bytes));
    else await Promise.all(group.map((text) => wal.append(bytes(text))));
  }
  const last = ['last one', 'last two', 'last three'];
  expected.push(...last);
  await Promise.all(last.map((text) => wal.append(bytes(text))));
  if (close) await wal.close();
  return { fs: live.kill(), expected, lastGroup: last.length };
}

/** Opens a copy of `fs` after `change`d one file; what is refused leaves no trace. */
async function openChanged(
  fs: MemoryFileSystem,
  path: string,
  change: (content: Uint8Array) => Uint8Array,
): Promise<{ wal?: Wal; error?: WalError }> {
  const copy = fs.kill();
  await replaceAll(copy, path, change(readAll(copy, path)));
  const before = copy.stats().bytesWritten;
  const names = (await copy.readdir(DIR)).filter((name) => name !== 'LOCK');
  try {
    return { wal: await openMemory(copy) };
  } catch (error) {
    expect(error).toBeInstanceOf(WalError);
    expect(copy.stats().bytesWritten).toBe(before);
    expect((await copy.readdir(DIR)).filter((name) => name !== 'LOCK')).toEqual(names);
    return { error: error as WalError };
  }
}

const flipped = (at: number, mask: number) => (content: Uint8Array) => {
  content[at]! ^= mask;
  return content;
};

describe('a damaged byte', () => {
  test('anywhere in a log that was closed is refused, except in its closing marker, which holds nothing', async () => {
    const { fs, expected } = await written(true);
    const files = await segmentFiles(fs);
    for (const path of files) {
      const size = readAll(fs, path).length;
      for (let at = 0; at < size; at++) {
        const { wal, error } = await openChanged(fs, path, flipped(at, 1 << (at % 8)));
        if (path === files.at(-1) && at >= size - MARKER) {
          expect(await texts(wal!)).toEqual(expected);
          continue;
        }
        expect(wal, `${path} ${at}`).toBeUndefined();
        expect(['WAL_CORRUPT_RECORD', 'WAL_CORRUPT_HEADER', 'WAL_NOT_A_LOG']).toContain(error!.code);
        expect(error!.file).toBe(path);
        expect(error!.offset).toBeLessThanOrEqual(at);
        expect(error!.message).toContain(path);
      }
    }
  });

  test('in a log that was not closed is refused below the last group, and never makes wrong data', async () => {
    const { fs, expected, lastGroup } = await written(false);
    const path = (await segmentFiles(fs)).at(-1)!;
    const size = readAll(fs, path).length;
    let cuts = 0;
    for (let at = 0; at < size; at++) {
      const { wal } = await openChanged(fs, path, flipped(at, 0x80 >> (at % 8)));
      if (!wal) continue;
      cuts += 1;
      const found = await texts(wal);
      expect(found).toEqual(expected.slice(0, found.length));
      expect(found.length).toBeGreaterThanOrEqual(expected.length - lastGroup);
      expect(wal.recovery.cut).toMatchObject({ file: path });
      expect(wal.recovery.cut!.offset).toBeLessThanOrEqual(at);
      expect(wal.recovery.cut!.offset + wal.recovery.cut!.bytes).toBe(size);
    }
    const lastGroupBytes = MARKER + lastGroup * 6 + 'last onelast twolast three'.length;
    expect(cuts).toBe(lastGroupBytes);
  });
});

describe('a torn tail', () => {
  test('of any length is cut back to whole groups or records, and the log goes on', async () => {
    const { fs, expected, lastGroup } = await written(false);
    const path = (await segmentFiles(fs)).at(-1)!;
    const size = readAll(fs, path).length;
    for (let cut = 1; cut <= 120; cut++) {
      const { wal } = await openChanged(fs, path, (content) => content.subarray(0, size - cut));
      const found = await texts(wal!);
      expect(found).toEqual(expected.slice(0, found.length));
      if (cut <= 40) expect(found.length).toBeGreaterThanOrEqual(expected.length - lastGroup);
      await wal!.append(bytes('goes on'));
      expect(await texts(wal!)).toEqual([...found, 'goes on']);
      await wal!.close();
    }
  });

  test('of noise, or of bytes of another segment, is cut and reported up to its last byte that is not zero', async () => {
    const { fs, expected } = await written(false);
    const files = await segmentFiles(fs);
    const path = files.at(-1)!;
    const other = readAll(fs, files[0]!);
    const rng = new Rng(SEED);
    const noises = [rng.bytes(3000), other, other.subarray(64), rng.bytes(1)];
    for (const noise of noises) noise[noise.length - 1] = 1;
    for (const noise of noises) {
      for (const zeros of [0, 1, 9000]) {
        const tail = Buffer.concat([noise, new Uint8Array(zeros)]);
        const { wal } = await openChanged(fs, path, (content) => Buffer.concat([content, tail]));
        expect(await texts(wal!)).toEqual(expected);
        expect(wal!.recovery.cut).toMatchObject({ file: path, bytes: noise.length });
      }
    }
  });

  test('of zeros is room for more: it is cut and not reported', async () => {
    const { fs, expected } = await written(false);
    const path = (await segmentFiles(fs)).at(-1)!;
    for (const zeros of [1, 29, 5000, 2 ** 21]) {
      const { wal } = await openChanged(fs, path, (content) => Buffer.concat([content, new Uint8Array(zeros)]));
      expect(await texts(wal!)).toEqual(expected);
      expect(wal!.recovery.cut).toBeUndefined();
      await wal!.append(bytes('goes on'));
      expect(await texts(wal!)).toEqual([...expected, 'goes on']);
      await wal!.close();
    }
  });

  test('that ends inside a batch loses the whole batch', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { preallocateBytes: 0 });
    await wal.append(bytes('kept'));
    await wal.appendBatch([bytes('one'), bytes('two'), bytes('three')]);
    const path = (await segmentFiles(fs))[0]!;
    for (const cut of [1, 10, 11, 12, 20, 21, 28]) {
      const opened = await openChanged(fs.kill(), path, (content) => content.subarray(0, content.length - cut));
      expect(await texts(opened.wal!)).toEqual(['kept']);
    }
  });

  test('that holds a marker without proof of the loss is cut, one with proof is refused', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs);
    await wal.append(bytes('durable'));
    const first = wal.end;
    await wal.append(bytes('written'), { durability: 'os' });
    const second = wal.end;
    await wal.append(bytes('written too'), { durability: 'os' });
    const path = (await segmentFiles(fs))[0]!;
    const torn = await openChanged(fs.kill(), path, flipped(second - 3, 1));
    expect(await texts(torn.wal!)).toEqual(['durable']);
    const lost = await openChanged(fs.kill(), path, flipped(first - 3, 1));
    expect(lost.error).toMatchObject({ code: 'WAL_CORRUPT_RECORD', file: path });
    await wal.sync();
    await wal.append(bytes('now it is proven'));
    const proven = await openChanged(fs.kill(), path, flipped(second - 3, 1));
    expect(proven.error).toMatchObject({ code: 'WAL_CORRUPT_RECORD', file: path });
  });

  test('far before the proof is refused as well', async () => {
    const fs = new MemoryFileSystem();
    const wal = await openMemory(fs, { segmentBytesMax: 2 ** 24 });
    for (let index = 0; index < 6; index++) await wal.append(new Uint8Array(900_000).fill(index));
    const path = (await segmentFiles(fs))[0]!;
    for (const at of [1000, 900_000, 3_000_000]) {
      const { error } = await openChanged(fs.kill(), path, flipped(at, 4));
      expect(error).toMatchObject({ code: 'WAL_CORRUPT_RECORD' });
    }
  });
});

describe('segment files', () => {
  test('a missing one between others is refused by name', async () => {
    const { fs } = await written(true);
    const missing = (await segmentFiles(fs))[1]!;
    await fs.unlink(missing);
    await expect(openMemory(fs)).rejects.toMatchObject({ code: 'WAL_MISSING_SEGMENT', file: missing });
  });

  test('an older one that lost its end is refused', async () => {
    const { fs } = await written(true);
    const path = (await segmentFiles(fs))[0]!;
    const { error } = await openChanged(fs, path, (content) => content.subarray(0, content.length - 1));
    expect(error).toMatchObject({ code: 'WAL_MISSING_SEGMENT', file: path });
  });

  test('swapped ones are refused', async () => {
    const { fs } = await written(true);
    const [first, second] = await segmentFiles(fs);
    await fs.rename(first!, '/aside');
    await fs.rename(second!, first!);
    await fs.rename('/aside', second!);
    await expect(openMemory(fs)).rejects.toMatchObject({ code: 'WAL_CORRUPT_HEADER' });
  });

  test('one of another program, or of a newer format, is refused', async () => {
    const { fs } = await written(true);
    const path = (await segmentFiles(fs)).at(-1)!;
    const foreign = await openChanged(fs, path, () => bytes('#!/bin/sh\necho this is not a log\n'));
    expect(foreign.error).toMatchObject({ code: 'WAL_NOT_A_LOG', file: path });
    const newer = await openChanged(fs, path, (content) => {
      writeU32LE(content, 8, 3);
      writeU32LE(content, 60, crc32c(content, 0, 60));
      return content;
    });
    expect(newer.error).toMatchObject({ code: 'WAL_UNSUPPORTED_VERSION', file: path });
  });

  test('a last one whose header never reached the disk is removed', async () => {
    const { fs, expected } = await written(true);
    const path = `${DIR}/000000000004.wal`;
    const header = readAll(fs, (await segmentFiles(fs))[0]!).subarray(0, 64);
    for (const content of [new Uint8Array(0), new Uint8Array(64), header.subarray(0, 33)]) {
      const copy = fs.kill();
      await replaceAll(copy, path, content);
      const wal = await openMemory(copy);
      expect(await texts(wal)).toEqual(expected);
      expect(await segmentFiles(copy)).not.toContain(path);
      await wal.append(bytes('goes on'));
      expect(await texts(wal)).toEqual([...expected, 'goes on']);
      await wal.close();
    }
    const used = await openChanged(fs, (await segmentFiles(fs)).at(-1)!, (content) => content.fill(0, 0, 64));
    expect(used.error).toMatchObject({ code: 'WAL_CORRUPT_HEADER' });
  });

  test('other files in the directory are left alone', async () => {
    const { fs, expected } = await written(true);
    await replaceAll(fs, `${DIR}/notes.txt`, bytes('mine'));
    await replaceAll(fs, `${DIR}/1.wal`, bytes('mine too'));
    const wal = await openMemory(fs);
    expect(await texts(wal)).toEqual(expected);
    await wal.close();
    expect(await fs.readdir(DIR)).toContain('notes.txt');
  });
});

test('random changes of a segment never make a record that was not written', async () => {
  const { fs, expected } = await written(false);
  const files = await segmentFiles(fs);
  const known = new Set(expected);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(files.length - 1),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.uint8Array({ minLength: 1, maxLength: 40 })), {
        minLength: 1,
        maxLength: 5,
      }),
      fc.constantFrom('overwrite', 'insert', 'remove'),
      async (index, changes, how) => {
        const { wal } = await openChanged(fs, files[index]!, (content) => {
          let changed = Buffer.from(content);
          for (const [where, noise] of changes) {
            const at = Math.floor(where * changed.length);
            if (how === 'overwrite') changed.set(noise.subarray(0, changed.length - at), at);
            else
              changed = Buffer.concat([
                changed.subarray(0, at),
                how === 'insert' ? noise : new Uint8Array(0),
                changed.subarray(how === 'insert' ? at : at + noise.length),
              ]);
          }
          return changed;
        });
        if (!wal) return;
        const found = await texts(wal);
        expect(found).toEqual(expected.slice(0, found.length));
        expect(found.every((text) => known.has(text))).toBe(true);
        await wal.close();
      },
    ),
    { numRuns: 400 },
  );
});
