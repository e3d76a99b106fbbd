// The flags of a node, made from the table of settings, for the commands that start a node or show its configuration.
import { type Command, Option } from 'commander';
import type { LoadedConfig } from '../config/load.js';
import { allowedOf, environmentOf, flagOf, SETTINGS } from '../config/settings.js';

/** Adds one flag a setting, and `--config`. */
export const addSettingOptions = (command: Command): Command => {
  command.addOption(new Option('--config <FILE>', 'YAML file of settings (env: NORIKV_CONFIG)'));
  for (const setting of SETTINGS) {
    const value = setting.placeholder === undefined ? '[true|false]' : `<${setting.placeholder}>`;
    const initial = Array.isArray(setting.default) || setting.default === '' ? '' : `, default: ${setting.default}`;
    const about = `${setting.description} (${allowedOf(setting)}${initial}; env: ${environmentOf(setting)})`;
    command.addOption(new Option(`${flagOf(setting)} ${value}`, about));
  }
  return command;
};

/** Loads the configuration from parsed flags, the environment and the file they name. */
export const loadNodeConfig = async (options: Readonly<Record<string, unknown>>): Promise<LoadedConfig> => {
  const { loadConfig } = await import('../config/load.js');
  const { readFile } = await import('node:fs/promises');
  return loadConfig({ flags: settingFlags(options), env: process.env, readText: (path) => readFile(path, 'utf8') });
};

const settingFlags = (options: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const flags: Record<string, unknown> = {};
  if (options.config !== undefined) flags.config = options.config;
  for (const { key } of SETTINGS) {
    const value = options[key.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())];
    if (value !== undefined) flags[key] = value;
  }
  return flags;
};
