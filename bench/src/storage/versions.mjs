// Versions of the stores that are measured.
import { readFileSync } from 'node:fs';

const MANIFESTS = {
  'nori-lsm': '../../../packages/nori-lsm/package.json',
  'nori-wal': '../../../packages/nori-wal/package.json',
  'classic-level': '../../node_modules/classic-level/package.json',
  lmdb: '../../node_modules/lmdb/package.json',
};

/** `{ name: version }`; a store that is not installed has none. */
export const versionsOfStores = () =>
  Object.fromEntries(
    Object.entries(MANIFESTS).map(([name, path]) => {
      try {
        return [name, JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version];
      } catch {
        return [name, 'not installed'];
      }
    }),
  );
