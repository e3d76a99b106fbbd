// The wires between machines, and from clients to machines. As with TCP, what goes from one node to another on one lane arrives in order
// or, when the connection breaks, not at all; the sender hears of it later, or never. Of a connection that broke, what was on
// its way may still arrive, behind the first frames of the next one.
//
// Who may talk to whom is decided as in the real transport, by the logs that nodes have shown each other.
import { CALM_LINK, type Link, type LinkQuality, SimulatedNetwork } from 'nori-testkit';
import type { Lane, NodeId, PeerReceiver, PeerTransport } from '../../src/index.js';
import { decodeFrame } from '../../src/multi/frame-codec.js';
import { resolveTcpOptions } from '../../src/tcp/options.js';
import { TransportContext } from '../../src/tcp/transport-context.js';
import type { HostProcess } from './host-process.js';
import type { MultiSimulation } from './simulation.js';

/** A lane of a node, and its port for clients, have addresses of their own. */
const BULK = 100;
const PORT = 200;
export const CLIENT = 1000;

interface Parcel {
  arrive(): void;
}

/** From one process to another, on one lane. */
interface Connection {
  readonly fromEpoch: number;
  readonly toEpoch: number;
  broken: boolean;
}

export class Wires {
  readonly network: SimulatedNetwork<Parcel>;
  readonly #sim: MultiSimulation;
  readonly #connections = new Map<string, Connection>();

  constructor(sim: MultiSimulation) {
    this.#sim = sim;
    const rng = sim.rng.fork();
    this.network = new SimulatedNetwork({
      random: () => rng.next(),
      schedule: (delayMs, { to, message }) =>
        sim.schedule(delayMs, to >= CLIENT ? 0 : to % BULK, () => message.arrive()),
      quality: sim.config.network,
    });
  }

  /** Cuts links between machines, on one lane or on all. @returns how to end it */
  cut(links: readonly Link[], lanes: readonly Lane[] = ['control', 'bulk']): () => void {
    const all = lanes.flatMap((lane) => links.map(([from, to]): Link => [address(from, lane), address(to, lane)]));
    this.network.cut(all);
    return () => this.network.mend(all);
  }

  /** Cuts a machine off from clients. @returns how to end it */
  cutClients(machine: number, clients: readonly number[]): () => void {
    const links = clients.flatMap((id): Link[] => [
      [id + CLIENT, machine + PORT],
      [machine + PORT, id + CLIENT],
    ]);
    this.network.cut(links);
    return () => this.network.mend(links);
  }

  heal(quality: LinkQuality = CALM_LINK): void {
    this.network.heal(quality);
  }

  toMachine(client: number, machine: number, arrive: () => void): void {
    this.network.send(this.#sim.nowMs, client + CLIENT, machine + PORT, { arrive });
  }

  toClient(machine: number, client: number, arrive: () => void): void {
    this.network.send(this.#sim.nowMs, machine + PORT, client + CLIENT, { arrive });
  }

  /** Sends a frame from a process. */
  send(from: SimTransport, to: NodeId, lane: Lane, frame: Uint8Array): boolean {
    const sim = this.#sim;
    const sender = from.process.machine;
    const receiver = sim.machineOf(to);
    const target = receiver.process?.transport;
    const connection = target === undefined ? undefined : this.#connection(from, target, lane);
    if (connection === undefined) {
      this.#tellLater(from, to);
      return false;
    }
    sim.stats.frames++;
    const parcel: Parcel = {
      arrive: () => {
        if (connection.toEpoch !== receiver.epoch || (connection.broken && sim.rng.chance(0.8))) return;
        receiver.run(() => receiver.process?.transport?.deliver(from, lane, frame));
      },
    };
    const copies = this.network.send(sim.nowMs, address(sender.number, lane), address(receiver.number, lane), parcel);
    if (copies === 0) {
      sim.stats.framesLost++;
      connection.broken = true;
      this.#tellLater(from, to);
    }
    return true;
  }

  /** The connection that is open, or a new one; undefined if one of the two does not want to. */
  #connection(from: SimTransport, to: SimTransport, lane: Lane): Connection | undefined {
    const [sender, receiver] = [from.process.machine, to.process.machine];
    const key = `${sender.number} ${receiver.number} ${lane}`;
    const open = this.#connections.get(key);
    if (open !== undefined && !open.broken && open.fromEpoch === sender.epoch && open.toEpoch === receiver.epoch) {
      return open;
    }
    if (!to.context.accepts(sender.name, from.incarnation) || !from.context.accepts(receiver.name, to.incarnation)) {
      this.#sim.stats.refusals++;
      return undefined;
    }
    to.context.remember(sender.name, from.incarnation);
    from.context.remember(receiver.name, to.incarnation);
    sender.incarnations.set(receiver.name, to.incarnation);
    receiver.incarnations.set(sender.name, from.incarnation);
    const connection = { fromEpoch: sender.epoch, toEpoch: receiver.epoch, broken: false };
    this.#connections.set(key, connection);
    return connection;
  }

  /** The sender may find out that a connection is broken. */
  #tellLater(from: SimTransport, to: NodeId): void {
    const { rng } = this.#sim;
    if (rng.chance(0.2)) return;
    from.process.machine.after(rng.next() * rng.pick([1, 20, 500]), () => from.receiver?.onUnreachable(to));
  }
}

/** A process's end of the wires. */
export class SimTransport implements PeerTransport {
  readonly nodeId: NodeId;
  readonly context: TransportContext;
  receiver: PeerReceiver | undefined;

  constructor(
    readonly process: HostProcess,
    readonly incarnation: string,
  ) {
    const { machine, clock, random } = process;
    this.nodeId = machine.name;
    // What the application remembers durably goes before what the transport remembers.
    const acceptIncarnation = (peer: NodeId, shown: string, known: string | undefined) => {
      const agreed = machine.incarnations.get(peer) ?? known;
      return agreed === undefined || agreed === shown;
    };
    const identity = { nodeId: machine.name, clusterId: 'sim', incarnation, listen: '127.0.0.1:0' };
    this.context = new TransportContext(resolveTcpOptions({ ...identity, clock, random, acceptIncarnation }));
  }

  async start(receiver: PeerReceiver): Promise<void> {
    this.receiver = receiver;
  }

  send(to: NodeId, lane: Lane, frame: Uint8Array): boolean {
    if (!this.process.alive || this.receiver === undefined) return false;
    this.#look(frame, true);
    return this.process.machine.sim.wires.send(this, to, lane, frame);
  }

  deliver(from: SimTransport, lane: Lane, frame: Uint8Array): void {
    if (from.process.lost.size > 0) from.#look(frame, false);
    this.#hear(frame);
    this.receiver?.onFrame(from.nodeId, lane, frame);
  }

  queuedBytes(): number {
    return 0;
  }

  async close(): Promise<void> {
    this.receiver = undefined;
  }

  /** Heartbeats of replicas at rest do not come to their cores. */
  #hear(frame: Uint8Array): void {
    const { machine } = this.process;
    decodeFrame(frame, {
      message: (groupId, message) => {
        const replica = machine.sim.groups.get(groupId)?.replicas.get(message.to);
        const core = replica?.driver?.core;
        if (message.type !== 'heartbeat' || replica?.machine !== machine || core === undefined) return;
        if (core.term !== message.term || core.leader !== message.from) return;
        replica.group.promises.onHeard(replica, message, replica.ownMs);
      },
      snapshotChunk: () => undefined,
      snapshotAck: () => undefined,
    });
  }

  /** Messages must not promise more than the disk does. Of a node that has lost its disk, those count that arrive. */
  #look(frame: Uint8Array, isSent: boolean): void {
    const { sim } = this.process.machine;
    decodeFrame(frame, {
      message: (groupId, message) => {
        const replica = sim.groups.get(groupId)?.replicas.get(message.from);
        if (replica === undefined) return;
        if (isSent) {
          replica.check((invariants) => {
            invariants.onSend(replica, message);
            replica.group.promises.onSend(replica, message);
          });
        } else if (this.process.lost.has(replica) && message.type === 'vote-response' && !message.reject) {
          sim.fail('lost-node-votes', `Node ${this.nodeId} votes, and does not know for whom it has voted.`);
        }
      },
      snapshotChunk: () => undefined,
      snapshotAck: () => undefined,
    });
  }
}

function address(machine: number, lane: Lane): number {
  return machine + (lane === 'bulk' ? BULK : 0);
}
