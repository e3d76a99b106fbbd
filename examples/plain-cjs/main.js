// A CommonJS program: Node 20.19 and later can `require` an ES module that, like nori-lsm, awaits nothing while it loads.
const { join } = require('node:path');
const { Lsm } = require('nori-lsm');
const { NoriLevel } = require('nori-lsm/abstract-level');

const dir = process.argv[2] ?? './data';

async function main() {
  const db = await Lsm.open({ dir: join(dir, 'lsm') });
  await db.put('greeting', 'hello');
  // Writes the table in a worker thread, as the database does by itself once a memtable is full.
  await db.flush();
  console.log('lsm', new TextDecoder().decode(db.getSync('greeting')), 'flushes', db.stats().flushes);
  await db.close();

  // The same store with the interface of classic-level.
  const level = new NoriLevel(join(dir, 'level'), { valueEncoding: 'json' });
  await level.sublevel('users', { valueEncoding: 'json' }).put('42', { name: 'alice' });
  console.log('level', await level.sublevel('users', { valueEncoding: 'json' }).get('42'));
  await level.close();
}

main();
