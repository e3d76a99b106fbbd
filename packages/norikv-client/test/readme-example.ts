import { NoriClient, type NoriError } from 'norikv-client';

const db = await NoriClient.connect({ endpoints: [process.env.NORIKV_ENDPOINT ?? '127.0.0.1:7447'] });
const { version } = await db.put('user:42', 'alice', { ttlMs: 60_000 });
const found = await db.get('user:42');
console.log(new TextDecoder().decode(found?.value), found?.version);

// Change it only if no one else has.
await db.put('user:42', 'bob', { ifVersion: version }).catch((error: NoriError) => {
  if (error.code !== 'VERSION_MISMATCH') throw error;
});
for await (const { key, value } of db.scan({ prefix: 'user:' })) console.log(key, value);
await db.close();
