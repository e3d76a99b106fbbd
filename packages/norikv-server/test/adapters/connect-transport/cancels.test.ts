// The client's frames stay within the limit of a request, whatever is cancelled with them; and a stream that a node ends
// for one bad frame says nothing about the writes that were under way on it.
import { MemoryFileSystem } from 'nori-io/memory';
import { NoriClient } from 'norikv-client';
import { afterEach, expect, test } from 'vitest';
import { type Fixture, get, openFixture } from '../../core/fixture.js';
import { eventually, startClientPort } from '../support/ports.js';

let fixture: Fixture;
let server: Awaited<ReturnType<typeof startClientPort>>;
let db: NoriClient;
afterEach(async () => {
  await db.close();
  await server.transport.close();
  await fixture.store.close({ flush: false });
});

test('a large batch in the same turn as many cancels does not end the stream for all', async () => {
  const fs = new MemoryFileSystem();
  fixture = await openFixture({ fs });
  server = await startClientPort();
  // The real store behind the port, with the cluster view of the stand-in.
  server.node.write = (request) => {
    server.node.writes.push(request);
    fixture.node.write(request);
  };
  db = await NoriClient.connect({ endpoints: [server.target] });
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  fs.onOperation = ({ kind }) => (kind === 'datasync' ? held : undefined);
  const neighbour = db.put('neighbour', 'v').then(
    () => 'done',
    (error) => error.code,
  );
  await eventually(() => server.node.writes.length === 1);
  const abort = new AbortController();
  const slow = Array.from({ length: 4000 }, (_, i) =>
    db.put(`slow ${i}`, 'v', { signal: abort.signal, timeoutMs: 10_000 }).catch(() => undefined),
  );
  await eventually(() => server.node.writes.length === 4001);
  abort.abort();
  const MIB = 1024 * 1024;
  const batch = db
    .batch([
      { type: 'put', key: '{t}a', value: new Uint8Array(MIB) },
      { type: 'put', key: '{t}b', value: new Uint8Array(MIB - 400) },
    ])
    .then(
      () => 'done',
      (error) => error.code,
    );
  await Promise.race([
    eventually(() => server.node.writes.length === 4002).catch(() => undefined),
    new Promise((resolve) => setTimeout(resolve, 1000)),
  ]);
  release();
  await Promise.all(slow);
  const answers = { batch: await batch, neighbour: await neighbour };
  await eventually(() => !fixture.log.busy);
  const applied = (await get(fixture.node, 'neighbour'))?.value;
  expect({ ...answers, applied }).toEqual({ batch: 'done', neighbour: 'done', applied: 'v' });
}, 30_000);
