import { MemoryFileSystem } from 'nori-io/memory';
import { expect, test } from 'vitest';
import { Lsm } from '../src/index.js';
test('smoke', async () => {
  const fs = new MemoryFileSystem();
  const open = (f = fs) => Lsm.open({ dir: '/db', fs: f, memtableBytes: 16384, tableBytes: 8192, levelBytesBase: 32768, l0Trigger: 3, l0Stop: 5 });
  let db = await open();
  await db.put('a', '1');
  expect(new TextDecoder().decode(db.getSync('a'))).toBe('1');
  const ps = [];
  for (let i = 0; i < 5000; i++) ps.push(db.put(`k${(i * 7919) % 5000}`, `v${i}`));
  await Promise.all(ps);
  for (let i = 0; i < 2500; i++) await db.delete(`k${i}`);
  let n = 0;
  for await (const [k] of db.scan()) { n++; void k; }
  expect(n).toBe(2501);
  await db.close();
  db = await open();
  n = 0;
  for (const _ of db.scanSync({ reverse: true })) n++;
  expect(n).toBe(2501);
  await db.compact();
  console.log(JSON.stringify(db.stats()));
  n = 0;
  for (const _ of db.scanSync({ reverse: true })) n++;
  expect(n).toBe(2501);
  console.log(await db.verify(), await fs.readdir('/db'));
  await db.close();
  db = await open(fs.kill());
  for (let i = 0; i < 5000; i++) { const g = db.getSync(`k${i}`); expect(g === undefined).toBe(i < 2500); }
  await db.close();
});
