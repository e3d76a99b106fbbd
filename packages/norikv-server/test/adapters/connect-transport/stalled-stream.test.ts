// A stream that the node itself has stopped reading is not cut for having half a message.
import { afterEach, expect, test } from 'vitest';
import { PipelineClient, utf8 } from '../support/pipeline-client.js';
import { eventually, startClientPort } from '../support/ports.js';

let server: Awaited<ReturnType<typeof startClientPort>>;
let client: PipelineClient;
afterEach(async () => {
  client.destroy();
  await server.transport.close();
});

test('a stream that waits for the node keeps its writes', async () => {
  // Client and port share one event loop: a shorter interval would take a busy machine for a dead connection.
  server = await startClientPort({ requestTimeoutMs: 1_000, pingIntervalMs: 1_000 });
  client = new PipelineClient(server.url);
  server.node.holding = true; // as a store does that waits for its disk
  const rows = 4096;
  for (let f = 0; f < 4; f++) {
    client.send({
      firstId: 1 + f * rows,
      kinds: new Uint8Array(rows).fill(2),
      keys: Array.from({ length: rows }, (_, i) => utf8(`${f}.${i}`)),
      values: new Array(rows).fill(utf8('v')),
    });
  }
  // More than fits: the node stops reading somewhere in these.
  for (let f = 4; f < 8; f++) {
    client.send({
      firstId: 1 + f * rows,
      kinds: new Uint8Array([2]),
      keys: [utf8(`${f}`)],
      values: [new Uint8Array(900_000)],
    });
  }
  await eventually(() => server.node.heldWrites >= 4 * rows);
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  expect(client.trailers).toBeUndefined();
  server.node.release();
  await client.answered(4 * rows + 4);
  client.stream.end();
  expect(await client.ended()).toMatchObject({ 'grpc-status': '0' });
}, 20_000);
