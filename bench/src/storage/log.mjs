// Appends to nori-wal alone.
import { rmSync } from 'node:fs';
import { Wal } from 'nori-wal';
import { valueBytesOf } from './data.mjs';
import { check, inFlight, secondsSince } from './workloads.mjs';

const WIDTHS = [64, 256, 1000];
const RECORD_BYTES = 1024;
const WARM_UP_SHARE = 0.1;

const appendAll = async (dir, fsync, count, width) => {
  const wal = await Wal.open({ dir, fsync });
  const record = (i) => valueBytesOf(i, RECORD_BYTES);
  await inFlight(count * WARM_UP_SHARE, width, (i) => wal.append(record(i)));
  const startMs = performance.now();
  await inFlight(count, width, (i) => wal.append(record(i)));
  const perSecond = count / secondsSince(startMs);
  await wal.close();
  return perSecond;
};

/** All of it is there after reopening, and what is looked at is right. */
const checkLog = async (dir, count) => {
  const wal = await Wal.open({ dir });
  check(wal.recovery.records === count * (1 + WARM_UP_SHARE), `${wal.recovery.records} records were recovered`);
  let at = 0;
  for await (const { data } of wal.readFrom(wal.start)) {
    check(Buffer.compare(data, valueBytesOf(at, RECORD_BYTES)) === 0, `record ${at}`);
    if (++at === 100) break;
  }
  await wal.close();
};

/** @param {{ dir: string, fsync: 'os' | 'batch', count: number }} job */
export const appends = async ({ dir, fsync, count }) => {
  const variants = {};
  for (const width of WIDTHS) {
    variants[`${width} in flight`] = await appendAll(dir, fsync, count, width);
    await checkLog(dir, count);
    rmSync(dir, { recursive: true });
  }
  const [best] = Object.keys(variants).toSorted((a, b) => variants[b] - variants[a]);
  return { perSecond: variants[best], best, variants };
};
