// What is wrong with a configuration. A node with one of these does not start.

/** `INVALID_CONFIG`: a value or name that is not allowed. */
export type ConfigErrorCode = 'INVALID_CONFIG';

/** All problems found, each naming the setting, where it was set, and what is allowed; one line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(
    readonly code: ConfigErrorCode,
    readonly problems: readonly string[],
  ) {
    super(problems.join('; '));
  }
}
