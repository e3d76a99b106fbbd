import { Lsm } from 'nori-lsm';

export async function rangesExample(dir: string): Promise<string[]> {
  const db = await Lsm.open({ dir: `${dir}/a` });
  const sessions = await db.openKeyspace('sessions', { compression: 'lz4', ttlMs: 3_600_000 });
  // One batch, two keyspaces: both or none.
  await db.batch([
    { type: 'put', key: 'user:42', value: 'alice' },
    { type: 'put', key: 'user:43', value: 'bob' },
    { type: 'put', keyspace: sessions, key: 'token:7', value: 'user:42' },
  ]);
  // All users from 43 on, whether there are two or two million.
  await db.deleteRange({ gte: 'user:43', prefix: 'user:' });

  // A range of keys moves to another database as tables, and takes the place of what was there.
  const { tables } = await db.exportTables(`${dir}/tables`, { prefix: 'user:' });
  const other = await Lsm.open({ dir: `${dir}/b` });
  const paths = tables.map(({ path }) => path);
  await other.ingest(paths, { replace: { prefix: 'user:' } });
  const found = Array.from(other.scanSync(), ([key]) => new TextDecoder().decode(key));
  await Promise.all([db.close(), other.close()]);
  return found;
}
