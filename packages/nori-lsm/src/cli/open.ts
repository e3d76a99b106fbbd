// How commands open a database.
import { nodeFileSystem } from 'nori-io';
import { Lsm } from '../lsm.js';
import { findManifest } from '../repair/find-manifest.js';
import type { ExpirySource } from '../types.js';

/** By whose time a program without own log judges expiry is not known here: nothing is dropped. */
const KEEP_EXPIRED: ExpirySource = { readNowMs: () => 0, durableNowMs: () => 0 };

/** A database as it is at this moment, also beside a process that has it open; nothing is changed. */
export const openToRead = (dir: string): Promise<Lsm> => Lsm.open({ dir, readOnly: true });

/** Opens a database to change it; it must be there. */
export const openToWrite = async (dir: string): Promise<Lsm> => {
  const wal = await keepsOwnLog(dir);
  return Lsm.open({ dir, createIfMissing: false, autoCompact: false, wal, ...(wal ? {} : { expiry: KEEP_EXPIRED }) });
};

/** Whether the database keeps its own log. @throws LsmError `LSM_NOT_FOUND` if there is none */
const keepsOwnLog = async (dir: string): Promise<boolean> =>
  (await findManifest(nodeFileSystem, dir)).found?.state.ownLog ?? true;
