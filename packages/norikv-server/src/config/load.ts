// Loads the configuration of a node: flags over NORIKV_* environment variables over a YAML file over defaults. Every
// source is checked by the same schema, all problems are reported together, and each value remembers where it is from.
import type { z } from 'zod';
import { type Address, formatAddress, isLoopback } from './address.js';
import { ConfigError } from './config-error.js';
import type { NodeConfig } from './node-config.js';
import { partialConfigSchema } from './schema.js';
import { environmentOf, SETTINGS, type Setting } from './settings.js';
import { type ConfigFile, parseConfigFile } from './yaml-file.js';

/** Where settings come from. */
export interface ConfigSources {
  /** Flags that were given, by key (`data-dir`); `config` names the file. */
  readonly flags: Readonly<Record<string, unknown>>;
  /** Environment variables. Empty ones count as not set; `NORIKV_CONFIG` names the file. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads a text file; called at most once. */
  readonly readText: (path: string) => Promise<string>;
}

/** Where a value is from. `name`: the flag, the variable, or `FILE:LINE`; empty for defaults. */
export interface SettingSource {
  readonly kind: 'flag' | 'env' | 'file' | 'default';
  readonly name: string;
}

/** One setting with its value as it would be written in YAML, and where that is from. */
export interface ResolvedSetting {
  readonly setting: Setting;
  readonly value: string | number | boolean | readonly string[];
  readonly source: SettingSource;
}

/** A checked configuration. */
export interface LoadedConfig {
  readonly config: NodeConfig;
  /** In the order of `SETTINGS`. */
  readonly resolved: readonly ResolvedSetting[];
  /** The file that was read, if any. */
  readonly file: string | undefined;
}

/** @throws ConfigError with everything that is wrong. */
export const loadConfig = async (sources: ConfigSources): Promise<LoadedConfig> => {
  const file = await readConfigFile(sources);
  const problems: string[] = [];
  const layers: Layer[] = [
    checkLayer(flagValues(sources.flags), (key) => ({ kind: 'flag', name: `--${key}` }), problems),
    checkLayer(environmentValues(sources.env), (key) => ({ kind: 'env', name: environmentName(key) }), problems),
    checkLayer(file?.values ?? {}, (key) => ({ kind: 'file', name: fileLocation(file, key) }), problems),
    checkLayer(defaultValues(), () => ({ kind: 'default', name: '' }), problems),
  ];
  const resolved: ResolvedSetting[] = [];
  const config: Record<string, unknown> = {};
  for (const setting of SETTINGS) {
    const layer = layers.find((candidate) => candidate.values.has(setting.key));
    if (layer === undefined) continue;
    const value = deepFreeze(layer.values.get(setting.key));
    config[setting.field] = value;
    resolved.push({ setting, value: written(setting, value), source: layer.sourceOf(setting.key) });
  }
  if (problems.length > 0) throw new ConfigError('INVALID_CONFIG', problems);
  const checked = Object.freeze(config) as unknown as NodeConfig;
  checkAddresses(checked);
  checkJoin(checked);
  return { config: checked, resolved, file: file?.path };
};

/** The values of one source that were given and are allowed. */
interface Layer {
  readonly values: ReadonlyMap<string, unknown>;
  readonly sourceOf: (key: string) => SettingSource;
}

const readConfigFile = async (sources: ConfigSources): Promise<ConfigFile | undefined> => {
  const path = sources.flags.config ?? (sources.env.NORIKV_CONFIG || undefined);
  if (typeof path !== 'string') return undefined;
  let text: string;
  try {
    text = await sources.readText(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError('INVALID_CONFIG', [`config: the file ${path} cannot be read: ${reason}`]);
  }
  return parseConfigFile(path, text);
};

const flagValues = (flags: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const { config: _, ...settings } = flags;
  return settings;
};

// Only the variables of settings are looked at: others that begin with NORIKV_ are set by container platforms.
const environmentValues = (env: Readonly<Record<string, string | undefined>>): Record<string, unknown> => {
  const values: Record<string, unknown> = {};
  for (const setting of SETTINGS) {
    const value = env[environmentOf(setting)];
    if (value !== undefined && value !== '') values[setting.key] = value;
  }
  return values;
};

const defaultValues = (): Record<string, unknown> =>
  Object.fromEntries(SETTINGS.map((setting) => [setting.key, setting.default]));

const environmentName = (key: string): string => {
  const setting = SETTINGS.find((candidate) => candidate.key === key);
  return setting === undefined ? key : environmentOf(setting);
};

const fileLocation = (file: ConfigFile | undefined, key: string): string =>
  `${file?.path ?? ''}:${file?.lines.get(key) ?? 1}`;

const checkLayer = (
  values: Readonly<Record<string, unknown>>,
  sourceOf: (key: string) => SettingSource,
  problems: string[],
): Layer => {
  const result = partialConfigSchema.safeParse({ ...values });
  if (result.success) {
    const given = Object.entries(result.data).filter(([, value]) => value !== undefined);
    return { values: new Map(given), sourceOf };
  }
  for (const issue of result.error.issues) problems.push(...describeIssue(issue, sourceOf));
  return { values: new Map(), sourceOf };
};

const describeIssue = (issue: z.core.$ZodIssue, sourceOf: (key: string) => SettingSource): string[] => {
  if (issue.code === 'unrecognized_keys') {
    const allowed = SETTINGS.map((setting) => setting.key).join(', ');
    return issue.keys.map((key) => `${key} (${sourceOf(key).name}): unknown setting; allowed: ${allowed}`);
  }
  const key = String(issue.path[0]);
  return [`${key} (${sourceOf(key).name}): ${issue.message}`];
};

/** A checked value as it would be written in YAML. */
const written = (setting: Setting, value: unknown): ResolvedSetting['value'] => {
  if (setting.kind.type === 'address') return formatAddress(value as Address);
  if (setting.kind.type === 'integer') return (value as number) / (setting.kind.scale ?? 1);
  return value as ResolvedSetting['value'];
};

const deepFreeze = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? Object.freeze(value) : value;

const checkAddresses = (config: NodeConfig): void => {
  const addresses = SETTINGS.filter((setting) => setting.kind.type === 'address').map((setting) => ({
    setting,
    address: config[setting.field] as Address,
  }));
  const problems: string[] = [];
  for (const [at, { setting, address }] of addresses.entries()) {
    if (!config.insecure && !isLoopback(address.host)) {
      problems.push(
        `${setting.key}: other machines can reach ${formatAddress(address)}, and nothing there is encrypted or ` +
          'authenticated; listen on a loopback address, or allow it with --insecure',
      );
    }
    const twin = addresses
      .slice(0, at)
      .find((other) => address.port !== 0 && formatAddress(other.address) === formatAddress(address));
    if (twin !== undefined) {
      problems.push(`${setting.key}: ${formatAddress(address)} is taken by ${twin.setting.key}; choose another port`);
    }
  }
  if (problems.length > 0) throw new ConfigError('INVALID_CONFIG', problems);
};

const checkJoin = ({ join, expect, gossipAddr }: NodeConfig): void => {
  const problems: string[] = [];
  const twice = join.find((address, at) => join.indexOf(address) < at);
  if (twice !== undefined) problems.push(`join: ${twice} is named twice`);
  // A node that is not among those named joins a cluster that is there, however many have formed it.
  const isNamed = join.includes(formatAddress(gossipAddr));
  if (join.length === 0 && expect > 1) {
    problems.push(`expect: ${expect} nodes are to form a cluster, and --join names none; give their --gossip-addr`);
  } else if (join.length > 0 && (isNamed || expect > 1) && expect !== join.length) {
    problems.push(
      `expect: ${expect} is not the number of nodes that --join names, which is ${join.length}; make them equal`,
    );
  }
  if (problems.length > 0) throw new ConfigError('INVALID_CONFIG', problems);
};
