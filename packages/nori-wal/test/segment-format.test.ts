import { describe, expect, test } from 'vitest';
import { decodeHeader, encodeHeader, parseSegmentName, segmentName } from '../src/segment-format.js';

describe('names of segments', () => {
  test('sort as their ids do, and are read back', () => {
    for (const id of [1, 9, 10, 999_999_999_999, 1_000_000_000_000]) expect(parseSegmentName(segmentName(id))).toBe(id);
    expect(segmentName(7)).toBe('000000000007.wal');
  });

  test('are told from other names', () => {
    for (const name of [
      'LOCK',
      '1.wal',
      '000000000000.wal',
      '000000000001.wal.tmp',
      'x000000000001.wal',
      '0000000000001.wal',
    ]) {
      expect(parseSegmentName(name)).toBeUndefined();
    }
  });
});

describe('headers', () => {
  const header = {
    id: 5,
    base: 2 ** 40 + 3,
    previousEnd: 2 ** 40 + 3,
    createdMs: 1_800_000_000_000,
    previousId: 4,
    recycled: false,
  };

  test('come back as they were written, and are of version 2 only if the log was cut there', () => {
    const cut = [
      { ...header, previousId: 2 },
      { ...header, previousEnd: 2 ** 40 },
    ];
    for (const sent of [header, { ...header, recycled: true }, ...cut]) {
      const bytes = encodeHeader(sent);
      expect(decodeHeader(bytes, 'f')).toEqual(sent);
      expect(bytes[8]).toBe(cut.includes(sent) ? 2 : 1);
    }
  });

  test('that contradict themselves are damaged', () => {
    for (const wrong of [{ previousEnd: header.base + 1 }, { previousId: 5, previousEnd: 0 }]) {
      expect(decodeHeader(encodeHeader({ ...header, ...wrong }), 'f')).toBe('damaged');
    }
  });

  test('with any bit changed are damaged or foreign', () => {
    for (let bit = 0; bit < 64 * 8; bit++) {
      const bytes = encodeHeader(header);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeHeader(bytes, 'f')).toBe(bit < 64 ? 'foreign' : 'damaged');
    }
  });

  test('that never reached the disk whole count as unwritten', () => {
    for (let length = 0; length < 64; length++) {
      expect(decodeHeader(encodeHeader(header).subarray(0, length), 'f')).toBe('unwritten');
      expect(decodeHeader(new Uint8Array(length), 'f')).toBe('unwritten');
    }
  });
});
