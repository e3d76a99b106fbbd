// The shortest use: open a folder, write, read in order, close.
import { Lsm } from 'nori-lsm';

const db = await Lsm.open({ dir: process.argv[2] ?? './data' });

await db.put('user:42', 'alice');
await db.batch([
  { type: 'put', key: 'user:43', value: 'bob' },
  { type: 'put', key: 'visits', value: String(1 + Number(textOf(await db.get('visits')) ?? 0)) },
]);

for await (const [key, value] of db.scan({ prefix: 'user:' })) console.log(textOf(key), textOf(value));
console.log('visits', textOf(await db.get('visits')));

// Writes the table in a worker thread, as the database does by itself once a memtable is full.
await db.flush();
console.log('flushes', db.stats().flushes);
await db.close();

function textOf(bytes) {
  return bytes && new TextDecoder().decode(bytes);
}
