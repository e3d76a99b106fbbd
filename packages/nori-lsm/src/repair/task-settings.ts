// What the tasks of a repair have in common: nothing that can be read is left out, whatever hides it or has expired.
import type { TableSettings, TaskSettings } from '../task.js';

export const taskSettings = (dir: string, tables: TableSettings): TaskSettings => ({
  dir,
  tables,
  hasMappedKeys: true,
  snapshots: [],
  // By whose time expiry is judged is not known here.
  horizon: 0,
  // Range tombstones stay: the database carries them out.
  ranges: [],
  rangesSeq: 0,
  cancel: new Int32Array(new SharedArrayBuffer(4)),
});
