import { Lsm } from 'nori-lsm';

export async function example(dir: string): Promise<string[]> {
  const db = await Lsm.open({ dir });
  await db.put('user:42', 'alice'); // durable now
  await db.put('session:7', 'token', { ttlMs: 60_000 });
  await db.batch([
    { type: 'put', key: 'user:43', value: 'bob' },
    { type: 'delete', key: 'user:41' },
  ]);
  const found = [new TextDecoder().decode(await db.get('user:42'))];
  for await (const [key] of db.scan({ prefix: 'user:' })) found.push(new TextDecoder().decode(key));
  await db.close();
  return found;
}
