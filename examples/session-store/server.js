// A server that counts the visits of each session. Stop it and start it again: the sessions are still there.
//
//   node server.js [data folder] [port] [milliseconds a session lives]
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { Lsm } from 'nori-lsm';
import { SessionStore } from './session-store.js';

const [dir = './data', port = '8080', ttlMs = '3600000'] = process.argv.slice(2);

const db = await Lsm.open({ dir });
const store = new SessionStore(db, { ttlMs: Number(ttlMs) });
const [get, set, destroy, length] = ['get', 'set', 'destroy', 'length'].map((name) =>
  promisify(store[name].bind(store)),
);

const server = createServer(async (request, response) => {
  try {
    const known = /(?:^|; )sid=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1];
    if (request.url === '/logout') {
      if (known !== undefined) await destroy(known);
      return response.end('bye\n');
    }
    if (request.url === '/sessions') return response.end(`${await length()}\n`);
    const found = known && (await get(known));
    const [id, session] = found ? [known, found] : [randomUUID(), { visits: 0 }];
    // Every visit makes the session live on from now; it is durable before the visitor hears of it.
    await set(id, { ...session, visits: session.visits + 1 });
    response.setHeader('Set-Cookie', `sid=${id}; HttpOnly; SameSite=Lax; Path=/`);
    response.end(`visit ${session.visits + 1}\n`);
  } catch (error) {
    response.statusCode = 500;
    response.end(`${error.code ?? error.message}\n`);
  }
});

server.listen(Number(port), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close(() => db.close());
    server.closeAllConnections();
  });
}
