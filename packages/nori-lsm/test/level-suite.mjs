// Runs abstract-level's own test suite on NoriLevel, as built. Prints TAP; exit code 0 if all of it passes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import suite from 'abstract-level/test/index.js';
import test from 'tape';
import { NoriLevel } from '../dist/abstract-level.js';

const base = mkdtempSync(join(tmpdir(), 'nori-level-'));
let count = 0;

suite({
  test,
  factory: (options) => new NoriLevel(join(base, String(count++)), options),
});

test.onFinish(() => {
  console.log(`# databases ${count}`);
  rmSync(base, { recursive: true, force: true });
});
