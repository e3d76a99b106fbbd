// nori-lsm compact: everything into the lowest level in use.
import type { Command } from './command.js';
import { EXIT } from './failure.js';
import { openToWrite } from './open.js';
import { mib, Progress, writeOut } from './output.js';

const LOOK_MS = 200;

export const compact: Command = {
  usage: 'DIR',
  summary: 'Flushes, and merges everything, so that what is deleted or expired gives up its space',
  help: [],
  options: {},
  positionals: ['DIR'],
  async run(args) {
    const db = await openToWrite(args.positionals[0]!);
    const progress = new Progress();
    const look = setInterval(() => {
      const { compactionWrittenBytes, tableBytes } = db.stats();
      progress.update(() => `written ${mib(compactionWrittenBytes)}, tables ${mib(tableBytes)}`);
    }, LOOK_MS);
    try {
      await db.flush();
      const before = db.stats().tableBytes;
      await db.compact();
      progress.end();
      const { tableBytes, compactionWrittenBytes } = db.stats();
      const seconds = progress.seconds.toFixed(1);
      await writeOut(
        `tables ${mib(before)} before, ${mib(tableBytes)} after; ${mib(compactionWrittenBytes)} written in ${seconds} s\n`,
      );
    } finally {
      clearInterval(look);
      progress.end();
      await db.close();
    }
    return EXIT.done;
  },
};
