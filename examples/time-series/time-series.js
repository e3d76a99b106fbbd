// Metrics in nori-lsm: points in order of series and time, which go by themselves when they are too old.
//
//   <series>!<time>      time in milliseconds, 12 hexadecimal digits, so that keys are ordered by time
import { systemClock } from 'nori-io';
import { Lsm } from 'nori-lsm';

const timeKey = (timeMs) => timeMs.toString(16).padStart(12, '0');
const pointKey = (series, timeMs) => {
  if (series.includes('!')) throw new RangeError(`The name of a series must not contain '!': ${series}`);
  return `${series}!${timeKey(Math.floor(timeMs))}`;
};
const encode = (value) => new Uint8Array(new Float64Array([value]).buffer);
const decode = (bytes) => new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true);

export class TimeSeries {
  #db;
  #clock;
  #retentionMs;

  /** @param options those of Lsm.open, and `retentionMs`: how old a point may become */
  static async open({ retentionMs, clock = systemClock, ...options }) {
    // A point that is lost in a power failure is not worth waiting for the disk: synced within 200 ms.
    return new TimeSeries(await Lsm.open({ durability: 'os', clock, ...options }), clock, retentionMs);
  }

  constructor(db, clock, retentionMs) {
    this.#db = db;
    this.#clock = clock;
    this.#retentionMs = retentionMs;
  }

  /** The store, for its statistics. */
  get db() {
    return this.#db;
  }

  /** Adds points `{ series, timeMs, value }`. Those that are too old already are left out. */
  append(points) {
    const now = this.#clock.now();
    const operations = [];
    for (const { series, timeMs, value } of points) {
      const ttlMs = timeMs + this.#retentionMs - now;
      if (ttlMs > 0) operations.push({ type: 'put', key: pointKey(series, timeMs), value: encode(value), ttlMs });
    }
    return this.#db.batch(operations);
  }

  /** The points of a series from one time up to another (not included), oldest first. */
  async *range(series, fromMs, toMs) {
    const range = { gte: pointKey(series, fromMs), lt: pointKey(series, toMs) };
    for await (const [key, value] of this.#db.scan(range)) {
      const time = new TextDecoder().decode(key.subarray(key.length - 12));
      yield { timeMs: Number.parseInt(time, 16), value: decode(value) };
    }
  }

  /** The newest point of a series: the first one of a walk from its end. */
  async latest(series) {
    for await (const [, value] of this.#db.scan({ prefix: `${series}!`, reverse: true, limit: 1 }))
      return decode(value);
  }

  /** As `range`, `stepMs` at a time: what there is to draw. Reads in slices, so that the process goes on meanwhile. */
  async *downsample(series, fromMs, toMs, stepMs) {
    let bucket;
    for await (const { timeMs, value } of this.range(series, fromMs, toMs)) {
      const startMs = timeMs - ((timeMs - fromMs) % stepMs);
      if (bucket?.startMs !== startMs) {
        if (bucket !== undefined) yield finished(bucket);
        bucket = { startMs, count: 0, sum: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };
      }
      bucket.count++;
      bucket.sum += value;
      bucket.min = Math.min(bucket.min, value);
      bucket.max = Math.max(bucket.max, value);
    }
    if (bucket !== undefined) yield finished(bucket);
  }

  close() {
    return this.#db.close();
  }
}

const finished = ({ startMs, count, sum, min, max }) => ({ startMs, count, mean: sum / count, min, max });
