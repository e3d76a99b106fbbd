// What a store's directory takes on disk.
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const LOG = /\.(wal|log)$/;

/** Bytes of the blocks of all files under `dir` but logs; files that vanish meanwhile do not count. */
export const tableBytesOf = (dir) => {
  let bytes = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || LOG.test(entry.name)) continue;
    try {
      bytes += lstatSync(join(entry.parentPath ?? entry.path, entry.name)).blocks * 512;
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  return bytes;
};

/** Length of a file without the zeros at its end, which were only set aside. */
const usedBytesOf = (path) => {
  const bytes = readFileSync(path);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
};

/** Bytes of all logs under `dir`: `.wal` of nori-wal, `.log` of LevelDB. */
export const logBytesOf = (dir) =>
  readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && LOG.test(entry.name))
    .reduce((sum, entry) => sum + usedBytesOf(join(entry.parentPath ?? entry.path, entry.name)), 0);
