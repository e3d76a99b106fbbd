import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { nodeFileSystem } from 'nori-io';
import { fileSystemConformance } from './file-system-conformance.js';

fileSystemConformance('nodeFileSystem', async () => {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'nori-io-'));
  return { fs: nodeFileSystem, dir, remove: () => rm(dir, { recursive: true }) };
});
