// Paths upwards: what must be synced so that the name of a new directory survives.
import type { FileSystem } from './file-system.js';
import { IoError } from './io-error.js';

/** Path of the directory that holds `path`, as text: nothing is resolved, and a relative path ends at `.`. */
export const parentOf = (path: string): string => {
  const trimmed = path.replace(/\/+$/, '');
  const slash = trimmed.lastIndexOf('/');
  if (slash < 0) return trimmed === '' && path !== '' ? '/' : '.';
  return trimmed.slice(0, slash).replace(/\/+$/, '') || '/';
};

/**
 * Makes the name of a directory durable, and the names of all above it: whoever created them may have died before they were
 * synced, so that which of them are new cannot be known. Directories that this user may not open are passed over: this
 * user did not create them. All are synced at once: a name is durable when all above it are, in whatever order they came to be.
 * @throws IoError
 */
export const syncParents = async (fs: FileSystem, dir: string): Promise<void> => {
  const syncs: Promise<void>[] = [];
  for (let path = dir, parent = parentOf(dir); parent !== path; path = parent, parent = parentOf(path)) {
    syncs.push(syncIfPermitted(fs, parent));
  }
  // All of them are waited for: nothing goes on behind the back of who is told of a failure.
  for (const each of await Promise.allSettled(syncs)) if (each.status === 'rejected') throw each.reason;
};

const syncIfPermitted = async (fs: FileSystem, dir: string): Promise<void> => {
  try {
    await fs.syncDir(dir);
  } catch (error) {
    if (!(error instanceof IoError) || error.code !== 'IO_PERMISSION') throw error;
  }
};
