import * as io from 'nori-io';
import * as memory from 'nori-io/memory';
import { expect, test } from 'vitest';

test('the package exports exactly this', () => {
  expect(Object.keys(io).sort()).toEqual([
    'COMPRESSION_BYTES_MAX',
    'IoError',
    'VARINT_BYTES_MAX',
    'VarintCursor',
    'codecFor',
    'compressWithSize',
    'crc32c',
    'decompressWithSize',
    'nodeFileSystem',
    'parentOf',
    'readU32LE',
    'readU64LE',
    'readVarint',
    'syncParents',
    'systemClock',
    'varintSize',
    'writeU32LE',
    'writeU64LE',
    'writeVarint',
  ]);
  expect(Object.keys(memory).sort()).toEqual(['MEMORY_PAGE_BYTES', 'MemoryFileSystem']);
});
