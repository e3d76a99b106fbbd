import { ERROR_TABLE, hashTagOf, LIMITS, loadKeyHasher } from 'norikv-protocol';

const hasher = await loadKeyHasher();
const key = new TextEncoder().encode('{user:42}:name');
console.log(new TextDecoder().decode(hashTagOf(key))); // user:42
console.log(hasher.shardOf(key, 1024)); // 717, as for every key with this tag
console.log(LIMITS.valueBytesMax, ERROR_TABLE.VERSION_MISMATCH.httpStatus); // 1048576 412
