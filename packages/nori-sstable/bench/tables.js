// How fast tables are written, read and walked: keys of 16 bytes, values of 100 (or as given), everything from the cache after
// a warm-up. Build first, then: node packages/nori-sstable/bench/tables.js [keys] [value bytes]
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeFileSystem as fs } from 'nori-io';
import { BlockCache, SSTableReader, SSTableWriter } from 'nori-sstable';

const KEYS = Number(process.argv[2] ?? 500_000);
const VALUE_BYTES = Number(process.argv[3] ?? 100);
const ROUNDS = 5;

const dir = mkdtempSync(join(tmpdir(), 'nori-sstable-bench-'));
// Keys are made in one buffer as they are asked for, so that it is not the search for them in memory that is measured.
const key = new Uint8Array(16);
function keyOf(number) {
  for (let at = 15, rest = number; at >= 0; at--) {
    const tenth = Math.floor(rest / 10);
    key[at] = 48 + rest - 10 * tenth;
    rest = tenth;
  }
  return key;
}
const value = new Uint8Array(randomBytes(VALUE_BYTES));
const order = Uint32Array.from({ length: KEYS }, (_, i) => i);
for (let i = KEYS - 1; i > 0; i--) {
  const j = Math.floor(Math.random() * (i + 1));
  [order[i], order[j]] = [order[j], order[i]];
}

function report(name, rates) {
  const sorted = [...rates].sort((a, b) => a - b);
  const format = (rate) => `${Math.round(rate / 1000).toLocaleString('en-US')}k/s`;
  console.log(`${name.padEnd(44)} median ${format(sorted[sorted.length >> 1])}, best ${format(sorted.at(-1))}`);
}

async function measure(name, run) {
  const rates = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    const count = await run(round);
    rates.push(count / (Number(process.hrtime.bigint() - start) / 1e9));
  }
  report(name, rates);
}

function addAll(writer) {
  for (let i = 0; i < KEYS; i++) writer.add(keyOf(2 * i), 1_000_000 + i, 1, 0, value);
}

const pathOf = (name) => join(dir, `${name}.sst`);
await measure('write, synchronous (with datasync)', (round) => {
  const writer = SSTableWriter.createSync({ fs, path: pathOf(`sync-${round}`) });
  addAll(writer);
  writer.finishSync();
  return KEYS;
});
await measure('write, asynchronous (with datasync)', async (round) => {
  const writer = await SSTableWriter.create({ fs, path: pathOf(`async-${round}`) });
  for (let i = 0; i < KEYS; i++) {
    writer.add(keyOf(2 * i), 1_000_000 + i, 1, 0, value);
    if (writer.needsDrain) await writer.drain();
  }
  await writer.finish();
  return KEYS;
});

const path = pathOf('sync-0');
const cache = new BlockCache({ bytesMax: 2 ** 30 });
const table = await SSTableReader.open({ fs, path, cache });
const { fileBytes, dataBlocks } = table.properties;
console.log(`table: ${KEYS} keys, ${(fileBytes / 2 ** 20).toFixed(1)} MiB, ${dataBlocks} blocks`);
let sum = 0;
const getAll = (reader, isAbsent = 0) => {
  for (let i = 0; i < KEYS; i++) sum += reader.get(keyOf(2 * order[i] + isAbsent))?.value.length ?? 0;
  return KEYS;
};
await measure('(making the keys alone)', () => {
  for (let i = 0; i < KEYS; i++) sum += keyOf(2 * order[i])[15];
  return KEYS;
});
await measure('get, random, cached', () => getAll(table));
await measure('get, absent', () => getAll(table, 1));
const uncached = await SSTableReader.open({ fs, path });
await measure('get, random, no block cache', () => getAll(uncached));
const small = await SSTableReader.open({ fs, path, cache: new BlockCache({ bytesMax: fileBytes / 4 }) });
await measure('get, random, cache of a quarter', () => getAll(small));

const walk = (reader, options) => () => {
  let count = 0;
  const cursor = reader.cursor(options);
  for (cursor.first(); cursor.valid; cursor.next()) {
    sum += cursor.key.length + cursor.value.length;
    count++;
  }
  return count;
};
await measure('iterate forward, cached', walk(table, {}));
await measure('iterate forward, read ahead, no cache', walk(uncached, { fillCache: false }));
await measure('iterate backward, cached', () => {
  let count = 0;
  const cursor = table.cursor();
  for (cursor.last(); cursor.valid; cursor.prev()) {
    sum += cursor.key.length + cursor.value.length;
    count++;
  }
  return count;
});
await measure('seek, random, cached', () => {
  const cursor = table.cursor();
  for (let i = 0; i < KEYS; i++) {
    cursor.seek(keyOf(2 * order[i]));
    sum += cursor.valueLength;
  }
  return KEYS;
});
await measure('verify', async () => (await table.verify()).entries);
if (sum === 0) console.log('nothing was read');
await Promise.all([table, uncached, small].map((reader) => reader.close()));
rmSync(dir, { recursive: true });
