// A day of two metrics, one point every ten seconds, kept for a day. The clock is moved by hand, so that nobody has to wait.
import { systemClock } from 'nori-io';
import { TimeSeries } from './time-series.js';

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;

const startMs = Date.UTC(2030, 0, 1);
let nowMs = startMs;
const clock = Object.create(systemClock, { now: { value: () => nowMs } });

const metrics = await TimeSeries.open({ dir: process.argv[2] ?? './data', clock, retentionMs: DAY_MS });

for (; nowMs < startMs + DAY_MS; nowMs += HOUR_MS / 2) {
  const points = [];
  for (let timeMs = nowMs; timeMs < nowMs + HOUR_MS / 2; timeMs += 10 * SECOND_MS) {
    const hours = (timeMs - startMs) / HOUR_MS;
    points.push({ series: 'cpu', timeMs, value: 50 + 40 * Math.sin((hours / 24) * 2 * Math.PI) });
    points.push({ series: 'memory', timeMs, value: hours });
  }
  await metrics.append(points);
}

let count = 0;
for await (const _ of metrics.range('cpu', startMs + HOUR_MS, startMs + HOUR_MS + 60 * SECOND_MS)) count++;
console.log('points in one minute:', count);
console.log('latest memory:', (await metrics.latest('memory')).toFixed(2));
for await (const { startMs: atMs, mean, min, max } of metrics.downsample(
  'cpu',
  startMs,
  startMs + DAY_MS,
  6 * HOUR_MS,
)) {
  console.log(new Date(atMs).toISOString().slice(11, 16), [mean, min, max].map((value) => value.toFixed(1)).join(' '));
}

const report = async (when) => {
  let points = 0;
  for (const series of ['cpu', 'memory']) {
    for await (const _ of metrics.range(series, 0, startMs + 10 * DAY_MS)) points++;
  }
  console.log(`${when}: ${points} points, ${Math.round(metrics.db.stats().tableBytes / 1024)} KiB`);
};

await metrics.db.compact();
await report('after a day');
nowMs += DAY_MS / 2;
// What has expired is hidden at once; its space comes back when it is compacted, which the database also does by itself
// once a quarter of a table is worthless.
await metrics.db.compact();
await report('half a day later');
nowMs += DAY_MS / 2;
await metrics.db.compact();
await report('another half');
await metrics.close();
