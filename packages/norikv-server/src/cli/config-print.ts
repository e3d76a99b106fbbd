// norikv config print: what a node started with these flags, here, would run with, and where each value is from.
import { Command } from 'commander';
import { addSettingOptions, loadNodeConfig } from './node-options.js';
import { formatTable, writeJson, writeOut } from './output.js';
import { sessionOptions } from './session.js';

export const configCommand = (): Command =>
  new Command('config').description('configuration of a node').addCommand(printCommand());

const printCommand = (): Command =>
  addSettingOptions(new Command('print'))
    .description('show each setting, its value, and where that is from')
    .action(async (flags: Readonly<Record<string, unknown>>, command: Command) => {
      const { output } = sessionOptions(command);
      const loaded = await loadNodeConfig(flags);
      const { configObject, configRows } = await import('../config/print.js');
      if (output === 'json') await writeJson(configObject(loaded));
      else if (output === 'table') await writeOut(formatTable([['SETTING', 'VALUE', 'FROM'], ...configRows(loaded)]));
      else await writeOut(formatTable(configRows(loaded)));
    });
