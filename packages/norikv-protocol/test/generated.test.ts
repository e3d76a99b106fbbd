// The code in src/gen is what `buf generate` makes of the .proto files, and the .proto files break no one who speaks the
// version in proto-baseline.binpb.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const buf = createRequire(import.meta.url).resolve('@bufbuild/buf/bin/buf');
const binaries = join(root, 'node_modules', '.bin');

const runBuf = (...args: string[]) =>
  run(process.execPath, [buf, ...args], {
    cwd: root,
    env: { ...process.env, PATH: [binaries, dirname(process.execPath), process.env.PATH].join(delimiter) },
  });

const filesBelow = async (dir: string): Promise<Map<string, string>> => {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return new Map(files.map((file, i) => [file.slice(dir.length), texts[i]!]));
};

test('generated code is up to date with the .proto files', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'norikv-protocol-'));
  try {
    await runBuf('generate', '-o', dir);
    expect(await filesBelow(join(dir, 'src/gen'))).toEqual(await filesBelow(join(root, 'src/gen')));
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('the .proto files pass buf lint and do not break the baseline', async () => {
  await runBuf('lint');
  await runBuf('breaking', '--against', 'proto-baseline.binpb');
});
