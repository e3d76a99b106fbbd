// What an idle cluster costs, and how fast news travels.
import type { ProtocolOptions } from '../protocol-options.js';
import type { NetworkQuality } from './network.js';
import { percentile } from './percentile.js';
import { Simulation } from './simulation.js';

/** What to measure. */
export interface LoadOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly seconds: number;
  readonly protocol?: Partial<ProtocolOptions>;
  readonly network?: Partial<NetworkQuality>;
}

/** Sent by one node in one second, on average. */
export interface Load {
  readonly nodes: number;
  readonly datagrams: number;
  /** Encrypted, without the headers of UDP and IP. */
  readonly bytes: number;
  /** Requests over TCP. */
  readonly streams: number;
}

/** Lets a healthy cluster idle. */
export function measureLoad({ nodes, seed, seconds, protocol, network }: LoadOptions): Load {
  const sim = new Simulation({ seed, nodes, ...(protocol && { protocol }), ...(network && { network }) });
  sim.run(2 * sim.protocol.probeIntervalMs);
  const before = { ...sim.stats };
  sim.run(seconds * 1_000);
  const each = (name: 'datagrams' | 'bytes' | 'streams') => (sim.stats[name] - before[name]) / nodes / seconds;
  return { nodes, datagrams: each('datagrams'), bytes: each('bytes'), streams: each('streams') };
}

/** Times until all nodes had heard of something, in milliseconds. */
export interface Spread {
  readonly nodes: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Most transmissions of one rumour by one node. */
  readonly retransmissionsMax: number;
  /** Runs in which gossip alone did not reach everybody within ten seconds (views are exchanged later). */
  readonly incomplete: number;
}

/** Has one node change its metadata, `runs` times, and measures until all others know. */
export function measureSpread(options: Omit<LoadOptions, 'seconds'> & { readonly runs: number }): Spread {
  const { nodes, seed, runs, protocol, network } = options;
  const times: number[] = [];
  let retransmissionsMax = 0;
  let incomplete = 0;
  for (let run = 0; run < runs; run++) {
    let heard = 0;
    const sent = new Map<number, number>();
    const sim: Simulation = new Simulation({
      seed: seed + run,
      nodes,
      ...(protocol && { protocol }),
      ...(network && { network }),
      onEvent: (_node, event) => {
        if (event.type === 'update') heard++;
      },
      onStep: (node, actions) => {
        for (const action of actions) {
          if (action.type !== 'send' || !action.messages.some(({ type }) => type === 'alive')) continue;
          sent.set(node, (sent.get(node) ?? 0) + 1);
        }
      },
    });
    sim.run(sim.protocol.probeIntervalMs * (1 + sim.random()));
    const startedMs = sim.nowMs;
    sim.input(0, { type: 'metadata', metadata: Uint8Array.of(1) });
    if (sim.runUntil(() => heard === nodes - 1, 10_000)) times.push(sim.nowMs - startedMs);
    else incomplete++;
    sim.run(5_000);
    for (const count of sent.values()) retransmissionsMax = Math.max(retransmissionsMax, count);
  }
  const [p50, p99, max] = [0.5, 0.99, 1].map((p) => percentile(times, p)) as [number, number, number];
  return { nodes, p50, p99, max, retransmissionsMax, incomplete };
}
