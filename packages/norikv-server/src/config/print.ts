// Shows a configuration: each setting, its value, and where that is from.
import type { LoadedConfig, ResolvedSetting } from './load.js';
import { environmentOf, flagOf } from './settings.js';

/** `default`, `flag --rpc-addr`, `env NORIKV_RPC_ADDR` or `file norikv.yaml:3`. */
const describeSource = ({ source }: ResolvedSetting): string =>
  source.kind === 'default' ? 'default' : `${source.kind} ${source.name}`;

const describeValue = ({ value, setting }: ResolvedSetting): string => {
  if (Array.isArray(value)) return value.length === 0 ? '(none)' : value.join(',');
  if (value === '') return '(none)';
  return setting.unit === undefined ? String(value) : `${value} ${setting.unit}`;
};

/** Rows of key, value and source. */
export const configRows = (loaded: LoadedConfig): string[][] =>
  loaded.resolved.map((resolved) => [resolved.setting.key, describeValue(resolved), describeSource(resolved)]);

/** The same as plain data, with the names under which each setting can be given. */
export const configObject = (loaded: LoadedConfig): Record<string, unknown> =>
  Object.fromEntries(
    loaded.resolved.map(({ setting, value, source }) => [
      setting.key,
      {
        value,
        ...(setting.unit === undefined ? {} : { unit: setting.unit }),
        source: source.kind,
        ...(source.name === '' ? {} : { from: source.name }),
        flag: flagOf(setting),
        env: environmentOf(setting),
      },
    ]),
  );
