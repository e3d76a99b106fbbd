// A real file system that is really full: a small tmpfs, with worker threads. Where mounting is not allowed, the tests
// are shown as skipped; with NORI_MUST_MOUNT=1 they fail there instead.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Lsm, LsmError } from '../src/index.js';

const SIZE = '16m';
const BALLAST_BYTES = 6 * 1024 * 1024;
const VALUE = new Uint8Array(4096).fill(7);
const REFUSALS_IN_A_ROW = 50;

const mountPoint = mkdtempSync(join(tmpdir(), 'nori-lsm-full-'));
const mountedHere = (): boolean => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', mountPoint], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if (process.env.NORI_MUST_MOUNT === '1') throw error;
    return false;
  }
};
const canMount = mountedHere();
afterAll(() => {
  if (canMount) execFileSync('umount', ['-l', mountPoint]);
  rmSync(mountPoint, { recursive: true });
});

const keyOf = (number: number): string => `key ${String(number).padStart(6, '0')}`;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

for (const wal of [true, false]) {
  test.skipIf(!canMount)(
    `a full disk refuses writes, reads go on, writes resume by themselves (wal: ${wal})`,
    {
      timeout: 120_000,
    },
    async () => {
      const dir = join(mountPoint, `db-${wal}`);
      const ballast = join(mountPoint, 'ballast');
      await writeFile(ballast, new Uint8Array(BALLAST_BYTES));
      const options = {
        dir,
        wal,
        memtableBytes: 512 * 1024,
        tableBytes: 512 * 1024,
        walSegmentBytesMax: 512 * 1024,
        levelBytesBase: 1024 * 1024,
      };
      const db = await Lsm.open(options);
      let written = 0;
      const put = (): Promise<void> =>
        db.put(keyOf(written), VALUE).then(() => {
          written++;
        });
      // One refusal may pass: a flush that ends gives up segments of the log. The disk is full when refusals go on.
      for (let refusals = 0; refusals < REFUSALS_IN_A_ROW && written < 10_000; ) {
        try {
          await put();
          refusals = 0;
        } catch (error) {
          expect(error).toBeInstanceOf(LsmError);
          expect(error).toMatchObject({ code: 'LSM_NO_SPACE' });
          refusals++;
          await turn();
        }
      }
      expect(written).toBeGreaterThan(100);
      expect(written).toBeLessThan(10_000);
      for (let i = 0; i < written; i += 7) expect(Buffer.compare(db.getSync(keyOf(i))!, VALUE)).toBe(0);
      expect(Array.from(db.scanSync()).length).toBe(written);

      await rm(ballast);
      let isBack = false;
      while (!isBack) {
        isBack = await put().then(
          () => true,
          () => false,
        );
        await turn();
      }
      await expect.poll(() => db.flush().then(() => 'flushed'), { timeout: 60_000 }).toBe('flushed');
      expect(db.backgroundError).toBeUndefined();
      await db.close();

      const again = await Lsm.open(options);
      expect(Array.from(again.scanSync(), ([key]) => Buffer.from(key).toString())).toEqual(
        Array.from({ length: written }, (_, i) => keyOf(i)),
      );
      expect((await again.verify()).problems).toEqual([]);
      await again.close();
      await rm(dir, { recursive: true });
    },
  );
}
