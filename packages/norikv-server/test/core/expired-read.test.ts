// Reads that meet a key past its expiry while its shard's time is not: what they answer must have been true at one moment
// between call and return.
import { type Clock, systemClock } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import { afterEach, expect, test } from 'vitest';
import { type Fixture, get, HeldClock, openFixture, put, scanAll } from './fixture.js';

let fixture: Fixture | undefined;
afterEach(async () => {
  await fixture?.store.close({ flush: false });
  fixture = undefined;
});

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A store in which `k` was replaced, while it lived and on condition of its version, by a write that is in the log's hands; the clock is past its expiry. */
const replaceAtTheEdge = async () => {
  const clock = new HeldClock();
  const fs = new MemoryFileSystem();
  fixture = await openFixture({ fs, clock });
  const { node } = fixture;
  const first = await put(node, 'k', 'one', { ttlMs: 1000 });
  clock.advance(999);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  fs.onOperation = ({ kind }) => (kind === 'datasync' ? held : undefined);
  const replaced = put(node, 'k', 'two', { ifVersion: first });
  await settle();
  clock.advance(1);
  return { node, replaced, release };
};

test('a get does not miss a key that was replaced before it expired', async () => {
  const { node, replaced, release } = await replaceAtTheEdge();
  const found = get(node, 'k');
  await settle();
  release();
  await replaced; // it held: the key was there, and has been ever since
  expect((await found)?.value).toBe('two');
});

test('a scan does not miss a key that was replaced before it expired', async () => {
  const { node, replaced, release } = await replaceAtTheEdge();
  const found = scanAll(node);
  await settle();
  release();
  await replaced;
  expect(await found).toEqual([['k', 'two']]);
});

/** Wall time by hand; every look at the monotonic time finds a slice used up; turns are real and tell the test. */
class SlicedClock implements Clock {
  wallMs = 1_700_000_000_000;
  onTurn: (() => void) | undefined;
  #monotonicMs = 0;
  now = () => this.wallMs;
  monotonic = () => (this.#monotonicMs += 3);
  setTimer: Clock['setTimer'] = (delayMs, fn, options) => systemClock.setTimer(delayMs, fn, options);
  nextTurn(fn: () => void): void {
    const { onTurn } = this;
    this.onTurn = undefined;
    onTurn?.();
    setTimeout(fn, 20);
  }
}

test('a scan does not miss a key whose time to live is renewed while the page is read', async () => {
  const clock = new SlicedClock();
  fixture = await openFixture({ clock });
  const { node } = fixture;
  for (let i = 0; i < 200; i++) await put(node, `{t}${String(i).padStart(3, '0')}`, 'v');
  await put(node, '{t}999', 'session', { ttlMs: 1000 });
  clock.wallMs += 990;
  let renewed: Promise<unknown> | undefined;
  clock.onTurn = () => {
    renewed = put(node, '{t}999', 'session', { ttlMs: 1000 }).then(() => {
      clock.wallMs += 20;
    });
  };
  const found = await scanAll(node, { prefix: new TextEncoder().encode('{t}') });
  await renewed;
  expect(clock.onTurn).toBeUndefined();
  expect((await get(node, '{t}999'))?.value).toBe('session');
  expect(found.map(([key]) => key)).toContain('{t}999');
});

test('a scan does not miss a key whose time to live was renewed before its shard was reached', async () => {
  const clock = new SlicedClock();
  fixture = await openFixture({ clock });
  const { node } = fixture;
  for (let i = 0; i < 40; i++) await put(node, `other ${i}`, 'v');
  await put(node, '{t}999', 'session', { ttlMs: 1000 });
  clock.wallMs += 990;
  let renewed: Promise<unknown> | undefined;
  clock.onTurn = () => {
    renewed = put(node, '{t}999', 'session', { ttlMs: 1000 }).then(() => {
      clock.wallMs += 20;
      return put(node, '{t}998', 'moves the time of the shard on');
    });
  };
  const found = await scanAll(node);
  await renewed;
  expect((await get(node, '{t}999'))?.value).toBe('session');
  expect(found.map(([key]) => key)).toContain('{t}999');
});
