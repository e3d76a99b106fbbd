import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader } from '../../src/domain/byte-reader.js';
import { ByteWriter } from '../../src/domain/byte-writer.js';
import { type Command, decodeCommands, encodeCommands } from '../../src/domain/command.js';

const count = fc.maxSafeNat();
const operation = fc.record({
  kind: fc.constantFrom('put' as const, 'delete' as const),
  key: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  value: fc.uint8Array({ maxLength: 300 }),
  ttlMs: fc.oneof(fc.constant(0), count),
  ifAbsent: fc.boolean(),
  ifVersion: fc.option(fc.record({ term: count, index: count }), { nil: undefined }),
  tag: fc.constant(0),
});
const identity = fc.record({
  clientId: fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')),
  sequence: count,
  floor: count,
  ageMs: count,
});
const command: fc.Arbitrary<Command> = fc.record({
  operations: fc.array(operation, { maxLength: 5 }),
  identity: fc.option(identity, { nil: undefined }),
});

describe('log entry bodies', () => {
  test('are read back as they were written', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 8 }), (commands) => {
        const writer = new ByteWriter(16);
        encodeCommands(commands, writer);
        const reader = new ByteReader(writer.view());
        const expected = commands.map((one) => ({
          ...one,
          operations: one.operations.map((op) => (op.kind === 'delete' ? { ...op, value: new Uint8Array(0) } : op)),
        }));
        expect(decodeCommands(reader)).toEqual(expected);
        expect(reader.remaining).toBe(0);
      }),
    );
  });

  test('give a RangeError or commands for any bytes, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, plausible) => {
        if (plausible && bytes.length > 0) bytes[0] = 1;
        try {
          expect(Array.isArray(decodeCommands(new ByteReader(bytes)))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('give a RangeError wherever they are cut off', () => {
    const writer = new ByteWriter();
    encodeCommands(
      [
        {
          identity: { clientId: '00'.repeat(16), sequence: 7, floor: 3, ageMs: 1 },
          operations: [
            {
              kind: 'put',
              key: new Uint8Array([1, 2]),
              value: new Uint8Array(9),
              ttlMs: 500,
              ifAbsent: false,
              ifVersion: { term: 1, index: 300 },
              tag: 0,
            },
          ],
        },
      ],
      writer,
    );
    const whole = writer.view();
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeCommands(new ByteReader(whole, 0, length))).toThrow(RangeError);
    }
  });
});
