// Nodes of one cluster as processes of their own, and the ways between them, all of which can be disturbed.
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FaultLink, FaultProxy } from 'nori-testkit';
import { NoriClient, type NoriClientOptions } from 'norikv-client';
import { dialledBy } from './handshake.js';
import { type Exit, type FaultCommand, ServerProcess } from './server-process.js';

export interface ServerClusterOptions {
  readonly nodes: number;
  /** Further arguments of all nodes. */
  readonly args?: readonly string[];
  /** How fast the clocks of the nodes run, by position; default: all at the same rate. */
  readonly clockRates?: readonly number[];
  /** A mistake of `child/bugs.mjs` that all nodes make. */
  readonly bug?: string;
  /** Clients reach nodes through proxies, too: see {@link ServerCluster.clientLink}. */
  readonly clientProxies?: boolean;
}

/** A node as the view of the cluster shows it. */
export interface View {
  readonly epoch: number;
  readonly nodes: readonly { readonly nodeId: string; readonly state: string }[];
  readonly stores: readonly { readonly nodeId: string; readonly address: string }[];
  /** Positions in `stores` from 1; 0: unknown. */
  readonly shardLeaders: readonly number[];
}

interface Ports {
  readonly rpc: number;
  readonly peer: number;
  readonly gossip: number;
  readonly http: number;
}

const HOST = '127.0.0.1';
/** Longer than a cluster takes to form, on a machine that is busy or stands still for a while. */
const START_MS = 100_000;

/** Whether a port is free for UDP and TCP alike. */
const isFree = async (port: number): Promise<boolean> => {
  const server = createServer();
  const tcp = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, HOST, () => resolve(true));
  });
  if (!tcp) return false;
  const udp = createSocket('udp4');
  const free = await new Promise<boolean>((resolve) => {
    udp.once('error', () => resolve(false));
    udp.bind(port, HOST, () => resolve(true));
  });
  if (free) await new Promise<void>((resolve) => udp.close(() => resolve()));
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return free;
};

/**
 * Ports below those that the system hands out by itself: a node that is away finds its own free when it comes back. Test files that run side by
 * side choose from ranges of their own, and none is given twice: between a look at it and the node's start nobody else takes it.
 */
const RANGES = 16;
const RANGE_PORTS = 500;
const FIRST_PORT = 12_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % RANGES) * RANGE_PORTS;
const given = new Set<number>();

const freePort = async (): Promise<number> => {
  // Those of clusters of long ago are free again.
  if (given.size > RANGE_PORTS / 2) given.clear();
  for (;;) {
    const port = randomInt(FIRST_PORT, FIRST_PORT + RANGE_PORTS);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
};

export class ServerCluster {
  /** From 1. */
  readonly numbers: readonly number[];
  readonly dir: string;
  /** Rejects when a process ends that should not. */
  readonly broken: Promise<never>;
  /** How often each node was started, by number. */
  readonly lives: number[] = [];
  readonly #options: ServerClusterOptions;
  readonly #ports: Ports[] = [];
  readonly #proxies: FaultProxy[] = [];
  readonly #clientProxies: FaultProxy[] = [];
  readonly #nodes = new Map<number, ServerProcess>();
  readonly #dismissed = new Set<ServerProcess>();
  readonly #clients: NoriClient[] = [];
  readonly #blocked = new Map<number, Set<number>>();
  #closed = false;
  #tellBroken!: (error: Error) => void;

  private constructor(options: ServerClusterOptions, dir: string) {
    this.#options = options;
    this.numbers = Array.from({ length: options.nodes }, (_, i) => i + 1);
    this.dir = dir;
    this.broken = new Promise((_, reject) => {
      this.#tellBroken = reject;
    });
    this.broken.catch(() => {});
  }

  static async start(options: ServerClusterOptions): Promise<ServerCluster> {
    const cluster = new ServerCluster(options, await mkdtemp(join(tmpdir(), 'norikv-cluster-')));
    try {
      for (const number of cluster.numbers) {
        cluster.#ports[number] = {
          rpc: await freePort(),
          peer: await freePort(),
          gossip: await freePort(),
          http: await freePort(),
        };
        cluster.#proxies[number] = await FaultProxy.open({ senderOf: dialledBy });
        cluster.#proxies[number].target = `${HOST}:${cluster.#ports[number].peer}`;
        if (options.clientProxies !== true) continue;
        cluster.#clientProxies[number] = await FaultProxy.open();
        cluster.#clientProxies[number].target = `${HOST}:${cluster.#ports[number].rpc}`;
      }
      await cluster.#startAll();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  async #startAll(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`No cluster after ${START_MS} ms.\n${this.logs()}`)), START_MS);
    });
    try {
      await Promise.race([Promise.all(this.numbers.map((number) => this.startNode(number))), this.broken, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #arguments(number: number): string[] {
    const { rpc, peer, gossip, http } = this.#ports[number]!;
    const all = this.numbers.map((each) => `${HOST}:${this.#ports[each]!.gossip}`);
    return [
      ...['--node-id', `n${number}`, '--data-dir', join(this.dir, `n${number}`), '--log-format', 'json'],
      ...['--rpc-addr', `${HOST}:${rpc}`, '--http-addr', `${HOST}:${http}`, '--gossip-addr', `${HOST}:${gossip}`],
      ...['--peer-addr', `${HOST}:${peer}`, '--peer-advertise', this.#proxies[number]!.address],
      ...['--rpc-advertise', this.rpc(number)],
      ...['--join', all.join(','), '--expect', String(all.length)],
      ...(this.#options.args ?? []),
    ];
  }

  /** Starts a node's process without waiting until it serves. */
  launch(number: number): ServerProcess {
    const { clockRates = [], bug } = this.#options;
    const rate = clockRates[number - 1];
    const node = new ServerProcess({
      args: this.#arguments(number),
      ...(rate === undefined ? {} : { clock: { rate } }),
      ...(bug === undefined ? {} : { bug }),
    });
    this.#nodes.set(number, node);
    this.lives[number] = (this.lives[number] ?? 0) + 1;
    const blocked = this.#blocked.get(number);
    if (blocked !== undefined) void node.tell({ block: [...blocked] });
    void node.exited.then((exit) => {
      if (this.#nodes.get(number) === node) this.#nodes.delete(number);
      // Who makes mistakes may well find out.
      if (this.#closed || this.#dismissed.has(node) || bug !== undefined) return;
      this.#tellBroken(new Error(`Node ${number} ended by itself: ${textOf(exit)}`));
    });
    return node;
  }

  /** Resolves when the node serves. */
  async startNode(number: number): Promise<void> {
    const node = this.launch(number);
    await Promise.race([node.ready, this.broken, node.exited]);
  }

  node(number: number): ServerProcess | undefined {
    return this.#nodes.get(number);
  }

  /** SIGKILL. */
  async kill(number: number): Promise<void> {
    const node = this.#nodes.get(number);
    if (node === undefined) return;
    this.#dismissed.add(node);
    await node.kill();
  }

  /** From now on the node may end by itself. */
  dismiss(number: number): ServerProcess | undefined {
    const node = this.#nodes.get(number);
    if (node !== undefined) this.#dismissed.add(node);
    return node;
  }

  tell(number: number, command: FaultCommand): Promise<boolean> {
    return this.#nodes.get(number)?.tell(command) ?? Promise.resolve(false);
  }

  /** What `from` sends to `to` goes this way. */
  link(from: number, to: number): FaultLink {
    return this.#proxies[to]!.link(`n${from}`);
  }

  others(number: number): number[] {
    return this.numbers.filter((other) => other !== number);
  }

  /** All that a node sends to its peers and gets from them goes these ways. */
  linksOf(number: number): FaultLink[] {
    return this.others(number).flatMap((other) => [this.link(number, other), this.link(other, number)]);
  }

  /** Gossip between a node and all others gets lost, or not any more. */
  async cutGossip(number: number, isCut: boolean): Promise<void> {
    for (const other of this.others(number)) {
      for (const [from, to] of [
        [number, other],
        [other, number],
      ] as const) {
        const ports = this.#blocked.get(from) ?? new Set<number>();
        this.#blocked.set(from, ports);
        if (isCut) ports.add(this.#ports[to]!.gossip);
        else ports.delete(this.#ports[to]!.gossip);
      }
    }
    await Promise.all(this.numbers.map((each) => this.tell(each, { block: [...(this.#blocked.get(each) ?? [])] })));
  }

  /** Everything as it should be: ways open, all nodes run, disks fine. Resolves when all serve. */
  async heal(): Promise<void> {
    this.#blocked.clear();
    for (const from of this.numbers) for (const to of this.others(from)) this.link(from, to).heal();
    for (const proxy of this.#clientProxies) proxy?.link().heal();
    await Promise.all(
      this.numbers.map(async (number) => {
        const node = this.#nodes.get(number);
        if (node === undefined) return this.startNode(number);
        node.signal('SIGCONT');
        await node.tell({ disk: 'fine', block: [] });
        await Promise.race([node.ready, this.broken]);
      }),
    );
  }

  rpc(number: number): string {
    return this.#clientProxies[number]?.address ?? `${HOST}:${this.#ports[number]!.rpc}`;
  }

  /** What clients send to a node, and its answers, go this way. Only with `clientProxies`. */
  clientLink(number: number): FaultLink {
    return this.#clientProxies[number]!.link();
  }

  http(number: number): string {
    return `http://${HOST}:${this.#ports[number]!.http}`;
  }

  /** A client of the cluster; ends with it. */
  async client(options: Partial<NoriClientOptions> = {}): Promise<NoriClient> {
    const client = await NoriClient.connect({ endpoints: this.numbers.map((number) => this.rpc(number)), ...options });
    this.#clients.push(client);
    return client;
  }

  async view(number: number): Promise<View> {
    return (await (await fetch(`${this.http(number)}/meta/cluster`)).json()) as View;
  }

  /** A metric of a node, by its name with its labels as /metrics has them. */
  async metric(number: number, series: string): Promise<number> {
    const text = await (await fetch(`${this.http(number)}/metrics`)).text();
    const line = text.split('\n').find((each) => each.startsWith(`${series} `));
    if (line === undefined) throw new Error(`n${number} has no metric ${series}`);
    return Number(line.slice(series.length));
  }

  /** What all nodes have logged of late, for people. */
  logs(): string {
    return this.numbers.map((number) => `--- n${number}\n${this.#nodes.get(number)?.log ?? 'is not there'}`).join('\n');
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all([...this.#nodes.values()].map((node) => node.kill()));
    await Promise.all([...this.#proxies, ...this.#clientProxies].map((proxy) => proxy?.close()));
    await rm(this.dir, { recursive: true, force: true });
  }
}

export const textOf = ({ code, signal, log }: Exit): string => `${signal ?? `code ${code}`}\n${log}`;
