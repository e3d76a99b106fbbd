// A write is never applied twice, whatever the shard has forgotten.
import { afterEach, expect, test } from 'vitest';
import { type Fixture, get, HeldClock, openFixture, put } from './fixture.js';

let fixture: Fixture | undefined;
afterEach(async () => {
  await fixture?.store.close({ flush: false });
  fixture = undefined;
});

const clientId = (number: number) => number.toString(16).padStart(32, '0');
const identity = (client: number, sequence: number, ageMs = 0) => ({
  clientId: clientId(client),
  sequence,
  floor: 1,
  ageMs,
});

test('a retry that takes longer to arrive than the first attempt did is not applied after its client was forgotten', async () => {
  const clock = new HeldClock();
  fixture = await openFixture({ clock });
  const { node } = fixture;
  // Sent, arrives and is applied 1 ms later; the answer is lost.
  clock.advance(1);
  await put(node, '{t}k', 'first', { identity: identity(1, 1) });
  clock.advance(1);
  await Promise.all(Array.from({ length: 1024 }, (_, i) => put(node, `{t}${i}`, '', { identity: identity(i + 2, 1) })));
  await put(node, '{t}k', 'second', { identity: identity(9999, 1) });
  // Sent again 4,000 ms after the first attempt; this time the way takes 10 ms.
  clock.advance(4010 - 2);
  await put(node, '{t}k', 'first', { identity: identity(1, 1, 4000) }).catch((error) => {
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });
  expect((await get(node, '{t}k'))?.value).toBe('second');
});

test('a retry is not applied after the clock of the node has jumped ahead', async () => {
  const clock = new HeldClock();
  fixture = await openFixture({ clock });
  const { node } = fixture;
  await put(node, '{t}k', 'first', { identity: identity(1, 1) });
  clock.jumpWallTime(3_600_000);
  await put(node, '{t}k', 'second', { identity: identity(2, 1) });
  clock.advance(50);
  await put(node, '{t}k', 'first', { identity: identity(1, 1, 50) }).catch((error) => {
    expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });
  expect((await get(node, '{t}k'))?.value).toBe('second');
});

test('new writes are taken while the clock stands behind the time of the shard, however many clients there are', async () => {
  const clock = new HeldClock();
  fixture = await openFixture({ clock });
  const { node } = fixture;
  await put(node, '{t}k', 'v');
  clock.jumpWallTime(-3_600_000); // the clock had been an hour ahead and was set right
  for (let i = 0; i < 1100; i++) {
    clock.advance(10);
    await put(node, '{t}k', 'v', { identity: identity(i + 1, 1) });
  }
});
