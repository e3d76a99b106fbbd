// For users: a node inside a process of one's own, as the `norikv` command runs it.
export {
  ConfigError,
  type ConfigErrorCode,
  type ConfigSources,
  type LoadedConfig,
  loadConfig,
  type NodeConfig,
} from './config/index.js';
export { StartupError, type StartupErrorCode } from './domain/startup-error.js';
export { type NodeDependencies, type RunningNode, startNode } from './node.js';
export { type Logger, silentLogger } from './ports/logger.js';
export { ListenError, type ListenErrorCode } from './ports/transport.js';
