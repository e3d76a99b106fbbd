// Configuration changes as bytes: round trip, golden bytes, bad input.
import fc from 'fast-check';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { decodeConfChange, encodeConfChange } from '../src/conf-change-codec.js';
import { RaftError } from '../src/errors.js';
import type { ConfChange } from '../src/types.js';

const seed = seedFromEnv();

const changes: fc.Arbitrary<ConfChange> = fc
  .record({
    transition: fc.constantFrom('auto', 'joint-implicit', 'joint-explicit'),
    steps: fc.array(
      fc.record({
        type: fc.constantFrom('add-voter', 'add-learner', 'remove', 'update'),
        id: fc.oneof(
          fc.nat(300),
          fc.maxSafeNat(),
          fc.nat(53).map((bits) => 2 ** bits - 1),
        ),
      }),
    ),
    context: fc.option(fc.uint8Array({ minLength: 1 }), { nil: undefined }),
  })
  .map(
    ({ transition, steps, context }): ConfChange => (context ? { transition, steps, context } : { transition, steps }),
  );

describe('The encoding of configuration changes', () => {
  test('What is encoded decodes to the same', () => {
    fc.assert(
      fc.property(changes, (change) => {
        expect(decodeConfChange(encodeConfChange(change))).toEqual(change);
      }),
      { seed, numRuns: 2000 },
    );
  });

  test('The empty change is zero bytes', () => {
    expect(encodeConfChange({ transition: 'auto', steps: [] })).toHaveLength(0);
    expect(encodeConfChange({ transition: 'auto', steps: [], context: new Uint8Array(0) })).toHaveLength(0);
    expect(decodeConfChange(new Uint8Array(0))).toEqual({ transition: 'auto', steps: [] });
  });

  test('Format 1 is what the documentation says', () => {
    const change: ConfChange = {
      transition: 'joint-explicit',
      steps: [
        { type: 'add-voter', id: 1 },
        { type: 'add-learner', id: 300 },
        { type: 'remove', id: Number.MAX_SAFE_INTEGER },
        { type: 'update', id: 127 },
      ],
      context: new TextEncoder().encode('hi'),
    };
    const hex = '0102040001 01ac02 02ffffffffffffff0f 037f 6869'.replaceAll(' ', '');
    expect(Buffer.from(encodeConfChange(change)).toString('hex')).toBe(hex);
    expect(decodeConfChange(new Uint8Array(Buffer.from(hex, 'hex')))).toEqual(change);
  });

  test.each([
    ['an unknown version', '02', 0],
    ['a version alone', '01', 1],
    ['an unknown transition', '0103', 1],
    ['no count', '0100', 2],
    ['a count without steps', '010001', 2],
    ['a count that asks for more memory than there is', '0100ffffffff0f', 2],
    ['a count above 32 bits', '0100808080801000', 2],
    ['a type that is none', '0100010401', 3],
    ['an id cut off', '01000100ff', 5],
    ['an id in too many bytes', '010001008000', 4],
    ['an id above 2^53 - 1', '01000100ffffffffffffff1f', 4],
    ['an id of nine bytes', '01000100808080808080808001', 4],
    ['the empty change spelled out', '010000', 0],
  ])('Refused with its offset: %s', (_, hex, offset) => {
    expect(() => decodeConfChange(Buffer.from(hex, 'hex'))).toThrow(
      expect.objectContaining({ code: 'RAFT_CORRUPT_STATE', message: expect.stringContaining(`offset ${offset}:`) }),
    );
  });

  test('Bytes that were changed, cut or made up decode to a change with those bytes, or to a typed error', () => {
    const rng = new Rng(seed);
    const valid = fc.sample(changes, { seed, numRuns: 200 }).map(encodeConfChange);
    let refused = 0;
    for (let round = 0; round < 5000; round++) {
      let bytes = rng.chance(0.3) ? rng.bytes(rng.int(30)) : rng.pick(valid).slice();
      if (rng.chance(0.3)) bytes = bytes.slice(0, rng.int(bytes.length + 1));
      for (let i = rng.int(4); i > 0 && bytes.length > 0; i--)
        bytes[rng.int(Math.min(bytes.length, 12))] = rng.int(256);
      try {
        expect(encodeConfChange(decodeConfChange(bytes)), `seed ${seed}`).toEqual(new Uint8Array(bytes));
      } catch (error) {
        if (!(error instanceof RaftError)) throw error;
        expect(error.code).toBe('RAFT_CORRUPT_STATE');
        expect(error.message).toMatch(/at offset \d+: /);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(500);
  });

  test.each<[string, ConfChange]>([
    ['transition', { transition: 'maybe' as never, steps: [] }],
    ['type', { transition: 'auto', steps: [{ type: 'explode' as never, id: 1 }] }],
    ['negative id', { transition: 'auto', steps: [{ type: 'remove', id: -1 }] }],
    ['fraction', { transition: 'auto', steps: [{ type: 'remove', id: 1.5 }] }],
    ['id above 2^53 - 1', { transition: 'auto', steps: [{ type: 'remove', id: 2 ** 53 }] }],
  ])('What could not be decoded is not encoded: %s', (_, change) => {
    expect(() => encodeConfChange(change)).toThrow(expect.objectContaining({ code: 'RAFT_CONF_CHANGE_INVALID' }));
  });
});
