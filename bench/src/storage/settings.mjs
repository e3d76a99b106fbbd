// How each store is opened: the same memory for what is being written and for the cache, and the same promise to the caller.
const MIB = 1024 * 1024;

export const STORES = ['nori', 'classic-level', 'lmdb'];

/** Memory for writes: three memtables of nori-lsm against the two write buffers of LevelDB. */
const MEMTABLE_BYTES = 32 * MIB;
const MEMTABLES = 3;
const WRITE_BUFFER_BYTES = (MEMTABLE_BYTES * MEMTABLES) / 2;
const CACHE_BYTES = 64 * MIB;

/** What LevelDB takes by default: little data are written faster with it. */
export const WRITE_BUFFER_BYTES_DEFAULT = 4 * MIB;

/**
 * @param {{ durable?: boolean, writeBytes?: number }} [profile] `durable`: acknowledged writes are on the disk;
 * `writeBytes`: a memtable this large in both stores
 */
export const noriOptions = ({ durable = false, writeBytes } = {}) => ({
  memtableBytes: writeBytes ?? MEMTABLE_BYTES,
  memtablesMax: MEMTABLES,
  blockCacheBytes: CACHE_BYTES,
  durability: durable ? 'batch' : 'os',
  compression: 'none',
});

/** Values cannot be compressed, so that trying would only cost the peer time. */
export const classicLevelOptions = ({ writeBytes } = {}) => ({
  keyEncoding: 'buffer',
  valueEncoding: 'buffer',
  compression: false,
  writeBufferSize: writeBytes ?? WRITE_BUFFER_BYTES,
  cacheSize: CACHE_BYTES,
});

/** With overlapping sync a write is durable when its promise's `flushed` resolves, without it when the promise does. */
export const lmdbOptions = ({ durable = false, overlappingSync = false } = {}) => ({
  keyEncoding: 'binary',
  encoding: 'binary',
  noMemInit: true,
  ...(durable ? { overlappingSync, separateFlushed: overlappingSync } : { noSync: true }),
});
