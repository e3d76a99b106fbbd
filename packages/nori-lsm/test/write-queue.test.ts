import { expect, test } from 'vitest';
import { LsmError } from '../src/index.js';
import { PLAIN_KEYS } from '../src/key-map.js';
import { type LogRecord, readLogHeader } from '../src/log-record.js';
import { WriteQueue } from '../src/write-queue.js';
import { text, utf8 } from './support.js';

interface Call {
  readonly record: Uint8Array;
  readonly resolve: (position: number) => void;
  readonly reject: (error: Error) => void;
}

/** A queue over a log that answers when told to. */
const setup = () => {
  const calls: Call[] = [];
  const applied: number[] = [];
  const ahead: number[] = [];
  const versions = new Map<string, number>();
  let next = 1;
  let flushes = 0;
  let writable: Promise<void> | undefined;
  let isFull = false;
  const queue = new WriteQueue(
    {
      append: (record) => new Promise((resolve, reject) => calls.push({ record: record.slice(), resolve, reject })),
    },
    {
      takeSequence: (count) => (next += count) - count,
      get nextSequence() {
        return next;
      },
      versionOf: (key) => versions.get(text(key)!) ?? 0,
      isExpired: () => false,
      nextTurn: setImmediate,
      insertAhead: (record) => {
        const { firstSeq } = readLogHeader(record);
        if (!ahead.includes(firstSeq)) ahead.push(firstSeq);
      },
      takeBack: (record) => {
        const index = ahead.indexOf(readLogHeader(record).firstSeq);
        if (index >= 0) ahead.splice(index, 1);
      },
      applyRecord: (record) => {
        const { firstSeq, lastSeq } = readLogHeader(record);
        applied.push(firstSeq);
        // All operations of these tests are puts of one key.
        versions.set('k', lastSeq);
      },
      waitWritable: () => writable,
      flushApplied: async () => {
        flushes++;
        if (isFull) throw new LsmError('LSM_NO_SPACE', 'full');
      },
    },
    1000,
  );
  const put = (durability: 'batch' | 'os' | 'none'): Promise<void> => queue.add(durability, 1, utf8('k'), utf8('v'), 0);
  const putIf = (durability: 'batch' | 'none', version: number): Promise<void> => {
    const record = queue.takeRecord();
    record.add(1, utf8('k'), utf8('v'), 0);
    return queue.addConditional(durability, record, [{ key: utf8('k'), version, keys: PLAIN_KEYS }]);
  };
  const stall = (wait: Promise<void> | undefined): void => {
    writable = wait;
  };
  const fill = (full: boolean): void => {
    isFull = full;
  };
  return { queue, calls, applied, ahead, put, putIf, stall, fill, flushes: () => flushes };
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('calls of one turn share a record and a promise', async () => {
  const { calls, put } = setup();
  expect(put('batch')).toBe(put('batch'));
  await turn();
  expect(calls.length).toBe(1);
  expect(readLogHeader(calls[0]!.record)).toMatchObject({ firstSeq: 1, count: 2 });
});

test('a different durability begins another record, and the order is kept', async () => {
  const { calls, applied, put } = setup();
  const writes = [put('batch'), put('os'), put('batch')];
  await turn();
  expect(calls.length).toBe(3);
  calls[2]!.resolve(30);
  calls[1]!.resolve(20);
  await turn();
  expect(applied).toEqual([]);
  calls[0]!.resolve(10);
  await Promise.all(writes);
  expect(applied).toEqual([1, 2, 3]);
});

test('a group that the log refuses is not applied and does not hold up others', async () => {
  const { calls, applied, put } = setup();
  const writes = [put('batch'), put('os')];
  await turn();
  calls[1]!.resolve(20);
  calls[0]!.reject(Object.assign(new Error('full'), { code: 'WAL_NO_SPACE' }));
  await expect(writes[0]).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  await writes[1];
  expect(applied).toEqual([2]);
});

test('while the log writes a group, it is inserted ahead; if the log refuses it, it is taken back', async () => {
  const { calls, ahead, applied, put } = setup();
  const writes = [put('batch'), put('os'), put('batch')];
  await turn();
  await turn();
  expect(ahead).toEqual([1, 2, 3]);
  calls[1]!.reject(Object.assign(new Error('full'), { code: 'WAL_NO_SPACE' }));
  await turn();
  expect(ahead).toEqual([1, 3]);
  calls[0]!.resolve(10);
  await expect(writes[1]).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  calls[2]!.resolve(30);
  await Promise.all([writes[0], writes[2]]);
  expect(applied).toEqual([1, 3]);
});

test('a record of several operations joins the open group, or becomes one', async () => {
  const { queue, calls, put } = setup();
  const record = (): LogRecord => {
    const taken = queue.takeRecord();
    for (const key of ['x', 'y']) taken.add(1, utf8(key), utf8('v'), 0);
    return taken;
  };
  const alone = queue.addRecord('batch', record());
  expect(put('batch')).toBe(alone);
  expect(queue.addRecord('batch', record())).toBe(alone);
  expect(queue.addRecord('os', record())).not.toBe(alone);
  const dropped = record();
  queue.dropRecord(dropped);
  expect(queue.takeRecord()).toBe(dropped);
  expect(dropped.count).toBe(0);
  await turn();
  expect(calls.map((call) => readLogHeader(call.record).count)).toEqual([5, 2]);
});

test('none is applied without waiting for its record; if the log refuses it, writing waits for a flush', async () => {
  const { calls, applied, put, flushes } = setup();
  await put('none');
  expect(applied).toEqual([1]);
  calls[0]!.reject(Object.assign(new Error('full'), { code: 'WAL_NO_SPACE' }));
  await turn();
  expect(flushes()).toBe(1);
  const next = put('batch');
  await turn();
  calls[1]!.resolve(10);
  await next;
  expect(applied).toEqual([1, 2]);
});

test('what the log refused must be flushed before anything is logged: while that fails, so do writes', async () => {
  const { queue, calls, put, fill, flushes } = setup();
  await put('none');
  fill(true);
  calls[0]!.reject(Object.assign(new Error('full'), { code: 'WAL_NO_SPACE' }));
  await turn();
  expect(flushes()).toBe(1);
  for (let i = 2; i < 5; i++) {
    await expect(put('batch')).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
    expect(flushes()).toBe(i);
  }
  expect(calls.length).toBe(1);
  fill(false);
  const next = put('batch');
  await turn();
  calls[1]!.resolve(10);
  await next;
  await queue.close();
});

test('while writes stall, groups wait; they go on, or fail with the reason', async () => {
  const { calls, put, stall } = setup();
  let letGo = (): void => {};
  stall(
    new Promise<void>((resolve) => {
      letGo = resolve;
    }),
  );
  const first = put('batch');
  await turn();
  expect(calls.length).toBe(0);
  stall(undefined);
  letGo();
  await turn();
  calls[0]!.resolve(1);
  await first;
  stall(Promise.reject(new LsmError('LSM_NO_SPACE', 'full')));
  await expect(put('batch')).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
});

test('closing waits for the log and fails what waits for room', async () => {
  const { queue, calls, put, stall } = setup();
  const logged = put('batch');
  await turn();
  stall(new Promise<void>(() => {}));
  const waiting = put('batch');
  await turn();
  const closed = queue.close();
  await expect(waiting).rejects.toMatchObject({ code: 'LSM_CLOSED' });
  calls[0]!.resolve(1);
  await Promise.all([logged, closed]);
});

const failed = { code: 'LSM_CONDITION_FAILED' };

test('calls with conditions wait until nothing is in flight, share a record, and each is judged by those before it', async () => {
  const { calls, applied, put, putIf } = setup();
  const before = put('batch');
  await turn();
  // Whoever is second of the same turn asks for what the first will have written.
  const writes = [putIf('batch', 1), putIf('batch', 1), putIf('batch', 2), putIf('batch', 0)];
  for (const write of writes) write.catch(() => {});
  const after = put('batch');
  await turn();
  expect(calls.length).toBe(1);
  writes.push(putIf('batch', 4));
  calls[0]!.resolve(10);
  await before;
  await turn();
  expect(calls.map((call) => readLogHeader(call.record))).toMatchObject([
    { firstSeq: 1, count: 1 },
    // The one without conditions, and the last one, which asks for what it will have written, are of the same group.
    { firstSeq: 2, count: 4 },
  ]);
  calls[1]!.resolve(20);
  await Promise.all([writes[0], writes[2], after, writes[4]]);
  // Judged by what the first wrote, and told so once it is known to have written it.
  await expect(writes[1]).rejects.toMatchObject(failed);
  await expect(writes[3]).rejects.toMatchObject(failed);
  expect(applied).toEqual([1, 2]);
});

test('a write that the log refuses counts for no condition, and one that depends on another fails with it', async () => {
  const { queue, calls, put, putIf } = setup();
  const refused = put('batch');
  await turn();
  const onRefused = putIf('batch', 1);
  const onNothing = putIf('batch', 0);
  const onNothingToo = putIf('batch', 0);
  const onThat = putIf('batch', 2);
  calls[0]!.reject(Object.assign(new Error('full'), { code: 'WAL_NO_SPACE' }));
  await expect(refused).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  await expect(onRefused).rejects.toMatchObject(failed);
  await turn();
  calls[1]!.reject(Object.assign(new Error('full'), { code: 'WAL_NO_SPACE' }));
  await expect(onNothing).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  // It was not absent only because of a write that never happened.
  await expect(onNothingToo).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  await expect(onThat).rejects.toMatchObject({ code: 'LSM_NO_SPACE' });
  await queue.close();
});

test('a condition on what was applied before it was logged waits for the log, and for the flush if that refuses it', async () => {
  const { calls, put, putIf, flushes } = setup();
  await put('none');
  const write = putIf('batch', 1);
  await turn();
  expect(calls.length).toBe(1);
  calls[0]!.reject(Object.assign(new Error('full'), { code: 'WAL_NO_SPACE' }));
  await turn();
  expect(flushes()).toBe(1);
  calls[1]!.resolve(20);
  await write;
});

test('closing lets calls with conditions come to their end, or fails them with all that waits', async () => {
  const { queue, calls, put, putIf } = setup();
  const before = put('batch');
  await turn();
  const writes = [putIf('batch', 7), putIf('batch', 1)];
  const closed = queue.close();
  calls[0]!.resolve(10);
  await before;
  await expect(writes[0]).rejects.toMatchObject(failed);
  await turn();
  calls[1]!.resolve(20);
  await Promise.all([writes[1], closed]);
  const other = setup();
  const first = other.put('batch');
  await turn();
  const lost = other.putIf('batch', 9);
  const closing = other.queue.close();
  other.calls[0]!.resolve(10);
  await expect(lost).rejects.toMatchObject(failed);
  await Promise.all([first, closing]);
});
