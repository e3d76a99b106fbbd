// Which directory a measurement works in: an empty one of its own, or one that was prepared for several measurements.
import { dirname } from 'node:path';
import { removeDirectory, runChild, temporaryPath } from './children.mjs';
import { STORES } from './settings.mjs';

/** Calls `work` with a path under which nothing is yet; whatever it left there is removed. */
export const inEmptyDirectory = async (name, work) => {
  const dir = temporaryPath(name);
  try {
    return await work(dir);
  } finally {
    removeDirectory(dirname(dir));
  }
};

const preparedDirectories = new Map();

/** Prepares a directory once for each store and leaves it for all measurements that name it; it is removed at the end. */
export const prepared = async (name, store, prepare) => {
  const id = `${name} ${store}`;
  let found = preparedDirectories.get(id);
  if (found === undefined) {
    const dir = temporaryPath(store);
    found = { dir, ...(await prepare(dir)) };
    preparedDirectories.set(id, found);
  }
  return found;
};

/** Forgets a prepared directory that no later measurement needs. */
export const forget = (name) => {
  for (const [id, { dir }] of preparedDirectories) {
    if (!id.startsWith(`${name} `)) continue;
    removeDirectory(dirname(dir));
    preparedDirectories.delete(id);
  }
};

/** Which stores work here, and why the others do not. */
export const findStores = async () => {
  const available = [];
  const missing = {};
  for (const store of STORES) {
    try {
      await inEmptyDirectory(store, (dir) => runChild({ workload: 'probe', store, dir }));
      available.push(store);
    } catch (error) {
      missing[store] = error.message.split('\n').slice(0, 2).join(' ');
    }
  }
  return { available, missing };
};
