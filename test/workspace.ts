// The repository as its own tests see it.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** The fields of a package.json that the tests look at. */
export interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly license?: string;
  readonly exports?: Record<string, unknown>;
  readonly dependencies?: Record<string, string>;
}

export interface WorkspacePackage {
  /** Folder below packages/. */
  readonly folder: string;
  readonly manifest: Manifest;
}

const FOLDERS_SKIPPED: ReadonlySet<string> = new Set(['node_modules', 'dist', '.git', '.turbo', '.reports', 'gen']);

/** All files below a folder of the repository, as paths relative to the root with `/`. */
export function filesBelow(folder: string): string[] {
  const found: string[] = [];
  const visit = (directory: string) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (FOLDERS_SKIPPED.has(entry.name)) continue;
      const path = join(directory, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (entry.isFile()) found.push(relative(root, path).split(sep).join('/'));
    }
  };
  visit(join(root, folder));
  return found.sort();
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Every package below packages/. */
export function workspacePackages(): WorkspacePackage[] {
  return readdirSync(join(root, 'packages')).map((folder) => ({
    folder,
    manifest: JSON.parse(readText(`packages/${folder}/package.json`)) as Manifest,
  }));
}
