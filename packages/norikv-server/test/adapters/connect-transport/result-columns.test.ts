import { create, fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ErrorCode, ErrorDetailSchema, MessageSplitter, type ResultFrame, ResultFrameSchema } from 'norikv-protocol';
import { expect, test } from 'vitest';
import { RESULT, ResultColumns } from '../../../src/adapters/connect-transport/result-columns.js';

const decode = (framed: Uint8Array): ResultFrame => {
  const messages: Uint8Array[] = [];
  new MessageSplitter((message) => messages.push(message), 1 << 30).push(new Uint8Array(framed));
  expect(messages).toHaveLength(1);
  return fromBinary(ResultFrameSchema, messages[0]!);
};

const id = fc.integer({ min: 0, max: 0xffffffff });
const term = fc.oneof(
  fc.constant(1),
  fc.integer({ min: 1, max: 3 }),
  fc.maxSafeInteger().filter((n) => n > 0),
);
const index = fc.integer({ min: 1, max: 2 ** 31 });
const rows = fc.array(
  fc.oneof(
    fc.record({ what: fc.constant('value' as const), id, value: fc.uint8Array({ maxLength: 300 }), term, index }),
    fc.record({ what: fc.constant('written' as const), id, term, index }),
    fc.record({ what: fc.constant('absent' as const), id }),
    fc.record({ what: fc.constant('error' as const), id, message: fc.string() }),
  ),
  { maxLength: 600 },
);

test('a frame written by hand reads back as the message it stands for', () => {
  const columns = new ResultColumns();
  fc.assert(
    fc.property(rows, (all) => {
      columns.clear();
      for (const row of all) {
        if (row.what === 'value') columns.addValue(row.id, row.value, row.term, row.index);
        else if (row.what === 'written') columns.add(row.id, RESULT.done, row.term, row.index);
        else if (row.what === 'absent') columns.add(row.id, RESULT.notFound, 0, 0);
        else columns.addError(row.id, create(ErrorDetailSchema, { code: ErrorCode.INTERNAL, message: row.message }));
      }
      const frame = decode(columns.toGrpcMessage());
      expect(frame).toEqual(columns.toMessage());
      expect(columns.count).toBe(all.length);
      expect(frame.ids).toEqual(all.map((row) => row.id));
      all.forEach((row, i) => {
        if (!('index' in row)) expect(frame.indexes[i]).toBe(0);
        else expect([frame.terms[i] ?? frame.term, frame.indexes[i]]).toEqual([row.term, row.index]);
      });
      expect(frame.errors.map((error) => error.message)).toEqual(
        all.flatMap((row) => (row.what === 'error' ? [row.message] : [])),
      );
    }),
  );
});

test('rows that share a term carry it once', () => {
  const columns = new ResultColumns();
  columns.add(1, RESULT.notFound, 0, 0);
  columns.add(2, RESULT.done, 7, 10);
  columns.add(3, RESULT.done, 7, 11);
  const frame = columns.toMessage();
  expect(frame.term).toBe(7);
  expect(frame.terms).toEqual([]);
  expect(frame.indexes).toEqual([0, 10, 11]);
});
