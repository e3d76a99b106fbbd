import { NoriLevel } from 'nori-lsm/abstract-level';

export async function levelExample(dir: string): Promise<string[]> {
  const db = new NoriLevel(dir); // opens by itself; was: new ClassicLevel(dir)
  await db.put('user:42', 'alice');
  await db.batch([
    { type: 'put', key: 'user:43', value: 'bob' },
    { type: 'del', key: 'user:41' },
  ]);
  const settings = db.sublevel<string, object>('settings', { valueEncoding: 'json' });
  await settings.put('theme', { dark: true });
  const names = await db.values({ gte: 'user:', lt: 'user;' }).all();
  await db.close();
  return names;
}
