// norikv cluster: several nodes on this machine, each a process of its own, for trying things out. They form a cluster the first time
// and find each other again later; their data stays.
//
//   starting ──all ready──▶ serving ──Ctrl-C──▶ stopping ──▶ exit 0
//                              │
//                              └── a node ends by itself: said so, the others go on
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { parseInteger } from './arguments.js';
import { CommandFailure } from './failure.js';
import { surviveBrokenPipe, writeOut } from './output.js';
import { StopSignal } from './stop-signal.js';

const NODES_MAX = 9;
/** Ports of neighbours are so far apart. */
const PORT_STEP = 10;
/** Offsets of a node's ports from its first one. */
const PORTS = { rpc: 0, peer: 1, gossip: 2, http: 3 } as const;
const PORT_MAX = 65_535 - NODES_MAX * PORT_STEP;

interface ClusterFlags {
  readonly nodes: string;
  readonly dataDir: string;
  readonly basePort: string;
}

/** A node of the cluster while it runs. */
interface Member {
  readonly id: string;
  readonly process: ChildProcess;
  /** Resolves with the line that says it is ready, or with undefined when it has ended before. */
  readonly ready: Promise<string | undefined>;
  readonly ended: Promise<number | null>;
  /** The last lines of its log. */
  readonly lastWords: () => string;
}

export const clusterCommand = (): Command =>
  new Command('cluster')
    .description('run a cluster of local nodes until SIGTERM or SIGINT; the data stays for the next time')
    .addOption(new Option('--nodes <N>', 'how many nodes; the same each time').default('3'))
    .addOption(new Option('--data-dir <DIR>', 'a directory for each node is made in it').default('./norikv-cluster'))
    .addOption(
      new Option('--base-port <PORT>', 'client port of the first node; others follow in steps of ten').default('7447'),
    )
    .action(async (flags: ClusterFlags) => {
      const nodes = parseInteger('--nodes', flags.nodes, 1, NODES_MAX);
      const basePort = parseInteger('--base-port', flags.basePort, 1, PORT_MAX);
      surviveBrokenPipe();
      await runCluster(nodes, basePort, flags.dataDir);
    });

const runCluster = async (nodes: number, basePort: number, dataDir: string): Promise<void> => {
  const stop = new StopSignal();
  const members = Array.from({ length: nodes }, (_, i) => startMember(i, nodes, basePort, dataDir));
  let isStopping = false;
  const stopAll = async (): Promise<void> => {
    isStopping = true;
    for (const { process: child } of members) child.kill('SIGTERM');
    await Promise.all(members.map(({ ended }) => ended));
  };
  const ready = Promise.all(
    members.map(async (member) => {
      const line = await member.ready;
      if (line === undefined && !isStopping) {
        throw new CommandFailure('NODE_FAILED', `Node ${member.id} did not start: ${member.lastWords()}`);
      }
      return line;
    }),
  );
  try {
    const lines = await Promise.race([ready, stop.received]);
    if (typeof lines !== 'string') {
      await writeOut(lines.map((line) => `${line ?? ''}\n`).join(''));
      const endpoints = members.map((_, i) => `127.0.0.1:${basePort + i * PORT_STEP}`).join(',');
      await writeOut(`norikv cluster ready: --endpoints ${endpoints}; Ctrl-C stops all nodes\n`);
      for (const member of members) void tellEnd(member, () => isStopping);
      await stop.received;
    }
  } finally {
    await stopAll();
  }
};

const tellEnd = async (member: Member, isStopping: () => boolean): Promise<void> => {
  await member.ended;
  if (!isStopping()) process.stderr.write(`norikv: node ${member.id} has ended; the others go on\n`);
};

const startMember = (at: number, nodes: number, basePort: number, dataDir: string): Member => {
  const address = (node: number, port: keyof typeof PORTS): string =>
    `127.0.0.1:${basePort + node * PORT_STEP + PORTS[port]}`;
  const id = `n${at + 1}`;
  const seeds = Array.from({ length: nodes }, (_, node) => address(node, 'gossip')).join(',');
  const args = [
    ...['start', '--node-id', id, '--data-dir', join(dataDir, id)],
    ...['--rpc-addr', address(at, 'rpc'), '--peer-addr', address(at, 'peer')],
    ...['--gossip-addr', address(at, 'gossip'), '--http-addr', address(at, 'http')],
    ...['--join', seeds, '--expect', String(nodes), '--log-level', process.env.NORIKV_LOG_LEVEL ?? 'warn'],
  ];
  // In a group of its own: a Ctrl-C at the terminal comes from here, once. The channel tells it when this process is gone.
  const child = spawn(process.execPath, [process.argv[1]!, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
    env: environment(),
  });
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-2_000);
    for (const line of chunk.toString().split('\n')) if (line !== '') process.stderr.write(`${id}: ${line}\n`);
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => resolve(code));
    child.once('error', () => resolve(null));
  });
  return { id, process: child, ready: firstLine(child, ended), ended, lastWords: () => log.trim().split('\n').at(-1)! };
};

/** Settings of this process' environment are meant for one node, and would make all alike. */
const environment = (): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('NORIKV_')));

const firstLine = (child: ChildProcess, ended: Promise<unknown>): Promise<string | undefined> =>
  new Promise((resolve) => {
    let text = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
    });
    void ended.then(() => resolve(undefined));
  });
