// A real file system that is really full: a small tmpfs. Where the checks may not mount one, the test says so.
import { execFileSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NoriClient, NoriError } from 'norikv-client';
import { expect, test } from 'vitest';
import { launchNode, temporaryDir } from './launch.js';

const BALLAST_BYTES = 24 * 1024 * 1024;
const VALUE = new Uint8Array(16 * 1024).fill(7);
const REFUSALS_IN_A_ROW = 20;
const ignore = () => undefined;

const dir = await temporaryDir();
const canMount = (() => {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', dir.path], { stdio: 'ignore' });
    execFileSync('umount', [dir.path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
if (!canMount) await dir.remove();

test.skipIf(!canMount)(
  'a full disk refuses writes, reads go on, and writes resume by themselves',
  { timeout: 90_000 },
  async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', dir.path]);
    const ballast = join(dir.path, 'ballast');
    const node = await (async () => {
      try {
        await writeFile(ballast, new Uint8Array(BALLAST_BYTES));
        return await launchNode(join(dir.path, 'data'), ['--memtable-mb', '4', '--log-segment-mb', '4']);
      } catch (error) {
        execFileSync('umount', ['-l', dir.path]);
        throw error;
      }
    })();
    try {
      const client = await NoriClient.connect({ endpoints: [node.rpc], timeoutMs: 15_000 });
      // A first refusal may pass: a flush that ends gives up log segments. The disk is full when refusals go on.
      const refusals: unknown[] = [];
      let acknowledged = 0;
      while (refusals.length < REFUSALS_IN_A_ROW) {
        try {
          await client.put(`key ${acknowledged}`, VALUE);
          acknowledged++;
          refusals.length = 0;
        } catch (error) {
          refusals.push(error);
          await sleep(100);
        }
        if (acknowledged > 10_000) throw new Error('The disk never became full');
      }
      for (const refusal of refusals) {
        expect(refusal).toBeInstanceOf(NoriError);
        expect(refusal).toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
      }
      expect(acknowledged).toBeGreaterThan(100);
      for (let i = 0; i < acknowledged; i += 50) expect((await client.get(`key ${i}`))?.value).toEqual(VALUE);
      // Between refusals the node may find out that a small write still fits, and be ready for a moment.
      const readinessAfterRefusal = async () => {
        await client.put(`key ${acknowledged}`, VALUE).then(() => acknowledged++, ignore);
        return (await fetch(`${node.http}/readyz`)).status;
      };
      await expect.poll(readinessAfterRefusal, { timeout: 20_000 }).toBe(503);
      expect((await fetch(`${node.http}/livez`)).status).toBe(200);

      await rm(ballast);
      await expect.poll(() => client.put('after', 'space').then(() => 'done'), { timeout: 30_000 }).toBe('done');
      await expect.poll(async () => (await fetch(`${node.http}/readyz`)).status, { timeout: 30_000 }).toBe(200);
      for (let i = 0; i < acknowledged; i += 50) expect((await client.get(`key ${i}`))?.value).toEqual(VALUE);
      await client.close();
      expect(await node.stop()).toBe(0);
    } finally {
      await node.kill();
      execFileSync('umount', ['-l', dir.path]);
      await dir.remove();
    }
  },
);
