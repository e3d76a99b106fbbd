// The peers' servers, as Debian packages them: etcd, one or three members, and Redis. Both with every write synced.
import { join } from 'node:path';
import { freePorts, startProcess, until } from './servers.mjs';

const TOKEN = 'norikv-bench';
/** etcd refuses writes beyond 2 GiB unless told otherwise, which a minute of puts comes near. */
const QUOTA_BYTES = 8 * 2 ** 30;

const post = async (url, body) =>
  (await fetch(url, { method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(2000) })).json();

class EtcdCluster {
  constructor(servers, endpoints) {
    this.servers = servers;
    this.endpoints = endpoints;
  }

  /** Position of the member that leads; undefined if they do not agree on one. */
  async leaderAt() {
    const status = await Promise.all(
      this.endpoints.map((endpoint) => post(`http://${endpoint}/v3/maintenance/status`, {})),
    );
    const leaders = new Set(status.map(({ leader }) => leader));
    const at = status.findIndex(({ header, leader }) => header.member_id === leader);
    return leaders.size === 1 && at >= 0 ? at : undefined;
  }

  async settle() {
    await until('etcd has a leader', this.servers, async () => (await this.leaderAt()) !== undefined);
  }

  async leader() {
    return this.servers[await this.leaderAt()];
  }

  async leaderEndpoint() {
    return this.endpoints[await this.leaderAt()];
  }
}

export const openEtcd = async ({ nodes, dir, servers }) => {
  const ports = await freePorts(2 * nodes);
  const members = Array.from({ length: nodes }, (_, at) => ({
    name: `etcd-${at + 1}`,
    client: `http://127.0.0.1:${ports[2 * at]}`,
    peer: `http://127.0.0.1:${ports[2 * at + 1]}`,
  }));
  const all = members.map(({ name, peer }) => `${name}=${peer}`).join(',');
  for (const { name, client, peer } of members) {
    servers.push(
      startProcess(name, 'etcd', [
        ...['--name', name, '--data-dir', join(dir, name)],
        ...['--listen-client-urls', client, '--advertise-client-urls', client],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', all, '--initial-cluster-token', TOKEN, '--initial-cluster-state', 'new'],
        ...['--quota-backend-bytes', String(QUOTA_BYTES), '--logger', 'zap', '--log-level', 'error'],
      ]),
    );
  }
  for (const { child } of servers) child.stdout.resume();
  const cluster = new EtcdCluster(
    servers,
    members.map(({ client }) => client.slice('http://'.length)),
  );
  await cluster.settle();
  return cluster;
};

export const openRedis = async ({ dir, servers }) => {
  const [port] = await freePorts(1);
  const server = startProcess('redis', 'redis-server', [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir],
    ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
  ]);
  servers.push(server);
  let text = '';
  server.child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text = (text + chunk).slice(-10_000);
  });
  await until('Redis takes connections', servers, async () => text.includes('Ready to accept connections'));
  return { servers, endpoints: [`127.0.0.1:${port}`], settle: async () => undefined };
};
