import { RecordingMeter } from 'nori-observe';
import { expect, test } from 'vitest';
import { errorDetail } from './support/fake-node.js';
import { connect, failure, startNode } from './support/harness.js';

test('operations, retries and latencies are measured', async () => {
  const node = await startNode();
  const meter = new RecordingMeter();
  const client = await connect(node, { meter });
  await client.put('a', '1');
  let count = 0;
  node.onRow = () => (++count === 1 ? errorDetail('UNAVAILABLE') : undefined);
  await client.get('a');
  node.onRow = () => errorDetail('CORRUPTION');
  await failure(client.get('a'));
  expect(meter.value('norikv_client_operations_total', { status: 'ok' })).toBe(2);
  expect(meter.value('norikv_client_operations_total', { status: 'CORRUPTION' })).toBe(1);
  expect(meter.value('norikv_client_retries_total')).toBe(1);
  expect(meter.count('norikv_client_operation_duration_seconds')).toBe(2);
  const stats = client.stats();
  expect(stats).toMatchObject({ succeeded: 2, failed: 1, failures: { CORRUPTION: 1 }, retries: 1, rowsSent: 4 });
  expect(stats.latency.count).toBe(2);
  expect(stats.channels).toMatchObject([{ address: node.address, state: 'ready', queued: 0, inFlight: 0 }]);
});
