// Three node processes, and the links between them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FaultLink, FaultProxy } from 'nori-testkit';
import { buildNodeScript, type Exit, NodeProcess } from './node-process.js';
import { EXIT_STORAGE_FAILED, type NodeOptions, type NodeState } from './protocol.js';

export const NUMBERS = [1, 2, 3] as const;

export interface ClusterOptions {
  readonly groups?: number;
  readonly heartbeatMs?: number;
  readonly electionTimeoutMs?: number;
  /** By number; default: all run at the same rate. */
  readonly clockRates?: readonly number[];
  readonly bug?: NodeOptions['bug'];
}

export class ProcessCluster {
  readonly groups: number;
  readonly dir: string;
  readonly electionTimeoutMs: number;
  readonly #options: ClusterOptions;
  readonly #script: Awaited<ReturnType<typeof buildNodeScript>>;
  readonly #nodes = new Map<number, NodeProcess>();
  /** Nodes dial their own connections for what they send, so each pair of nodes has two ways, one a direction. */
  readonly #ways = new Map<string, FaultProxy>();
  /** Processes whose end was asked for. */
  readonly #dismissed = new Set<NodeProcess>();
  #closed = false;
  #tellBroken!: (error: Error) => void;
  /** Rejects when a process ends that should not. */
  readonly broken: Promise<never>;

  private constructor(options: ClusterOptions, dir: string, script: Awaited<ReturnType<typeof buildNodeScript>>) {
    this.#options = options;
    this.groups = options.groups ?? 4;
    this.electionTimeoutMs = options.electionTimeoutMs ?? 400;
    this.dir = dir;
    this.#script = script;
    this.broken = new Promise((_, reject) => {
      this.#tellBroken = reject;
    });
    this.broken.catch(() => {});
  }

  static async start(options: ClusterOptions = {}): Promise<ProcessCluster> {
    const dir = await mkdtemp(join(tmpdir(), 'nori-raft-processes-'));
    const cluster = new ProcessCluster(options, dir, await buildNodeScript());
    try {
      for (const from of NUMBERS) {
        for (const to of NUMBERS) if (from !== to) cluster.#ways.set(`${from}${to}`, await FaultProxy.open());
      }
      await Promise.all(NUMBERS.map((number) => cluster.startNode(number)));
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  optionsOf(number: number): NodeOptions {
    const { heartbeatMs = 60, clockRates = [], bug } = this.#options;
    const others = NUMBERS.filter((other) => other !== number);
    return {
      number,
      dir: join(this.dir, `n${number}`),
      clusterId: 'processes',
      peers: Object.fromEntries(others.map((other) => [`n${other}`, this.#way(number, other).address])),
      config: { voters: [...NUMBERS], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
      groups: this.groups,
      heartbeatMs,
      electionTimeoutMs: this.electionTimeoutMs,
      clockRate: clockRates[number - 1] ?? 1,
      ...(bug === undefined ? {} : { bug }),
    };
  }

  /** Starts a process with other options than its own, that is expected to refuse. */
  async startStranger(options: NodeOptions): Promise<NodeProcess | Exit> {
    return NodeProcess.start(this.#script.path, options);
  }

  node(number: number): NodeProcess | undefined {
    return this.#nodes.get(number);
  }

  /** What `from` sends to `to` goes this way. */
  link(from: number, to: number): FaultLink {
    return this.#way(from, to).link();
  }

  /** What the others send to `number` arrives at `address` from now on; undefined: nobody is there. */
  leadTo(number: number, address: string | undefined): void {
    for (const other of NUMBERS) if (other !== number) this.#way(other, number).target = address;
  }

  #way(from: number, to: number): FaultProxy {
    return this.#ways.get(`${from}${to}`)!;
  }

  /** All that `number` sends and receives goes these ways. */
  linksOf(number: number): FaultLink[] {
    return NUMBERS.filter((other) => other !== number).flatMap((other) => [
      this.link(number, other),
      this.link(other, number),
    ]);
  }

  async startNode(number: number): Promise<void> {
    const node = await NodeProcess.start(this.#script.path, this.optionsOf(number));
    if (!(node instanceof NodeProcess)) throw new Error(`Node ${number} did not start: ${textOf(node)}`);
    this.#nodes.set(number, node);
    this.leadTo(number, node.address);
    void node.exited.then((exit) => {
      if (this.#nodes.get(number) === node) {
        this.#nodes.delete(number);
        this.leadTo(number, undefined);
      }
      if (!this.#closed && !this.#dismissed.has(node)) {
        this.#tellBroken(new Error(`Node ${number} ended by itself: ${textOf(exit)}`));
      }
    });
  }

  /** SIGKILL. */
  async kill(number: number): Promise<void> {
    const node = this.#nodes.get(number);
    if (node === undefined) return;
    this.#dismissed.add(node);
    await node.kill();
  }

  /** The next sync of the log fails: the process ends by itself, or else by SIGKILL when nothing is written. */
  async failDisk(number: number, timeoutMs: number): Promise<Exit> {
    const node = this.#nodes.get(number)!;
    this.#dismissed.add(node);
    await node.request({ f: 'disk', mode: 'failing' }, timeoutMs);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), timeoutMs)));
    const exit = await Promise.race([node.exited, late]);
    clearTimeout(timer);
    if (exit !== undefined && exit.code !== EXIT_STORAGE_FAILED) {
      this.#tellBroken(new Error(`Node ${number}, whose disk failed, ended otherwise: ${textOf(exit)}`));
    }
    return exit ?? node.kill();
  }

  /** Everything as it should be: links open, all nodes run, no disk stalls. */
  async heal(): Promise<void> {
    for (const way of this.#ways.values()) way.link().heal();
    for (const number of NUMBERS) {
      const node = this.#nodes.get(number);
      if (node === undefined) await this.startNode(number);
      else {
        node.signal('SIGCONT');
        await node.request({ f: 'disk', mode: 'fine' }, 10_000);
      }
    }
  }

  async state(number: number): Promise<NodeState | undefined> {
    const reply = await this.#nodes.get(number)?.request({ f: 'state' }, 10_000);
    return reply !== undefined && 'value' in reply ? reply.value : undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#nodes.values()].map((node) => node.kill()));
    await Promise.all([...this.#ways.values()].map((way) => way.close()));
    this.#script.remove();
    await rm(this.dir, { recursive: true, force: true });
  }
}

export function textOf({ code, signal, stderr }: Exit): string {
  return `${signal ?? `code ${code}`}\n${stderr}`;
}
