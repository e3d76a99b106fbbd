// Configuration of a node: flags over NORIKV_* environment variables over a YAML file over defaults.
export { formatAddress, isLoopback, parseAddress } from './address.js';
export { ConfigError, type ConfigErrorCode } from './config-error.js';
export { type ConfigSources, type LoadedConfig, loadConfig } from './load.js';
export type { LogFormat, LogLevel, NodeConfig } from './node-config.js';
export { allowedOf, environmentOf, SETTINGS, type Setting } from './settings.js';
