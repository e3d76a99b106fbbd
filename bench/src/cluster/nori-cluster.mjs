// Nodes of NoriKV, each a process of its own as `norikv start` makes it.
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePorts, startProcess, until } from './servers.mjs';

const NORIKV = fileURLToPath(new URL('../../../packages/norikv-server/bin/norikv.js', import.meta.url));
/** Leaders count as spread evenly with no node so many shards ahead of another. */
const UNEVEN_MAX = 32;
const ANSWER_TIMEOUT_MS = 5000;

const readyLineOf = ({ child, name, over, lastWords }) =>
  new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (!line.startsWith('norikv ready ')) return;
      resolve(Object.fromEntries([...line.matchAll(/(\w+)=(\S+)/g)].map(([, key, value]) => [key, value])));
    });
    void over.then(() => reject(new Error(`${name} ended before it was ready: ${lastWords()}`)));
  });

const startNode = (at, gossip, dir, execArgv) => {
  const name = `n${at + 1}`;
  const any = '127.0.0.1:0';
  const peers = [
    '--peer-addr',
    any,
    '--gossip-addr',
    gossip[at],
    '--join',
    gossip.join(','),
    '--expect',
    gossip.length,
  ];
  return startProcess(name, process.execPath, [
    ...execArgv(name),
    ...[NORIKV, 'start', '--node-id', name, '--data-dir', join(dir, name), '--rpc-addr', any, '--http-addr', any],
    ...['--log-level', 'warn', ...(gossip.length > 1 ? peers.map(String) : [])],
  ]);
};

const answerOf = async (http, path) =>
  (await fetch(`${http}${path}`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })).json();

/** How many shards each store leads, by position. Leaders are counted from 1; 0 is none. */
const ledBy = ({ shardLeaders, stores }) =>
  stores.map((_, at) => shardLeaders.filter((leader) => leader === at + 1).length);

class NoriCluster {
  constructor(servers, ready) {
    this.servers = servers;
    this.endpoints = ready.map(({ rpc }) => rpc);
    this.https = ready.map(({ http }) => http);
  }

  /** Waits until all nodes are known to live and to lead alike, so that nothing moves while something is measured. */
  async settle() {
    if (this.servers.length === 1) return;
    await until('the nodes agree on leaders that are spread evenly', this.servers, async () => {
      const views = await Promise.all(this.https.map((http) => answerOf(http, '/meta/cluster')));
      return views.every((view) => {
        const led = ledBy(view);
        return (
          view.epoch === views[0].epoch &&
          view.nodes.length === this.servers.length &&
          view.nodes.every(({ state }) => state === 'alive') &&
          led.reduce((sum, n) => sum + n, 0) === view.shardCount &&
          Math.max(...led) - Math.min(...led) <= UNEVEN_MAX
        );
      });
    });
  }

  /** How many shards each node holds a replica of. */
  activeShards() {
    return Promise.all(this.https.map(async (http) => (await answerOf(http, '/health')).activeShards));
  }

  /** The process of the node that leads most shards. */
  async leader() {
    const view = await answerOf(this.https[0], '/meta/cluster');
    const led = ledBy(view);
    const { nodeId } = view.stores[led.indexOf(Math.max(...led))];
    return this.servers.find(({ name }) => name === nodeId);
  }
}

/**
 * @param servers where the processes are put as they start
 * @param execArgv for the node of a name, options for Node
 */
export const openNori = async ({ nodes, dir, servers, execArgv = () => [] }) => {
  const gossip = (await freePorts(nodes)).map((port) => `127.0.0.1:${port}`);
  for (let at = 0; at < nodes; at++) servers.push(startNode(at, gossip, dir, execArgv));
  const cluster = new NoriCluster(servers, await Promise.all(servers.map(readyLineOf)));
  await cluster.settle();
  return cluster;
};
