import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../src/index.js';

/** A clock and what its callbacks logged, as `time:name`. */
function setUp() {
  const clock = new VirtualClock({ startMs: 1000 });
  const log: string[] = [];
  const note = (name: string) => () => log.push(`${clock.monotonic()}:${name}`);
  return { clock, log, note };
}

describe('VirtualClock', () => {
  test('stands still until it is moved', () => {
    const { clock } = setUp();
    expect([clock.now(), clock.monotonic()]).toEqual([1000, 0]);
    clock.advance(2.5);
    expect([clock.now(), clock.monotonic()]).toEqual([1002, 2.5]);
  });

  test('calls timers at their own time, in order, ties in the order in which they were set', () => {
    const { clock, log, note } = setUp();
    clock.setTimer(20, note('late'));
    clock.setTimer(10, note('first'));
    clock.setTimer(10, note('second'));
    clock.setTimer(-5, note('now'));
    clock.setTimer(31, note('not yet'));
    clock.advance(30);
    expect(log).toEqual(['0:now', '10:first', '10:second', '20:late']);
    expect(clock.monotonic()).toBe(30);
    expect(clock.pending).toBe(1);
  });

  test('a timer set by a timer fires in the same advance when it is due', () => {
    const { clock, log, note } = setUp();
    clock.setTimer(10, () => clock.setTimer(5, note('inner')));
    clock.advance(15);
    expect(log).toEqual(['15:inner']);
  });

  test('a cancelled timer never fires, and cancelling a fired one does nothing', () => {
    const { clock, log, note } = setUp();
    const fired = clock.setTimer(1, note('fired'));
    const cancelled = clock.setTimer(2, note('cancelled'));
    clock.advance(1);
    fired.cancel();
    cancelled.cancel();
    cancelled.cancel();
    clock.advance(10);
    expect(log).toEqual(['1:fired']);
    expect(clock.pending).toBe(0);
  });

  test('nextTurn waits for the clock to be moved, if only by nothing', () => {
    const { clock, log, note } = setUp();
    clock.nextTurn(note('turn'));
    expect(log).toEqual([]);
    clock.advance(0);
    expect(log).toEqual(['0:turn']);
  });

  test('runUntilIdle goes from timer to timer and leaves those with unref', () => {
    const { clock, log, note } = setUp();
    clock.setTimer(1000, () => clock.setTimer(1000, note('second')));
    clock.setTimer(500, note('unref before the end'), { unref: true });
    clock.setTimer(5000, note('unref after the end'), { unref: true });
    clock.runUntilIdle();
    expect(log).toEqual(['500:unref before the end', '2000:second']);
    expect(clock.monotonic()).toBe(2000);
  });

  test('runUntilIdle gives up on a timer that arms itself for ever', () => {
    const { clock } = setUp();
    const again = () => clock.nextTurn(again);
    again();
    expect(() => clock.runUntilIdle()).toThrow('Still not idle');
  });

  test('wall time jumps alone', () => {
    const { clock } = setUp();
    clock.jumpWallTime(-500);
    clock.advance(1);
    expect([clock.now(), clock.monotonic()]).toEqual([501, 1]);
  });

  test('the async moves let promises settle between callbacks', async () => {
    const { clock, log, note } = setUp();
    const sleep = (ms: number) => new Promise<void>((resolve) => clock.setTimer(ms, resolve));
    const run = async () => {
      for (let i = 0; i < 3; i++) {
        await sleep(10);
        await Promise.resolve();
        note(`step ${i}`)();
      }
    };
    const first = run();
    await clock.advanceAsync(25);
    expect(log).toEqual(['10:step 0', '20:step 1']);
    await clock.runUntilIdleAsync();
    await first;
    expect(log).toEqual(['10:step 0', '20:step 1', '30:step 2']);
  });
});
