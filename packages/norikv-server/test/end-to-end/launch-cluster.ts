// Starts nodes of one cluster as processes of their own, on loopback and free ports.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type LaunchedNode, launchNode } from './launch.js';

/** A port that is free for UDP and TCP alike. */
export const freeGossipAddress = async (host = '127.0.0.1'): Promise<string> => {
  for (;;) {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const { port } = server.address() as { port: number };
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const isFree = await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(false));
      socket.bind(port, host, () => resolve(true));
    });
    await new Promise<void>((resolve) => server.close(() => resolve()));
    if (isFree) await new Promise<void>((resolve) => socket.close(() => resolve()));
    if (isFree) return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  }
};

export interface ClusterPlan {
  /** By position: node n1 is the first. */
  readonly gossip: readonly string[];
  readonly dir: string;
}

export const planCluster = async (dir: string, nodes: number): Promise<ClusterPlan> => ({
  dir,
  gossip: await Promise.all(Array.from({ length: nodes }, () => freeGossipAddress())),
});

/** Arguments of node `number` (from 1), which is to form the cluster with the others of the plan. */
export const clusterArguments = ({ gossip }: ClusterPlan, number: number): string[] => [
  ...['--node-id', `n${number}`, '--gossip-addr', gossip[number - 1]!, '--peer-addr', '127.0.0.1:0'],
  ...['--join', gossip.join(','), '--expect', String(gossip.length)],
];

export const launchMember = (plan: ClusterPlan, number: number): Promise<LaunchedNode> =>
  launchNode(join(plan.dir, `n${number}`), clusterArguments(plan, number));
