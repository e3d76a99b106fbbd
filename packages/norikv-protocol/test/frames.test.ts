import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ErrorDetailSchema,
  encodeOperationFrame,
  encodeResultFrame,
  LIMITS,
  type OperationFrame,
  OperationFrameSchema,
  OperationReader,
  ResultFrameBuilder,
  ResultFrameSchema,
  ResultReader,
  validateOperationFrame,
  validateResultFrame,
} from '../src/index.js';

const bytes = fc.uint8Array({ maxLength: 40 });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const uint32s = fc.array(uint32, { maxLength: 8 });
const double = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const doubles = fc.array(double, { maxLength: 8 });

/** Frames of any columns at all, most of them inconsistent. */
const anyFrame = fc
  .record({
    firstId: uint32,
    kinds: fc.uint8Array({ maxLength: 8, max: 4 }),
    keys: fc.array(bytes, { maxLength: 8 }),
    values: fc.array(fc.oneof(bytes, fc.uint8Array({ minLength: 100, maxLength: 300 })), { maxLength: 8 }),
    consistencies: fc.uint8Array({ maxLength: 8, max: 5 }),
    timeoutsMs: uint32s,
    clientId: fc.uint8Array({ maxLength: 17 }),
    sequences: doubles,
    floor: double,
    agesMs: uint32s,
    ttlRows: uint32s,
    ttlsMs: doubles,
    ifAbsentRows: uint32s,
    ifVersionRows: uint32s,
    ifVersionTerms: doubles,
    ifVersionIndexes: doubles,
    atomicStarts: uint32s,
    atomicCounts: uint32s,
    cancels: uint32s,
  })
  .map((init) => create(OperationFrameSchema, init));

interface Row {
  kind: number;
  key: Uint8Array;
  value: Uint8Array;
  consistency: number;
  timeoutMs: number;
  ageMs: number;
  ttlMs: number;
  ifAbsent: boolean;
  ifVersion: { term: number; index: number } | undefined;
  /** True: joins the atomic group of the row before, if that is a write too. */
  join: boolean;
}

const rows: fc.Arbitrary<Row[]> = fc.array(
  fc.record({
    kind: fc.integer({ min: 1, max: 3 }),
    key: bytes,
    value: bytes,
    consistency: fc.integer({ min: 0, max: 3 }),
    timeoutMs: uint32,
    ageMs: uint32,
    ttlMs: fc.oneof(fc.constant(0), fc.integer({ min: 1 })),
    ifAbsent: fc.boolean(),
    ifVersion: fc.option(fc.record({ term: double, index: double }), { nil: undefined }),
    join: fc.boolean(),
  }),
  { maxLength: 20 },
);

/** Columns of rows, and what a reader should see. */
const columnsOf = (input: Row[], firstId: number): { frame: OperationFrame; seen: object[] } => {
  const frame = create(OperationFrameSchema, { firstId, kinds: Uint8Array.from(input.map((r) => r.kind)), floor: 3 });
  const consistencies: number[] = [];
  const seen: object[] = [];
  let sequence = 2;
  let group = -1;
  const counts: number[] = new Array(input.length).fill(0);
  input.forEach((r, row) => {
    const { kind } = r;
    const write = kind !== 1;
    frame.keys.push(r.key);
    frame.timeoutsMs.push(r.timeoutMs);
    if (!write) consistencies.push(r.consistency);
    if (kind === 2) frame.values.push(r.value);
    const ttlMs = kind === 2 ? r.ttlMs : 0;
    if (ttlMs > 0) {
      frame.ttlRows.push(row);
      frame.ttlsMs.push(ttlMs);
    }
    if (kind === 2 && r.ifAbsent) frame.ifAbsentRows.push(row);
    const ifVersion = write ? r.ifVersion : undefined;
    if (ifVersion) {
      frame.ifVersionRows.push(row);
      frame.ifVersionTerms.push(ifVersion.term);
      frame.ifVersionIndexes.push(ifVersion.index);
    }
    if (write) {
      if (r.join && group >= 0) counts[group]!++;
      else {
        sequence++;
        group = r.join ? row : -1;
        if (r.join) counts[row] = 1;
      }
      frame.sequences.push(sequence);
      frame.agesMs.push(r.ageMs);
    } else group = -1;
    seen.push({
      row,
      id: firstId + row,
      kind,
      key: r.key,
      value: kind === 2 ? r.value : new Uint8Array(0),
      consistency: write ? 0 : r.consistency,
      timeoutMs: r.timeoutMs,
      sequence: write ? sequence : 0,
      ageMs: write ? r.ageMs : 0,
      ttlMs,
      ifAbsent: kind === 2 && r.ifAbsent,
      ifVersion,
    });
  });
  frame.consistencies = Uint8Array.from(consistencies);
  if (frame.sequences.length > 0) frame.clientId = new Uint8Array(16).fill(7);
  counts.forEach((count, row) => {
    if (count > 0) {
      frame.atomicStarts.push(row);
      frame.atomicCounts.push(count);
    }
  });
  return { frame, seen: seen.map((s, row) => ({ ...s, atomicCount: counts[row] })) };
};

const readAll = (frame: OperationFrame): object[] => {
  const reader = new OperationReader();
  const out: object[] = [];
  reader.reset(frame);
  while (reader.next()) {
    const { row, id, kind, key, value, consistency, timeoutMs, sequence, ageMs, ttlMs, ifAbsent, atomicCount } = reader;
    const ifVersion = reader.ifVersion ? { term: reader.ifVersionTerm, index: reader.ifVersionIndex } : undefined;
    out.push({
      row,
      id,
      kind,
      key,
      value,
      consistency,
      timeoutMs,
      sequence,
      ageMs,
      ttlMs,
      ifAbsent,
      ifVersion,
      atomicCount,
    });
  }
  return out;
};

describe('the frame encoder', () => {
  test('writes operation frames byte for byte as protobuf-es does, and they read back', () => {
    fc.assert(
      fc.property(anyFrame, (frame) => {
        const encoded = encodeOperationFrame(frame);
        expect(encoded.subarray(5)).toEqual(toBinary(OperationFrameSchema, frame));
        expect(new DataView(encoded.buffer).getUint32(1)).toBe(encoded.length - 5);
        expect(fromBinary(OperationFrameSchema, encoded.subarray(5))).toEqual(frame);
      }),
      { numRuns: 500 },
    );
  });

  test('writes result frames byte for byte as protobuf-es does, and they read back', () => {
    const frames = fc.record({
      ids: uint32s,
      statuses: bytes,
      values: fc.array(bytes, { maxLength: 6 }),
      term: uint32,
      terms: doubles,
      indexes: doubles,
      errors: fc.array(
        fc.record({
          code: fc.integer({ min: 0, max: 16 }),
          message: fc.string(),
          leaderAddress: fc.string(),
          retryAfterMs: uint32,
        }),
        { maxLength: 3 },
      ),
    });
    fc.assert(
      fc.property(frames, (init) => {
        const frame = create(ResultFrameSchema, {
          ...init,
          errors: init.errors.map((e) => create(ErrorDetailSchema, e)),
        });
        const encoded = encodeResultFrame(frame).subarray(5);
        expect(encoded).toEqual(toBinary(ResultFrameSchema, frame));
        expect(fromBinary(ResultFrameSchema, encoded)).toEqual(frame);
      }),
      { numRuns: 500 },
    );
  });
});

describe('operation frames', () => {
  test('that are consistent pass, and read back row by row', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 0, max: 0xffffff00 }), (input, firstId) => {
        const { frame, seen } = columnsOf(input, firstId);
        expect(validateOperationFrame(frame)).toBeUndefined();
        expect(readAll(frame)).toEqual(seen);
      }),
      { numRuns: 500 },
    );
  });

  test('of any columns at all are either refused or can be read without a hole', () => {
    fc.assert(
      fc.property(anyFrame, (frame) => {
        if (validateOperationFrame(frame) === undefined) {
          for (const row of readAll(frame)) for (const value of Object.values(row)) expect(value).not.toBeNaN();
          expect(readAll(frame)).toHaveLength(frame.keys.length);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('decoded from any bytes never crash the checks', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        let frame: OperationFrame;
        try {
          frame = fromBinary(OperationFrameSchema, garbage);
        } catch {
          return;
        }
        const wrong = validateOperationFrame(frame);
        expect(wrong === undefined || wrong.length > 0).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('name the field that is wrong', () => {
    const key = Uint8Array.of(1);
    const put = { kinds: Uint8Array.of(2), keys: [key], values: [key] };
    const get = { kinds: Uint8Array.of(1), keys: [key] };
    const id = { clientId: new Uint8Array(16), sequences: [1] };
    const wrong = (init: object) => validateOperationFrame(create(OperationFrameSchema, init));
    expect(wrong(put)).toBeUndefined();
    expect(wrong({ ...put, ...id })).toBeUndefined();
    expect(wrong({ keys: [key] })).toMatch(/^kinds has 0/);
    expect(wrong({ kinds: Uint8Array.of(4), keys: [key] })).toMatch(/^kinds\[0\] is 4/);
    expect(wrong({ ...put, values: [] })).toMatch(/^values has 0/);
    expect(wrong({ ...get, consistencies: Uint8Array.of(9) })).toMatch(/^consistencies\[0\] is 9.*lease/);
    expect(wrong({ ...get, consistencies: Uint8Array.of(1, 1) })).toMatch(/^consistencies has 2/);
    expect(wrong({ ...get, timeoutsMs: [1, 2] })).toMatch(/^timeouts_ms has 2/);
    expect(wrong({ ...get, firstId: 0xffffffff })).toBeUndefined();
    expect(wrong({ kinds: Uint8Array.of(1, 1), keys: [key, key], firstId: 0xffffffff })).toMatch(/^first_id/);
    expect(wrong({ ...put, sequences: [1] })).toMatch(/^client_id has 0 bytes/);
    expect(wrong({ ...put, ...id, sequences: [1, 2] })).toMatch(/^sequences has 2/);
    expect(wrong({ ...put, ...id, sequences: [1.5] })).toMatch(/^sequences\[0\] is 1.5/);
    expect(wrong({ ...put, ...id, floor: -1 })).toMatch(/^floor is -1/);
    expect(wrong({ ...put, ...id, floor: Number.NaN })).toMatch(/^floor is NaN/);
    expect(wrong({ ...put, ...id, agesMs: [1, 2] })).toMatch(/^ages_ms has 2/);
    expect(wrong({ ...put, agesMs: [1] })).toMatch(/^ages_ms is given without/);
    expect(wrong({ ...put, ttlRows: [0], ttlsMs: [-5] })).toMatch(/^ttls_ms\[0\] is -5/);
    expect(wrong({ ...put, ttlRows: [0] })).toMatch(/^ttls_ms has 0/);
    expect(wrong({ ...put, ttlRows: [1], ttlsMs: [5] })).toMatch(/^ttl_rows\[0\] is 1/);
    expect(wrong({ ...get, ifAbsentRows: [0] })).toMatch(/^if_absent_rows\[0\] is 0: not allowed/);
    expect(wrong({ ...put, ifAbsentRows: [0, 0] })).toMatch(/^if_absent_rows\[1\] is 0: rows must be strictly/);
    expect(wrong({ ...put, ifVersionRows: [0], ifVersionTerms: [1] })).toMatch(/^if_version_indexes has 0/);
    expect(wrong({ ...get, atomicStarts: [0], atomicCounts: [1] })).toMatch(/row 0 is a get/);
    expect(wrong({ ...put, atomicStarts: [0], atomicCounts: [2] })).toMatch(/^atomic_counts\[0\] is 2/);
    expect(wrong({ ...put, atomicStarts: [0], atomicCounts: [0] })).toMatch(/at least one row/);
    expect(wrong({ ...put, atomicStarts: [0, 0], atomicCounts: [1, 1] })).toMatch(/not overlap/);
    const two = { kinds: Uint8Array.of(2, 3), keys: [key, key], values: [key] };
    const group = { atomicStarts: [0], atomicCounts: [2] };
    expect(wrong({ ...two, ...id, sequences: [1, 1], ...group })).toBeUndefined();
    expect(wrong({ ...two, ...id, sequences: [1, 2], ...group })).toMatch(/^sequences\[1\] differs/);
    const many = LIMITS.frameRowsMax + 1;
    expect(wrong({ kinds: new Uint8Array(many).fill(1), keys: new Array(many).fill(key) })).toMatch(/^keys has 4097/);
    expect(wrong({ cancels: new Array(many).fill(0) })).toMatch(/^cancels has 4097/);
  });
});

type Result =
  | { type: 'value'; value: Uint8Array; term: number; index: number }
  | { type: 'absent' }
  | { type: 'written'; term: number; index: number; existed: boolean }
  | { type: 'failed'; message: string };

describe('result frames', () => {
  const term = fc.oneof(fc.constant(1), fc.constant(2), double);
  const index = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const results: fc.Arbitrary<Result[]> = fc.array(
    fc.oneof(
      fc.record({ type: fc.constant('value' as const), value: bytes, term, index }),
      fc.record({ type: fc.constant('absent' as const) }),
      fc.record({ type: fc.constant('written' as const), term, index, existed: fc.boolean() }),
      fc.record({ type: fc.constant('failed' as const), message: fc.string() }),
    ),
    { maxLength: 100 },
  );

  test('that are built, sent and read say what was put in, frame after frame', () => {
    const builder = new ResultFrameBuilder();
    const reader = new ResultReader();
    fc.assert(
      fc.property(results, (input) => {
        input.forEach((r, id) => {
          if (r.type === 'value') builder.value(id, r.value, r.term, r.index);
          else if (r.type === 'absent') builder.absent(id);
          else if (r.type === 'written') builder.written(id, r.term, r.index, r.existed);
          else builder.failed(id, create(ErrorDetailSchema, { message: r.message }));
        });
        expect(builder.rows).toBe(input.length);
        const frame = fromBinary(ResultFrameSchema, builder.take().subarray(5));
        expect(validateResultFrame(frame)).toBeUndefined();
        expect(builder.rows).toBe(0);
        reader.reset(frame);
        for (const [id, r] of input.entries()) {
          expect(reader.next()).toBe(true);
          expect(reader.id).toBe(id);
          if (r.type === 'value' || r.type === 'written')
            expect([reader.term, reader.index]).toEqual([r.term, r.index]);
          else expect(reader.index).toBe(0);
          if (r.type === 'value') expect([reader.status, reader.takeValue()]).toEqual([0, r.value]);
          if (r.type === 'absent') expect(reader.status).toBe(1);
          if (r.type === 'written') expect(reader.status).toBe(r.existed ? 0 : 1);
          if (r.type === 'failed') expect([reader.status, reader.takeError().message]).toEqual([2, r.message]);
        }
        expect(reader.next()).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test('name the field that is wrong', () => {
    const wrong = (init: object) => validateResultFrame(create(ResultFrameSchema, init));
    expect(wrong({ ids: [1] })).toMatch(/^statuses has 0/);
    expect(wrong({ ids: [1], statuses: Uint8Array.of(3) })).toMatch(/^statuses\[0\] is 3/);
    expect(wrong({ ids: [1], statuses: Uint8Array.of(2) })).toMatch(/^errors has 0/);
    expect(wrong({ ids: [1], statuses: Uint8Array.of(1), values: [Uint8Array.of(1)] })).toMatch(/^values has 1/);
    expect(wrong({ ids: [1], statuses: Uint8Array.of(1), indexes: [1, 2] })).toMatch(/^indexes has 2/);
    expect(wrong({ ids: [1], statuses: Uint8Array.of(1), terms: [1, 2] })).toMatch(/^terms has 2/);
  });
});
