// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as in iSCSI, ext4, RocksDB: crc32c("123456789") = 0xE3069283.
//
// Table-driven, slicing by 16 (Kounavis & Berry, 2005). Short inputs are read byte by byte, longer ones by words through a
// DataView. Measured on 2 cores, Node 20, nanoseconds; hash-wasm's WebAssembly for comparison:
//
//   bytes            16    100    512   1024   4096   65536
//   by bytes         15     68    298    598   2402   38312
//   by words         36     71    228    436   1624   25492
//   WebAssembly       –      –      –      –   2188   28066

const POLYNOMIAL = 0x82f63b78;
const SLICES = 16;
/** From here on reading by words pays. */
const WORDS_FROM_BYTES = 128;
/** Views of larger memory are not kept: they would keep the memory. */
const KEPT_VIEW_BYTES_MAX = 1024 * 1024;

const TABLE = buildTable();
let keptView = new DataView(new ArrayBuffer(0));

/**
 * CRC-32C of `bytes` from `start` up to `end`, as an unsigned 32-bit number. `seed` is the checksum of what came before:
 * `crc32c(ab) === crc32c(b, 0, b.length, crc32c(a))`.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  return end - start < WORDS_FROM_BYTES ? byBytes(bytes, start, end, ~seed) : byWords(bytes, start, end, ~seed);
}

function byWords(bytes: Uint8Array, start: number, end: number, state: number): number {
  const view = viewOf(bytes.buffer);
  const table = TABLE;
  const base = bytes.byteOffset;
  let crc = state;
  let at = base + start;
  for (const stop = base + end - 15; at < stop; at += 16) {
    const a = crc ^ view.getInt32(at, true);
    const b = view.getInt32(at + 4, true);
    const c = view.getInt32(at + 8, true);
    const d = view.getInt32(at + 12, true);
    crc =
      table[3840 + (a & 255)]! ^
      table[3584 + ((a >>> 8) & 255)]! ^
      table[3328 + ((a >>> 16) & 255)]! ^
      table[3072 + (a >>> 24)]! ^
      table[2816 + (b & 255)]! ^
      table[2560 + ((b >>> 8) & 255)]! ^
      table[2304 + ((b >>> 16) & 255)]! ^
      table[2048 + (b >>> 24)]! ^
      table[1792 + (c & 255)]! ^
      table[1536 + ((c >>> 8) & 255)]! ^
      table[1280 + ((c >>> 16) & 255)]! ^
      table[1024 + (c >>> 24)]! ^
      table[768 + (d & 255)]! ^
      table[512 + ((d >>> 8) & 255)]! ^
      table[256 + ((d >>> 16) & 255)]! ^
      table[d >>> 24]!;
  }
  return byBytes(bytes, at - base, end, crc);
}

function viewOf(buffer: ArrayBufferLike): DataView {
  if (keptView.buffer === buffer) return keptView;
  const view = new DataView(buffer);
  if (buffer.byteLength <= KEPT_VIEW_BYTES_MAX) keptView = view as DataView<ArrayBuffer>;
  return view;
}

function byBytes(bytes: Uint8Array, start: number, end: number, state: number): number {
  const table = TABLE;
  let crc = state;
  let at = start;
  for (const stop = end - 15; at < stop; at += 16) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      table[3840 + (crc & 255)]! ^
      table[3584 + ((crc >>> 8) & 255)]! ^
      table[3328 + ((crc >>> 16) & 255)]! ^
      table[3072 + (crc >>> 24)]! ^
      table[2816 + bytes[at + 4]!]! ^
      table[2560 + bytes[at + 5]!]! ^
      table[2304 + bytes[at + 6]!]! ^
      table[2048 + bytes[at + 7]!]! ^
      table[1792 + bytes[at + 8]!]! ^
      table[1536 + bytes[at + 9]!]! ^
      table[1280 + bytes[at + 10]!]! ^
      table[1024 + bytes[at + 11]!]! ^
      table[768 + bytes[at + 12]!]! ^
      table[512 + bytes[at + 13]!]! ^
      table[256 + bytes[at + 14]!]! ^
      table[bytes[at + 15]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 255]!;
  return ~crc >>> 0;
}

function buildTable(): Int32Array {
  const table = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }
  for (let at = 256; at < table.length; at++) {
    const previous = table[at - 256]!;
    table[at] = (previous >>> 8) ^ table[previous & 255]!;
  }
  return table;
}
