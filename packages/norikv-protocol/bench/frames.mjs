// Time to encode and decode a frame of 256 rows with protobuf-es and with this package's encoder, and to route its keys.
// Run after a build: node packages/norikv-protocol/bench/frames.mjs
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  encodeOperationFrame,
  encodeResultFrame,
  loadKeyHasher,
  OperationFrameSchema,
  OperationReader,
  ResultFrameSchema,
  validateOperationFrame,
} from '../dist/index.js';

const ROWS = 256;
const ROUNDS = 3000;

const measure = (name, run) => {
  for (let i = 0; i < ROUNDS / 3; i++) run();
  const start = process.hrtime.bigint();
  for (let i = 0; i < ROUNDS; i++) run();
  const nanos = Number(process.hrtime.bigint() - start) / ROUNDS / ROWS;
  console.log(`${name.padEnd(36)} ${nanos.toFixed(0).padStart(5)} ns a row`);
};

const keys = Array.from({ length: ROWS }, (_, i) =>
  new TextEncoder().encode(`user:${String(i * 7919).padStart(12, '0')}`),
);
const values = keys.map((_, i) => new Uint8Array(1024).fill(i));
const ids = keys.map((_, i) => 100_000 + i);
const counts = keys.map((_, i) => 1_000_000 + i);

const operations = {
  gets: create(OperationFrameSchema, {
    firstId: 100_000,
    kinds: new Uint8Array(ROWS).fill(1),
    keys,
    timeoutsMs: [10_000],
  }),
  puts: create(OperationFrameSchema, {
    firstId: 100_000,
    kinds: new Uint8Array(ROWS).fill(2),
    keys,
    values,
    timeoutsMs: [10_000],
    clientId: new Uint8Array(16),
    sequences: counts,
    floor: 1_000_000,
  }),
};
const results = {
  gets: create(ResultFrameSchema, { ids, statuses: new Uint8Array(ROWS), values, term: 1, indexes: counts }),
  puts: create(ResultFrameSchema, { ids, statuses: new Uint8Array(ROWS), term: 1, indexes: counts }),
};

for (const [kind, frame] of Object.entries(operations)) {
  const bytes = toBinary(OperationFrameSchema, frame);
  measure(`${kind}, 1 KiB: protobuf-es encode`, () => toBinary(OperationFrameSchema, frame));
  measure(`${kind}, 1 KiB: own encode`, () => encodeOperationFrame(frame));
  measure(`${kind}, 1 KiB: protobuf-es decode`, () => fromBinary(OperationFrameSchema, bytes));
  measure(`${kind}, 1 KiB: validate`, () => validateOperationFrame(frame));
  const reader = new OperationReader();
  measure(`${kind}, 1 KiB: read rows`, () => {
    reader.reset(frame);
    while (reader.next());
  });
}
for (const [kind, frame] of Object.entries(results)) {
  const bytes = toBinary(ResultFrameSchema, frame);
  measure(`results of ${kind}: protobuf-es encode`, () => toBinary(ResultFrameSchema, frame));
  measure(`results of ${kind}: own encode`, () => encodeResultFrame(frame));
  measure(`results of ${kind}: protobuf-es decode`, () => fromBinary(ResultFrameSchema, bytes));
}
const hasher = await loadKeyHasher();
measure('shardOf', () => {
  for (const key of keys) hasher.shardOf(key, 1024);
});
