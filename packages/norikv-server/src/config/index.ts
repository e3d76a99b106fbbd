// Configuration of a node: flags over NORIKV_* environment variables over a YAML file over defaults.
export { type Address, formatAddress, isLoopback, parseAddress } from './address.js';
export { ConfigError, type ConfigErrorCode } from './config-error.js';
export { type ConfigSources, type LoadedConfig, loadConfig, type ResolvedSetting, type SettingSource } from './load.js';
export type { FsyncPolicy, LogFormat, LogLevel, NodeConfig } from './node-config.js';
export { allowedOf, environmentOf, flagOf, SETTINGS, type Setting } from './settings.js';
