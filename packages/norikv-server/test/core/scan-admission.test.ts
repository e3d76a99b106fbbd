// Scans over all shards that wait for their turn.
import { systemClock } from 'nori-io';
import { expect, test } from 'vitest';
import { ScanAdmission } from '../../src/core/scan-admission.js';

const FOREVER = { deadlineMs: Number.POSITIVE_INFINITY, signal: undefined };

/** Work that ends when it is told to. */
const held = () => {
  let release!: () => void;
  const done = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { release, read: () => done };
};

test('a few run at the same time, the others one after the other in the order in which they came', async () => {
  const admission = new ScanAdmission(systemClock);
  const started: number[] = [];
  const all = Array.from({ length: 10 }, (_, i) => {
    const { release, read } = held();
    const done = admission.run(FOREVER, () => {
      started.push(i);
      return read();
    });
    return { release, done };
  });
  expect(started).toEqual([0, 1, 2, 3]);
  for (const [i, { release, done }] of all.entries()) {
    release();
    await done;
    expect(started).toEqual(Array.from({ length: Math.min(10, 5 + i) }, (_, n) => n));
  }
});

test('who fails makes room as well', async () => {
  const admission = new ScanAdmission(systemClock);
  for (let i = 0; i < 20; i++) {
    await expect(admission.run(FOREVER, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  }
  expect(await admission.run(FOREVER, async () => 'done')).toBe('done');
});

test('who waits is let go at its deadline, or when its caller goes, and does not hold up the next', async () => {
  const admission = new ScanAdmission(systemClock);
  const running = Array.from({ length: 4 }, () => {
    const { release, read } = held();
    return { release, done: admission.run(FOREVER, read) };
  });
  const abort = new AbortController();
  const nothing = async () => 'read';
  const late = admission.run({ deadlineMs: systemClock.monotonic() + 20, signal: undefined }, nothing);
  const gone = admission.run({ deadlineMs: Number.POSITIVE_INFINITY, signal: abort.signal }, nothing);
  const last = admission.run(FOREVER, nothing);
  setTimeout(() => abort.abort(), 5);
  await Promise.all([
    expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' }),
    expect(gone).rejects.toMatchObject({ code: 'CANCELLED' }),
  ]);
  for (const { release } of running) release();
  expect(await last).toBe('read');
  await Promise.all(running.map(({ done }) => done));
});

test('more than may wait are refused at once, as something to try again', async () => {
  const admission = new ScanAdmission(systemClock);
  const { release, read } = held();
  const all = Array.from({ length: 4 + 1024 }, () => admission.run(FOREVER, read));
  await expect(admission.run(FOREVER, read)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  release();
  await Promise.all(all);
});
