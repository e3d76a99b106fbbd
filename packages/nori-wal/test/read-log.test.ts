// Reading a log that is another's: the same verdicts as opening it, nothing changed, and a writer at work meanwhile.
import type { File, FileSystem, OpenMode } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { readLog, type Wal, type WalRecord } from 'nori-wal';
import { describe, expect, test } from 'vitest';
import { bytes, DIR, openMemory, readAll, replaceAll, segmentFiles, texts } from './helpers.js';

const SEED = seedFromEnv();
const ROUNDS = Number(process.env.NORI_ROUNDS ?? 30);

const decode = (record: WalRecord): string => new TextDecoder().decode(record.data);

/** Records of a log in memory as text, and the rest of what reading it tells. */
async function read(fs: FileSystem, from = 0) {
  const found: string[] = [];
  const reading = await readLog({
    dir: DIR,
    fs,
    from,
    onRecords: (records) => void found.push(...records.map(decode)),
  });
  return { found, ...reading };
}

/** Several segments, batches among them; left as a crash of the process leaves it. */
async function written(): Promise<MemoryFileSystem> {
  const fs = new MemoryFileSystem();
  const wal = await openMemory(fs);
  for (let index = 0; wal.stats().segments < 3 || index % 5 > 0; index++) {
    await wal.appendBatch([bytes(`${index} a ${'x'.repeat(index * 9)}`), bytes(`${index} b`)]);
    await wal.append(bytes(`${index} c`), { durability: 'os' });
  }
  await Promise.all([wal.append(bytes('last one')), wal.append(bytes('last two'))]);
  return fs.kill();
}

describe('a log that nobody has open', () => {
  test('is read as it would be opened, from any position', async () => {
    const fs = await written();
    const before = fs.stats().mutations;
    const all = await read(fs);
    const middle = await read(fs, 3000);
    expect(fs.stats().mutations).toBe(before);
    const wal = await openMemory(fs.kill());
    expect(all.found).toEqual(await texts(wal));
    expect(all).toMatchObject({ ...wal.recovery });
    expect(all.found.slice(-middle.found.length)).toEqual(middle.found);
    expect(middle).toEqual({ ...all, found: middle.found });
    expect(middle.found.length).toBeLessThan(all.found.length);
    await wal.close();
  });

  test('is judged as it would be when opened, whatever is damaged', { timeout: 60_000 }, async () => {
    const fs = await written();
    for (const path of await segmentFiles(fs)) {
      const size = readAll(fs, path).length;
      for (let at = 0; at < size; at += 3) {
        const damaged = fs.kill();
        const content = readAll(damaged, path);
        await replaceAll(damaged, path, at % 2 === 0 ? content.subarray(0, at) : content.with(at, content[at]! ^ 4));
        const before = damaged.stats().mutations;
        const seen = await read(damaged).catch((error: unknown) => error);
        expect(damaged.stats().mutations).toBe(before);
        const opened = await openMemory(damaged).catch((error: unknown) => error);
        if (opened instanceof Error) {
          const { code, file, offset } = opened as never;
          expect(seen, `${path} ${at}`).toMatchObject({ code, file, offset });
        } else {
          const wal = opened as Wal;
          expect(seen, `${path} ${at}`).toMatchObject({ ...wal.recovery, found: await texts(wal) });
          await wal.close();
        }
      }
    }
  });

  test('is empty if it is not there, and no log if it is a file', async () => {
    const fs = new MemoryFileSystem();
    const nothing = { found: [], segments: 0, records: 0, bytes: 0, start: 0, end: 0 };
    expect(await read(fs)).toEqual(nothing);
    await fs.mkdir(DIR);
    expect(await read(fs)).toEqual(nothing);
    await expect(readLog({ dir: '/a/b', fs: await withFile('/a/b') })).rejects.toMatchObject({ code: 'WAL_NOT_A_LOG' });
  });

  test('what the sink throws is thrown as it is', async () => {
    const failure = new Error('mine');
    const onRecords = (): never => {
      throw failure;
    };
    await expect(readLog({ dir: DIR, fs: await written(), onRecords })).rejects.toBe(failure);
  });

  test('a segment that is listed and gone is a change, one that stays damaged is damage', async () => {
    const fs = await written();
    const path = (await segmentFiles(fs))[0]!;
    const lister = { ...bound(fs), readdir: async () => ['000000000001.wal', '000000000002.wal', '000000000003.wal'] };
    await fs.unlink(path);
    await expect(readLog({ dir: DIR, fs: lister })).rejects.toMatchObject({ code: 'WAL_CHANGED' });
    expect((await read(fs)).segments).toBe((await segmentFiles(fs)).length);
  });
});

async function withFile(path: string): Promise<MemoryFileSystem> {
  const fs = new MemoryFileSystem();
  await fs.mkdir(path.slice(0, path.lastIndexOf('/')));
  await (await fs.open(path, 'create')).close();
  return fs;
}

/** The methods of a file system, to be overridden one by one. */
function bound(fs: FileSystem): FileSystem {
  return {
    open: (path, mode) => fs.open(path, mode),
    openSync: (path, mode) => fs.openSync(path, mode),
    readdir: (path) => fs.readdir(path),
    mkdir: (path) => fs.mkdir(path),
    stat: (path) => fs.stat(path),
    rename: (from, to) => fs.rename(from, to),
    unlink: (path) => fs.unlink(path),
    link: (existing, path) => fs.link(existing, path),
    syncDir: (path) => fs.syncDir(path),
    freeBytes: (path) => fs.freeBytes(path),
    lock: (path) => fs.lock(path),
  };
}

/** A file system whose writes arrive piece by piece and whose reads see them so; other things may happen between any two pieces. */
function slow(fs: FileSystem, rng: Rng): FileSystem {
  const others = async (): Promise<void> => {
    for (let turns = rng.int(4); turns > 0; turns--) await Promise.resolve();
    if (rng.chance(0.1)) await new Promise((resolve) => setImmediate(resolve));
  };
  const pieces = async (length: number, take: (from: number, to: number) => void): Promise<void> => {
    for (let at = 0; at < length; ) {
      const to = Math.min(length, at + rng.pick([7, 100, 1000, 4096]));
      await others();
      take(at, to);
      at = to;
    }
  };
  const opened = (file: File): File => ({
    path: file.path,
    read: async (buffer, position) => {
      let count = 0;
      await pieces(buffer.length, (from, to) => {
        if (count === from) count += file.readSync(buffer.subarray(from, to), position + from);
      });
      return count;
    },
    readSync: (buffer, position) => file.readSync(buffer, position),
    write: async (buffers, position) => {
      const whole = Buffer.concat(buffers);
      await pieces(whole.length, (from, to) => file.writeSync(whole.subarray(from, to), position + from));
    },
    writeSync: (buffer, position) => file.writeSync(buffer, position),
    datasync: async () => {
      await others();
      await file.datasync();
    },
    datasyncSync: () => file.datasyncSync(),
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    sizeSync: () => file.sizeSync(),
    close: () => file.close(),
    closeSync: () => file.closeSync(),
  });
  return {
    ...bound(fs),
    open: async (path: string, mode: OpenMode) => {
      await others();
      return opened(await fs.open(path, mode));
    },
    readdir: async (path: string) => {
      await others();
      const names = await fs.readdir(path);
      await others();
      return names;
    },
  };
}

test(`beside a writer that appends, rotates, truncates and recycles it sees the log as it was at one moment (${ROUNDS} rounds)`, {
  timeout: 60_000 + ROUNDS * 1000,
}, async () => {
  console.info(`NORI_SEED=${SEED}`);
  let changes = 0;
  let views = 0;
  let torn = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const rng = new Rng(SEED + round);
    const fs = slow(new MemoryFileSystem(), rng);
    const wal = await openMemory(fs, { spareSegmentsMax: rng.int(3), preallocateBytes: rng.pick([0, 4096]) });
    const positions: number[] = [];
    let acknowledged = 0;
    let issued = 0;
    let isWriting = true;
    const write = async (): Promise<void> => {
      while (issued < 400) {
        const count = rng.range(1, 4);
        const group = Array.from({ length: count }, () => {
          const number = issued++;
          const data = bytes(`${number} ${'y'.repeat(rng.int(rng.pick([10, 300])))}`);
          return wal.append(data, { durability: rng.pick(['sync', 'batch', 'os'] as const) });
        });
        positions.push(...(await Promise.all(group)));
        acknowledged = issued;
        if (rng.chance(0.1)) await wal.truncateBefore(positions[Math.max(0, issued - rng.range(10, 60))]!);
      }
      isWriting = false;
    };
    const writing = write();
    while (isWriting) {
      const [promised, start] = [acknowledged, wal.start];
      const from = rng.chance(0.5) ? 0 : positions[Math.max(0, promised - 20)];
      const seen = await read(fs, from).catch((error: unknown) => error);
      if (seen instanceof Error) {
        expect(seen, `NORI_SEED=${SEED} round ${round}`).toMatchObject({ code: 'WAL_CHANGED' });
        changes++;
        continue;
      }
      const { found, ...reading } = seen as Awaited<ReturnType<typeof read>>;
      views++;
      if (reading.cut) torn++;
      const numbers = found.map((record) => Number.parseInt(record, 10));
      // Without a gap, from its place or the log's beginning on, with all that was acknowledged before and nothing that was not issued.
      numbers.forEach((number, index) => void (index > 0 && expect(number).toBe(numbers[index - 1]! + 1)));
      expect(reading.start).toBeGreaterThanOrEqual(start);
      const first = positions.findIndex((position) => position >= Math.max(from ?? 0, reading.start));
      if (numbers.length > 0 && first >= 0) expect(numbers[0]).toBe(first);
      expect(first < 0 ? promised : first + numbers.length, `NORI_SEED=${SEED} ${round}`).toBeGreaterThanOrEqual(
        promised,
      );
      expect(numbers.at(-1) ?? 0).toBeLessThan(Math.max(1, issued));
    }
    await writing;
    await wal.close();
  }
  // It must not be saved by giving up, nor by never meeting a half-written group.
  expect(views).toBeGreaterThan(changes);
  expect(torn).toBeGreaterThan(0);
});
