// A node that ends a stream with a status says something of the stream, or of one frame in it: never what became of an
// operation. Writes under way then are repeated with their identity, or end as OUTCOME_UNKNOWN.
import { expect, test } from 'vitest';
import type { PipelineCall, ReceivedRow } from './support/fake-node.js';
import { connect, failure, startNode, text } from './support/harness.js';

/** Ends a stream as a node does that does not take a frame. */
const refuse = ({ stream }: PipelineCall, status: number, message = 'no%20way'): void => {
  stream.removeAllListeners('wantTrailers');
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(status), 'grpc-message': message }));
  stream.end();
};

test.each([3, 4, 8, 12, 13])('a write is not said to be refused when its stream is, with status %i', async (status) => {
  const node = await startNode({ onRows: (_, call) => refuse(call, status) });
  // With no budget a retry waits for a second, which the deadline does not allow.
  const client = await connect(node, { retryBudget: 0 });
  const [put, remove, batch] = await Promise.all([
    failure(client.put('k', 'v', { timeoutMs: 900 })),
    failure(client.delete('k', { timeoutMs: 900 })),
    failure(client.batch([{ type: 'put', key: 'k', value: 'v' }], { timeoutMs: 900 })),
  ]);
  for (const error of [put, remove, batch]) {
    expect(error.code).toBe('OUTCOME_UNKNOWN');
    expect(error.message).toMatch(/no way/);
    expect(error.details.attempts[0]).toMatchObject({
      code: 'UNAVAILABLE',
      message: `The node ended the stream with gRPC status ${status}: no way`,
    });
  }
  expect(client.stats()).toMatchObject({ pending: 0, pendingBytes: 0 });
});

test('a read that is refused with its stream again and again ends at its deadline, with what the node said', async () => {
  const node = await startNode({ onRows: (_, call) => refuse(call, 12) });
  const client = await connect(node);
  const error = await failure(client.get('a', { timeoutMs: 1_000 }));
  expect(['UNAVAILABLE', 'DEADLINE_EXCEEDED']).toContain(error.code);
  expect(error.message).toMatch(/no way/);
  expect(error.details.attempts.length).toBeGreaterThan(1);
});

test('what was under way when a stream was refused is repeated, and writes are applied once', async () => {
  const node = await startNode();
  const client = await connect(node);
  await client.put('read', 'r');
  const before = node.rows.length;
  let first: readonly ReceivedRow[] | undefined;
  node.onRows = (rows, call) => {
    if (first !== undefined) return call.answer(rows);
    first = rows;
    // All is applied, and none of it answered.
    call.apply(rows);
    refuse(call, 3);
  };
  const [put, batch, read] = await Promise.all([
    client.put('a', '1', { ifAbsent: true }),
    client.batch([
      { type: 'put', key: '{t}b', value: '2', ifAbsent: true },
      { type: 'delete', key: '{t}c' },
    ]),
    client.get('read'),
  ]);
  expect(put.version).toEqual({ term: 1, index: 2 });
  expect(batch).toMatchObject([{ version: { index: 3 } }, { version: { index: 4 }, deleted: false }]);
  expect(text(read?.value)).toBe('r');
  const again = node.rows.slice(before + first!.length);
  expect(again.map((row) => row.sequence).sort()).toEqual(first!.map((row) => row.sequence).sort());
  for (const row of first!) expect(row.ageMs).toBe(0);
  for (const row of again) if (row.sequence > 0) expect(row.ageMs).toBeGreaterThan(0);
  expect(client.stats()).toMatchObject({ failed: 0, pending: 0 });
});

test('repeating what was refused takes from the retry budget, unlike what was merely lost', async () => {
  const node = await startNode();
  const client = await connect(node, { retryBudget: 1 });
  let refused = 0;
  node.onRows = (_, call) => {
    refused++;
    refuse(call, 3);
  };
  // The first retry takes the only token; the second would wait for a second, which the deadline does not allow.
  const error = await failure(client.put('a', '1', { timeoutMs: 990 }));
  expect([error.code, refused]).toEqual(['OUTCOME_UNKNOWN', 2]);
  expect(error.message).toMatch(/no time left to try again/);
});

test('a node that drains ends its streams without touching the budget', async () => {
  const node = await startNode();
  const client = await connect(node, { retryBudget: 0 });
  let refused = 0;
  node.onRows = (rows, call) => (++refused < 4 ? refuse(call, 14) : call.answer(rows));
  await client.put('a', '1', { timeoutMs: 5_000 });
  expect(node.rows).toHaveLength(4);
  expect(client.stats()).toMatchObject({ retries: 3, failed: 0 });
});

test('ids that are cancelled do not travel with a frame that is large already', async () => {
  const node = await startNode({ onRow: (row) => (row.timeoutMs > 5_000 ? 'silence' : undefined) });
  const client = await connect(node);
  await client.put('warm', 'up', { timeoutMs: 1_000 });
  const abort = new AbortController();
  const slow = Array.from({ length: 4_000 }, (_, i) =>
    failure(client.put(`slow ${i}`, 'v', { signal: abort.signal, timeoutMs: 10_000 })),
  );
  while (node.rows.length < 4_001) await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  const MIB = 1024 * 1024;
  const big = client.batch(
    [
      { type: 'put', key: '{t}a', value: new Uint8Array(MIB) },
      { type: 'put', key: '{t}b', value: new Uint8Array(MIB - 400) },
    ],
    { timeoutMs: 5_000 },
  );
  const small = client.put('small', 'v', { timeoutMs: 5_000 });
  await Promise.all([big, small, ...slow]);
  while (node.cancels.length < 4_000) await new Promise((resolve) => setImmediate(resolve));
  const large = node.frames.filter((frame) => frame.values.some((value) => value.length >= MIB));
  expect(large).toHaveLength(1);
  expect(large[0]!.cancels).toEqual([]);
  expect(new Set(node.cancels).size).toBe(4_000);
});
