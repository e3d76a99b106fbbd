// Versions of the stores that are measured.
import { readFileSync } from 'node:fs';

const MANIFESTS = {
  'nori-lsm': '../../../packages/nori-lsm/package.json',
  'nori-wal': '../../../packages/nori-wal/package.json',
  'nori-raft': '../../../packages/nori-raft/package.json',
  'norikv-server': '../../../packages/norikv-server/package.json',
  'norikv-client': '../../../packages/norikv-client/package.json',
  etcd3: '../../node_modules/etcd3/package.json',
  ioredis: '../../node_modules/ioredis/package.json',
  'classic-level': '../../node_modules/classic-level/package.json',
  lmdb: '../../node_modules/lmdb/package.json',
};

/** `{ name: version }`; what is not installed has none. */
export const versionsOf = (names) =>
  Object.fromEntries(
    names.map((name) => {
      try {
        return [name, JSON.parse(readFileSync(new URL(MANIFESTS[name], import.meta.url), 'utf8')).version];
      } catch {
        return [name, 'not installed'];
      }
    }),
  );

export const versionsOfStores = () => versionsOf(['nori-lsm', 'nori-wal', 'classic-level', 'lmdb']);
