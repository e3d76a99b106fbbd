// Mistakes for the tests to find, by name: what in the built product is replaced by what. child/bug-loader.mjs puts one of them in.

/** A mistake whose place is not there any more is not made, and the test that looks for it fails. */
export const BUGS = {
  /** A leader answers from what it has, whether it has a lease or not. */
  'lease unchecked': [/const found = [^;]*\.leaseRead\(read\);/, 'const found = { value: read() };'],
  /** What one replica has counts as what a majority has: entries, and signs of life. */
  'majority of one': [
    /return scratch\d*\[count >> 1\];/,
    'return acked(voters[0]) === undefined ? 0 : Math.max(...voters.map((id) => acked(id) ?? 0));',
  ],
  /** A retry is carried out as if it were new. */
  'retries forgotten': ['const outcome = client.outcomes.get(sequence);', 'const outcome = undefined;'],
  /** Of the writes of each shard every so many are acknowledged and not carried out, by all replicas alike. */
  'writes dropped': [/storage\.stagePut\(group,/, 'if (index % 20 !== 0) storage.stagePut(group,'],
  /** A write on condition of a version is done if the key is there in any version of the same term. */
  'versions mistaken': [/(\w+\.term === ifVersion\.term) && \w+\.index === ifVersion\.index/, '$1'],
};
