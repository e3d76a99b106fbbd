// Measures the log on this machine: `node bench/run.mjs [record bytes] [records]` after a build. Appends by durability and by how
// many are in flight, with room made ahead and without; opening; reading. CPU is user time of this process, all threads, a record.
// Figures depend on the disk and on what else runs; compare runs of one machine only.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Wal } from '../dist/index.js';

const recordBytes = Number(process.argv[2] ?? 1024);
const count = Number(process.argv[3] ?? 200_000);
const record = new Uint8Array(recordBytes).map((_, index) => index * 7);

const report = (name, operations, seconds, cpu) => {
  const rate = Math.round(operations / seconds).toLocaleString('en');
  const mib = ((operations * recordBytes) / seconds / 2 ** 20).toFixed(0);
  const user = (cpu.user / operations).toFixed(2);
  console.log(`${name.padEnd(44)} ${rate.padStart(10)} /s ${mib.padStart(6)} MiB/s ${user.padStart(7)} us CPU`);
};

const measure = async (name, operations, work) => {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  report(name, operations, (performance.now() - started) / 1000, process.cpuUsage(cpu));
};

const withDirectory = async (work) => {
  const dir = await mkdtemp(join(tmpdir(), 'nori-wal-bench-'));
  try {
    await work(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
};

/** Keeps `width` appends in flight until `total` were made. */
const append = (wal, width, total) => {
  let next = 0;
  const lane = async () => {
    while (next++ < total) await wal.append(record);
  };
  return Promise.all(Array.from({ length: width }, lane));
};

for (const [fsync, width, share] of [
  ['batch', 1, 100],
  ['batch', 64, 2],
  ['batch', 256, 1],
  ['batch', 1000, 1],
  ['os', 64, 1],
  ['os', 1000, 1],
]) {
  for (const preallocateBytes of [0, 2 ** 18]) {
    if (fsync === 'os' && preallocateBytes === 0) continue;
    await withDirectory(async (dir) => {
      const wal = await Wal.open({ dir, fsync, preallocateBytes });
      await append(wal, width, 2_000);
      const total = Math.ceil(count / share);
      const room = preallocateBytes > 0 ? '' : ', no room ahead';
      await measure(`append, ${fsync}, ${width} in flight${room}`, total, () => append(wal, width, total));
      await wal.close();
    });
  }
}

await withDirectory(async (dir) => {
  const wal = await Wal.open({ dir, fsync: 'batch', segmentBytesMax: 2 ** 25 });
  for (let round = 0; round < 3; round++) {
    await append(wal, 1000, count / 4);
    await wal.truncateBefore(wal.end);
  }
  await measure('append, batch, 1000 in flight, recycled files', count / 4, () => append(wal, 1000, count / 4));
  await wal.close();
});

for (const compression of ['lz4', 'deflate']) {
  await withDirectory(async (dir) => {
    const wal = await Wal.open({ dir, fsync: 'os', compression });
    await measure(`append, os, 1000 in flight, ${compression}`, count / 4, () => append(wal, 1000, count / 4));
    await wal.close();
  });
}

await withDirectory(async (dir) => {
  const filling = await Wal.open({ dir, fsync: 'os' });
  await append(filling, 1000, count);
  await filling.close();
  for (let round = 0; round < 2; round++) {
    let wal;
    await measure('open', count, async () => (wal = await Wal.open({ dir })));
    await measure('readFrom', count, async () => {
      for await (const _ of wal.readFrom(0));
    });
    await measure('readBatches', count, async () => {
      for await (const _ of wal.readBatches(0));
    });
    await wal.close();
    let handed = 0;
    await measure('open, records handed over', count, async () => {
      wal = await Wal.open({ dir, onRecords: (records) => void (handed += records.length) });
    });
    await wal.close();
    if (handed !== count) throw new Error(`${handed} records handed over`);
  }
});
