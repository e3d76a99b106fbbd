import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LsmError } from '../src/index.js';
import { workerEntry } from '../src/worker-entry.js';

const path = (url: string): string => fileURLToPath(url);
const having =
  (...urls: string[]) =>
  (file: string): boolean =>
    urls.map(path).includes(file);

test('the entry of the threads lies beside the module, built or bundled; from the sources, in the folder of the build', () => {
  expect(workerEntry('file:///app/main.js', having('file:///app/lsm-worker.js'))).toBe(
    path('file:///app/lsm-worker.js'),
  );
  const built = 'file:///nori-lsm/dist/lsm-worker.js';
  expect(workerEntry('file:///nori-lsm/src/worker-executor.ts', having(built))).toBe(path(built));
});

test('what an archive of Electron leaves out is taken from beside the archive, all else from inside', () => {
  const inside = 'file:///resources/app.asar/lsm-worker.js';
  const outside = 'file:///resources/app.asar.unpacked/lsm-worker.js';
  const module = 'file:///resources/app.asar/main.js';
  expect(workerEntry(module, having(inside, outside))).toBe(path(outside));
  expect(workerEntry(module, having(inside))).toBe(path(inside));
});

test.each([undefined, 'file:///app/main.js', 'https://example.org/main.js'])(
  'a bundle without the entry is refused with what to do: %s',
  (moduleUrl) => {
    const find = () => workerEntry(moduleUrl, () => false);
    expect(find).toThrow(LsmError);
    expect(find).toThrow(expect.objectContaining({ code: 'LSM_INVALID_OPTIONS' }));
    expect(find).toThrow(/nori-lsm\/lsm-worker.*inlineExecutor/);
  },
);
