// Reads a YAML configuration file into values by key, each with the line it stands on.
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { ConfigError } from './config-error.js';

/** Values of a configuration file. */
export interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** 1-based line of each key. */
  readonly lines: ReadonlyMap<string, number>;
}

/** @throws ConfigError for text that is no YAML, or no mapping of names to values; names file and line. */
export const parseConfigFile = (path: string, text: string): ConfigFile => {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true });
  const problem = document.errors[0];
  if (problem !== undefined) {
    const { line, col } = lineCounter.linePos(problem.pos[0]);
    throw new ConfigError('INVALID_CONFIG', [`${path}:${line}:${col}: ${problem.message.replace(/\s+/g, ' ')}`]);
  }
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return { path, values: {}, lines: new Map() };
  if (!isMap(root)) {
    throw new ConfigError('INVALID_CONFIG', [`${path}:1: a configuration file is a mapping of settings to values`]);
  }
  const lines = new Map<string, number>();
  const values: Record<string, unknown> = Object.create(null);
  for (const { key, value } of root.items) {
    if (!isScalar(key)) continue;
    const name = String(key.value);
    lines.set(name, lineCounter.linePos(key.range?.[0] ?? 0).line);
    values[name] = value === null ? null : (value as { toJS(doc: unknown): unknown }).toJS(document);
  }
  return { path, values, lines };
};
