// nori-lsm import: copies a database of classic-level.
import { nodeFileSystem } from 'nori-io';
import { compareKeys } from '../bytes.js';
import { LsmError } from '../errors.js';
import { Lsm } from '../lsm.js';
import type { BatchOperation } from '../types.js';
import { openSource, type Source } from './classic-level.js';
import type { Command } from './command.js';
import { EXIT, usageFailure } from './failure.js';
import { mib, Progress, tell, writeOut } from './output.js';

const BATCH_BYTES = 1024 * 1024;
const READ_ENTRIES = 1000;
const SOURCES = ['classic-level', 'level'];

/** What was copied. */
interface Copied {
  entries: number;
  bytes: number;
}

export const importCommand: Command = {
  usage: '--from classic-level SOURCE DIR [--no-verify]',
  summary: 'Copies a database of classic-level (LevelDB) into DIR, which must be empty or not there',
  help: [
    ['--from PACKAGE', 'classic-level or level, as installed in the working directory'],
    ['--no-verify', 'do not compare all entries afterwards'],
  ],
  options: { from: { type: 'string' }, 'no-verify': { type: 'boolean' } },
  positionals: ['SOURCE', 'DIR'],
  async run(args) {
    const [from, to] = args.positionals as [string, string];
    const name = args.text('from');
    if (name === undefined || !SOURCES.includes(name)) throw usageFailure(`--from must be ${SOURCES.join(' or ')}`);
    await checkPlaces(from, to);
    const source = await openSource(name, from);
    try {
      await importInto(source, to, !args.has('no-verify'));
    } finally {
      await source.close();
    }
    return EXIT.done;
  },
};

/** LevelDB would make a directory of what is missing. */
const checkPlaces = async (from: string, to: string): Promise<void> => {
  if ((await nodeFileSystem.stat(`${from}/CURRENT`)) === undefined) {
    throw new LsmError('LSM_NOT_FOUND', `There is no database in ${from}.`, { file: from });
  }
  const found = await nodeFileSystem.stat(to);
  if (found === undefined) return;
  if (found.kind === 'directory' && (await nodeFileSystem.readdir(to)).length === 0) return;
  throw new LsmError('LSM_EXISTS', `${to} is there already, and is no empty directory. Nothing was changed.`, {
    file: to,
  });
};

const importInto = async (source: Source, dir: string, mustVerify: boolean): Promise<void> => {
  try {
    const db = await Lsm.open({ dir, errorIfExists: true, durability: 'os' });
    try {
      const progress = new Progress();
      const copied = await copy(source, db, progress);
      await db.flush();
      progress.end();
      const { seconds } = progress;
      if (mustVerify) await compare(source, db, copied);
      const rate = mib(copied.bytes / Math.max(seconds, 0.001));
      const verified = mustVerify ? ', all compared' : '';
      await writeOut(
        `imported ${copied.entries} entries, ${mib(copied.bytes)} in ${seconds.toFixed(1)} s (${rate}/s)${verified}\n`,
      );
    } finally {
      await db.close();
    }
  } catch (error) {
    tell(
      `What was imported into ${dir} is not complete. Remove it before you try again: rm -r '${dir.replaceAll("'", "'\\''")}'`,
    );
    throw error;
  }
};

/** Copies everything in the order of keys; while a batch is written, the next one is read. */
const copy = async (source: Source, db: Lsm, progress: Progress): Promise<Copied> => {
  const copied: Copied = { entries: 0, bytes: 0 };
  let batch: BatchOperation[] = [];
  let batchBytes = 0;
  let writing: Promise<void> = Promise.resolve();
  const write = async (): Promise<void> => {
    await writing;
    writing = db.batch(batch, { durability: 'os' });
    // Whoever awaits it sees the failure; until then it is not one that nobody handles.
    writing.catch(() => {});
    copied.entries += batch.length;
    copied.bytes += batchBytes;
    batch = [];
    batchBytes = 0;
    progress.update(() => {
      const rate = mib(copied.bytes / progress.seconds);
      return `${copied.entries} entries, ${mib(copied.bytes)}, ${rate}/s`;
    });
  };
  for await (const [key, value] of entriesOf(source)) {
    batch.push({ type: 'put', key, value });
    batchBytes += key.length + value.length;
    if (batchBytes >= BATCH_BYTES) await write();
  }
  await write();
  await writing;
  return copied;
};

/** Walks both sides once more. @throws LsmError `LSM_INTERNAL` at the first difference */
const compare = async (source: Source, db: Lsm, copied: Copied): Promise<void> => {
  const progress = new Progress();
  const cursor = db.cursor();
  let count = 0;
  try {
    for await (const [key, value] of entriesOf(source)) {
      if (!cursor.valid || compareKeys(cursor.key, key) !== 0 || compareKeys(cursor.value, value) !== 0) {
        throw different(`entry ${count + 1} of the source is not what was imported`);
      }
      cursor.next();
      count++;
      progress.update(() => `compared ${count} of ${copied.entries} entries`);
    }
    if (cursor.valid || count !== copied.entries) {
      throw different(`the source has ${count} entries, and ${copied.entries} were imported`);
    }
  } finally {
    progress.end();
    cursor.close();
  }
};

const different = (what: string): LsmError =>
  new LsmError('LSM_INTERNAL', `The two sides differ: ${what}. Did another program write to the source meanwhile?`);

async function* entriesOf(source: Source): AsyncGenerator<[key: Uint8Array, value: Uint8Array]> {
  const iterator = source.iterator({ highWaterMarkBytes: BATCH_BYTES, fillCache: false });
  try {
    for (let entries = await iterator.nextv(READ_ENTRIES); entries.length > 0; ) {
      yield* entries;
      entries = await iterator.nextv(READ_ENTRIES);
    }
  } finally {
    await iterator.close();
  }
}
