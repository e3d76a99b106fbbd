// The user's own classic-level: found from the working directory, then from here. What this program needs of it.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LsmError } from '../errors.js';

/** An iterator over a source. */
export interface SourceIterator {
  nextv(size: number): Promise<[key: Uint8Array, value: Uint8Array][]>;
  close(): Promise<void>;
}

/** A database to import from. */
export interface Source {
  open(options: { readonly createIfMissing: boolean }): Promise<void>;
  iterator(options: { readonly highWaterMarkBytes: number; readonly fillCache: boolean }): SourceIterator;
  close(): Promise<void>;
}

type SourceClass = new (
  dir: string,
  options: { readonly keyEncoding: 'buffer'; readonly valueEncoding: 'buffer' },
) => Source;

interface SourceModule {
  readonly ClassicLevel?: SourceClass;
  readonly Level?: SourceClass;
  readonly default?: SourceModule;
}

/** The source in `dir`, open. @throws LsmError `LSM_NOT_FOUND` if the package `name` is not installed, or cannot open it */
export const openSource = async (name: string, dir: string): Promise<Source> => {
  const found = await load(name);
  const { ClassicLevel, Level } = found.ClassicLevel || found.Level ? found : (found.default ?? {});
  const Class = ClassicLevel ?? Level;
  if (Class === undefined)
    throw new LsmError('LSM_NOT_FOUND', `The package ${name} has no class ClassicLevel or Level.`);
  const source = new Class(dir, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
  try {
    await source.open({ createIfMissing: false });
    return source;
  } catch (error) {
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? cause.message : message;
    throw new LsmError('LSM_NOT_FOUND', `${name} cannot open ${dir}: ${why}.`, { file: dir, cause: error });
  }
};

const load = async (name: string): Promise<SourceModule> => {
  let path: string | undefined;
  try {
    path = createRequire(join(process.cwd(), 'package.json')).resolve(name);
  } catch {
    // Not from there.
  }
  try {
    return await import(path === undefined ? name : pathToFileURL(path).href);
  } catch (error) {
    const why = (error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND' ? 'is not installed' : 'cannot be loaded';
    const hint = `Run npm install ${name} in the working directory and try again.`;
    throw new LsmError('LSM_NOT_FOUND', `The package ${name} ${why}. ${hint}`, { cause: error });
  }
};
