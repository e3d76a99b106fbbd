// The clients that a program in Node has, behind the same methods. Gets resolve to undefined or null if there is no such key. Each gets
// its keys in the form that it takes best.
import { Etcd3 } from 'etcd3';
import { Redis } from 'ioredis';
import { NoriClient } from 'norikv-client';

const first = async (entries) => {
  for await (const entry of entries) return entry;
};

const connectNori = async ({ endpoints }) => {
  const client = await NoriClient.connect({ endpoints });
  return {
    keyForm: (text) => new TextEncoder().encode(text),
    put: (key, value) => client.put(key, value),
    get: (key) => client.get(key),
    'get-linearizable': (key) => client.get(key, { consistency: 'linearizable' }),
    'get-stale': (key) => client.get(key, { consistency: 'stale_ok' }),
    scan: (key) => first(client.scan({ gte: key, limit: 1 })),
    close: () => client.close(),
  };
};

const connectEtcd3 = async ({ endpoints }) => {
  const client = new Etcd3({ hosts: endpoints.map((endpoint) => `http://${endpoint}`) });
  return {
    keyForm: String,
    put: (key, value) => client.put(key).value(value).exec(),
    get: (key) => client.get(key).buffer(),
    'get-linearizable': (key) => client.get(key).buffer(),
    'get-stale': (key) => client.get(key).serializable(true).buffer(),
    close: () => client.close(),
  };
};

const connectRedis = async ({ endpoints }) => {
  const [host, port] = endpoints[0].split(':');
  const client = new Redis({ host, port: Number(port), enableAutoPipelining: true });
  await client.ping();
  return {
    keyForm: String,
    put: (key, value) => client.set(key, value),
    get: (key) => client.getBuffer(key),
    close: () => client.disconnect(),
  };
};

export const DRIVERS = { nori: connectNori, etcd3: connectEtcd3, redis: connectRedis };
