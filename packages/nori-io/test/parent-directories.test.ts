import { parentOf, syncParents } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { Rng } from 'nori-testkit';
import { expect, test } from 'vitest';

test('the parent of a path is taken from its text, and the upward way ends', () => {
  const parents: Record<string, string> = {
    '/a/b/c': '/a/b',
    '/a/b/': '/a',
    '/a//b': '/a',
    '/a': '/',
    '/': '/',
    '//': '/',
    'a/b': 'a',
    './a': '.',
    a: '.',
    '.': '.',
    '': '.',
  };
  for (const [path, parent] of Object.entries(parents)) expect([path, parentOf(path)]).toEqual([path, parent]);
});

const synced = async (dir: string, prepare: (fs: MemoryFileSystem) => void = () => {}): Promise<string[]> => {
  const fs = new MemoryFileSystem();
  await fs.mkdir(dir);
  const paths: string[] = [];
  fs.onOperation = (operation) => {
    if (operation.kind === 'sync-dir') paths.push(operation.path);
  };
  prepare(fs);
  await syncParents(fs, dir);
  return paths;
};

test('every directory above is synced, so that the new ones survive a power failure', async () => {
  expect(await synced('/data/node/log')).toEqual(['/data/node', '/data', '/']);
  const fs = new MemoryFileSystem();
  await fs.mkdir('/data/node/log');
  await syncParents(fs, '/data/node/log');
  for (let i = 0; i < 10; i++)
    expect(await fs.crash(new Rng(i)).stat('/data/node/log')).toMatchObject({ kind: 'directory' });
});

test('directories of others are passed over, other trouble is not', async () => {
  const denied = (fs: MemoryFileSystem) => fs.inject({ on: 'sync-dir', path: '/data', code: 'IO_PERMISSION' });
  await expect(synced('/data/log', denied)).resolves.toContain('/');
  const failing = (fs: MemoryFileSystem) => fs.inject({ on: 'sync-dir', after: 1 });
  await expect(synced('/data/log', failing)).rejects.toMatchObject({ code: 'IO_FAILED' });
});
