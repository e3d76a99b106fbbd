import { systemClock } from 'nori-io';
import { expect, test } from 'vitest';

test('wall time is that of the process, and monotonic time does not go back', () => {
  expect(Number.isInteger(systemClock.now())).toBe(true);
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(10_000);
  const first = systemClock.monotonic();
  expect(systemClock.monotonic()).toBeGreaterThanOrEqual(first);
});

test('timers fire once, unless they are cancelled', async () => {
  const fired: string[] = [];
  await new Promise<void>((resolve) => {
    systemClock.setTimer(1, () => fired.push('cancelled')).cancel();
    systemClock.setTimer(1, () => fired.push('unreferenced'), { unref: true });
    systemClock.setTimer(20, () => {
      fired.push('last');
      resolve();
    });
  });
  expect(fired).toEqual(['unreferenced', 'last']);
});

test('the next turn comes after the microtasks of this one', async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    systemClock.nextTurn(() => {
      order.push('turn');
      resolve();
    });
    queueMicrotask(() => order.push('microtask'));
  });
  expect(order).toEqual(['microtask', 'turn']);
});
