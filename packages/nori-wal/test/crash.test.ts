// The oracle: what is recovered is a prefix of what was issued, holds everything acknowledged as durable, and no batch in part.
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng, seedFromEnv } from 'nori-testkit';
import { Wal, type WalPosition } from 'nori-wal';
import { expect, test } from 'vitest';

const DIR = '/data/log';
const SEED = seedFromEnv();

interface Issued {
  readonly payload: Uint8Array;
  /** Number of the call that issued it: records of one call survive together. */
  readonly call: number;
  /** Once acknowledged. */
  position: WalPosition | undefined;
}

/** A disk as it was at one moment, and what had been promised by then. */
interface Moment {
  readonly fs: MemoryFileSystem;
  readonly what: string;
  readonly issued: number;
  readonly durable: number;
  readonly start: WalPosition;
}

function payload(rng: Rng, number: number): Uint8Array {
  const size = rng.chance(0.02) ? rng.range(60_000, 80_000) : rng.chance(0.2) ? rng.int(6000) : rng.int(200);
  return numbered(number, size);
}

function numbered(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size + 4).fill(number * 31);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

async function collect(wal: Wal): Promise<{ position: number; data: Uint8Array }[]> {
  const records = [];
  for await (const { position, data } of wal.readFrom(0)) records.push({ position, data });
  return records;
}

/**
 * Opens the log on `fs` and holds it against the oracle, then appends one more record durably. Returns how many of the issued
 * records survived.
 */
async function check(fs: MemoryFileSystem, issued: Issued[], moment: Moment, append?: Issued): Promise<number> {
  const wal = await Wal.open({ dir: DIR, fs, segmentBytesMax: 16_384 });
  const found = await collect(wal);
  expect(wal.recovery.records).toBe(found.length);
  const numbers = found.map(({ data }) => new DataView(data.buffer, data.byteOffset).getUint32(0));
  const first = numbers[0] ?? 0;
  numbers.forEach((number, index) => {
    expect(number).toBe(first + index);
    expect(Buffer.compare(found[index]!.data, issued[number]!.payload)).toBe(0);
    if (issued[number]!.position !== undefined) expect(found[index]!.position).toBe(issued[number]!.position);
  });
  const end = numbers.length === 0 ? 0 : first + numbers.length;
  if (numbers.length > 0 || moment.start === 0) expect(end).toBeGreaterThanOrEqual(moment.durable);
  expect(end).toBeLessThanOrEqual(moment.issued);
  if (end > 0 && end < issued.length) expect(issued[end]!.call).not.toBe(issued[end - 1]!.call);
  if (append) {
    issued.push(append);
    append.position = await wal.append(append.payload);
    expect(append.position).toBeGreaterThanOrEqual(wal.recovery.end);
  }
  await wal.close();
  return end;
}

/** Runs random appends, batches, syncs and truncations, and keeps disks of random moments: crashed, or killed. */
async function run(seed: number): Promise<void> {
  const rng = new Rng(seed);
  const fs = new MemoryFileSystem();
  const issued: Issued[] = [];
  const moments: Moment[] = [];
  let durable = 0;
  let start = 0;
  let positionStart = 0;
  const crashes = rng.fork();
  fs.onOperation = (operation) => {
    if (!crashes.chance(0.25)) return;
    const found = crashes.chance(0.7) ? fs.crash(crashes) : fs.kill();
    moments.push({ fs: found, what: `${operation.index} ${operation.kind}`, issued: issued.length, durable, start });
  };
  const wal = await Wal.open({ dir: DIR, fs, segmentBytesMax: 16_384, stagingBytesMax: 20_000, syncIntervalMs: 1 });
  const pending: Promise<unknown>[] = [];
  let calls = 0;
  for (let step = 0; step < 25; step++) {
    const call = calls++;
    const durability = rng.pick(['sync', 'batch', 'batch', 'os'] as const);
    const records = Array.from({ length: rng.chance(0.3) ? rng.range(2, 6) : 1 }, () => {
      const record: Issued = { payload: payload(rng, issued.length), call, position: undefined };
      issued.push(record);
      return record;
    });
    const end = issued.length;
    const appended =
      records.length === 1
        ? wal.append(records[0]!.payload, { durability }).then((at) => [at])
        : wal.appendBatch(
            records.map(({ payload: bytes }) => bytes),
            { durability },
          );
    pending.push(
      appended.then((positions) => {
        positions.forEach((position, index) => {
          records[index]!.position = position;
        });
        if (durability !== 'os') durable = Math.max(durable, end);
      }),
    );
    if (rng.chance(0.5)) await pending[rng.int(pending.length)];
    if (rng.chance(0.1)) await wal.sync().then(() => (durable = Math.max(durable, end)));
    if (rng.chance(0.1)) {
      start = durable;
      positionStart = issued[durable - 1]?.position ?? positionStart;
      await wal.truncateBefore(positionStart);
    }
  }
  await Promise.all(pending);
  await wal.close();
  moments.push({ fs: fs.crash(crashes), what: 'closed', issued: issued.length, durable: issued.length, start });
  for (const moment of moments) await verify(moment, issued, crashes, `seed ${seed}, ${moment.what}`);
}

/** Holds a moment against the oracle, appends to it, and lets the power fail once more. */
async function verify(moment: Moment, issued: readonly Issued[], rng: Rng, what: string): Promise<void> {
  try {
    const kept = await check(moment.fs, [...issued], moment);
    // Whatever was recovered once is durable, and what is appended then is, too.
    const survivors = issued.slice(0, kept);
    const base = { ...moment, durable: kept, issued: kept };
    for (const found of [moment.fs.kill(), moment.fs.crash(rng)]) {
      const extra: Issued = { payload: numbered(kept, 100), call: -1, position: undefined };
      expect(await check(found, [...survivors], base, extra)).toBe(kept);
      const after = { ...base, durable: kept + 1, issued: kept + 1 };
      expect(await check(found.crash(rng), [...survivors, extra], after)).toBe(kept + 1);
    }
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  }
}

test('after a crash at any moment, the log holds a prefix of what was issued with everything acknowledged', async () => {
  const rng = new Rng(SEED);
  for (let round = 0; round < 40; round++) await run(rng.int(2 ** 31));
});

test('after a failed sync the log takes no more, and what a reopened log recovers survives a power failure', async () => {
  const rng = new Rng(SEED + 1);
  for (let round = 0; round < 60; round++) {
    const seed = rng.int(2 ** 31);
    const random = new Rng(seed);
    const fs = new MemoryFileSystem();
    const wal = await Wal.open({ dir: DIR, fs, segmentBytesMax: 16_384 });
    fs.inject({ on: 'datasync', after: random.range(1, 8), times: 1 });
    const issued: Issued[] = [];
    let durable = 0;
    for (let number = 0; number < 40 && !wal.stats().poisoned; number++) {
      const record: Issued = { payload: payload(random, number), call: number, position: undefined };
      issued.push(record);
      await wal.append(record.payload).then(
        (position) => {
          record.position = position;
          durable = number + 1;
        },
        (error: unknown) => expect(error).toMatchObject({ code: 'WAL_POISONED' }),
      );
    }
    expect(wal.stats().poisoned).toBe(true);
    await expect(wal.append(new Uint8Array(1))).rejects.toMatchObject({ code: 'WAL_POISONED' });
    await wal.close();
    const moment = {
      fs: random.chance(0.5) ? fs.kill() : fs.crash(random),
      what: '',
      issued: issued.length,
      durable,
      start: 0,
    };
    await verify(moment, issued, random, `seed ${seed}`);
  }
});
