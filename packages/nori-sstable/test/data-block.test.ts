import { describe, expect, test } from 'vitest';
import { DataBlock, EntryView, parseEntry } from '../src/data-block.js';

const entry = new EntryView();
const corrupt = expect.objectContaining({ code: 'SSTABLE_CORRUPT_BLOCK', file: '/t', offset: 77 });

/** A block of `entries` with one restart point, followed by bytes that belong to something else. */
function blockOf(entries: readonly number[], restarts: readonly number[] = [0]): DataBlock {
  const u32 = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
  const contents = [...entries, ...restarts.flatMap(u32), ...u32(restarts.length)];
  return new DataBlock().reset(Uint8Array.from([...contents, ...new Array(40).fill(1)]), 0, contents.length, '/t', 77);
}

test('an entry is parsed as the format says', () => {
  // shared 0, unshared 2, value 1, put with expiry, sequence 300, expiry 2^32, "ab", "v"
  parseEntry(blockOf([0, 2, 1, 0x81, 0xac, 0x02, 0x80, 0x80, 0x80, 0x80, 0x10, 97, 98, 118]), 0, entry);
  expect({ ...entry }).toMatchObject({ shared: 0, unshared: 2, kind: 1, seq: 300, expiresAtMs: 2 ** 32 });
  expect([entry.suffixStart, entry.valueStart, entry.end]).toEqual([11, 13, 14]);
});

describe('an entry is refused', () => {
  test.each([
    ['when its value runs beyond the entries', [0, 1, 2, 1, 9, 97, 118]],
    ['when its key runs beyond the entries', [0, 9, 0, 1, 9, 97, 118]],
    ['when it has an unknown kind', [0, 1, 1, 3, 9, 97, 118]],
    ['when its key is longer than any can be', [0xff, 0xff, 0x03, 1, 0, 1, 9, 97]],
    ['when a length has too many bytes', [0, 0, ...new Array(9).fill(0x80), 1, 1, 9]],
    ['when its sequence number is 2^53', [0, 0, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]],
    ['when its expiry has no end', [0, 0, 0, 0x81, 9, ...new Array(12).fill(0xff)]],
    ['when it is cut off', [0, 0, 0, 1, 0x80]],
  ])('%s', (_, bytes) => {
    expect(() => parseEntry(blockOf(bytes), 0, entry)).toThrow(corrupt);
  });
});

describe('a block is refused', () => {
  const good = [0, 1, 1, 1, 9, 97, 118];
  test('when its restart array is not possible', () => {
    expect(() => blockOf(good, [])).toThrow(corrupt);
    expect(() => blockOf(good, [1])).toThrow(corrupt);
    expect(() => blockOf([], [0, 0])).toThrow(corrupt);
    expect(() => new DataBlock().reset(new Uint8Array(3), 0, 3, '/t', 77)).toThrow(corrupt);
  });

  test('when a restart point lies outside', () => {
    expect(() => blockOf(good, [0, 7]).restart(1)).toThrow(corrupt);
  });
});
