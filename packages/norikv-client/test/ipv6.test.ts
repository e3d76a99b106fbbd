// Endpoints with an IPv6 address.
import { createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { NoriClient } from '../src/index.js';

test('the address of a node keeps its brackets in what is asked of it', async () => {
  const authorities: string[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    authorities.push(String(headers[':authority']));
    stream.respond({ ':status': 503 }, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const connecting = NoriClient.connect({ endpoints: [`[::1]:${port}`], timeoutMs: 500 });
    await expect(connecting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(new Set(authorities)).toEqual(new Set([`[::1]:${port}`]));
  } finally {
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
});
