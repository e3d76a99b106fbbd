// What has to be done for the meta group, looked after at intervals and after changes. At its leader: the cluster is made of those who
// founded it, every node gets a replica, and so many of them vote as there are to be. At every node: it is registered as it is.
import type { Clock, TimerHandle } from 'nori-io';
import type { NodeDescription } from '../domain/meta-command.js';
import type { MetaResult, MetaState } from '../domain/meta-state.js';
import { PROTOCOL_VERSION } from '../domain/node-card.js';
import { asNodeError, type NodeError } from '../domain/node-error.js';
import { REPLICATION_FACTOR, SHARD_COUNT } from '../domain/placement.js';
import type { GroupControl } from '../ports/group-control.js';
import type { Logger } from '../ports/logger.js';
import type { ClusterDirectory } from './cluster-directory.js';
import type { MetaClient } from './meta-client.js';
import { metaVoters } from './meta-placement.js';

const INTERVAL_MS = 500;
const PROPOSE_TIMEOUT_MS = 5_000;

/** What a keeper is made of. */
export interface MetaKeeperParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: ClusterDirectory;
  readonly client: MetaClient;
  readonly state: () => MetaState;
  readonly control: () => GroupControl | undefined;
  /** The nodes that founded the cluster, if this one is one of them. */
  readonly founders: readonly string[] | undefined;
  /** Of this node's log. */
  readonly incarnation: string;
  /** This node must not go on. */
  readonly onRefused: (result: MetaResult & { readonly ok: false }) => void;
}

export class MetaKeeper {
  readonly #parts: MetaKeeperParts;
  #timer: TimerHandle | undefined;
  #running = false;
  #closed = false;
  #warned = '';

  constructor(parts: MetaKeeperParts) {
    this.#parts = parts;
  }

  /** Looks now, and from then on at intervals. */
  start(): void {
    this.wake();
  }

  /** Something has changed. */
  wake(): void {
    if (this.#closed || this.#running) return;
    this.#timer?.cancel();
    this.#running = true;
    void this.#look()
      .catch((error: unknown) => this.#warn(asNodeError(error)))
      .finally(() => {
        this.#running = false;
        if (!this.#closed) this.#timer = this.#parts.clock.setTimer(INTERVAL_MS, () => this.wake(), { unref: true });
      });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #warn(error: NodeError): void {
    if (this.#closed || this.#warned === error.message) return;
    this.#warned = error.message;
    this.#parts.logger.debug({ err: error }, 'The meta group could not be looked after; trying again');
  }

  async #look(): Promise<void> {
    const { state, control } = this.#parts;
    const group = control();
    if (state().settings === undefined) {
      if (group?.leads === true) await this.#form();
      return;
    }
    await this.#register();
    if (group?.leads === true) await this.#reconcile(group);
  }

  async #form(): Promise<void> {
    const { founders, client } = this.#parts;
    if (founders === undefined) return;
    const settings = {
      shardCount: SHARD_COUNT,
      replicationFactor: Math.min(REPLICATION_FACTOR, founders.length),
      protocolVersion: PROTOCOL_VERSION,
    };
    await client.propose({ type: 'form', settings, members: founders }, PROPOSE_TIMEOUT_MS);
  }

  /** The cluster is to know where this node is. */
  async #register(): Promise<void> {
    const { directory, state, client, incarnation, onRefused } = this.#parts;
    const node = directory.describe(incarnation);
    const known = state().nodes.get(node.id);
    if (known !== undefined && isSame(known, node)) return;
    const { result } = await client.propose({ type: 'register', node }, PROPOSE_TIMEOUT_MS);
    if (!result.ok) onRefused(result);
  }

  /** One change at a time: a replica for every node, then enough voters. */
  async #reconcile(group: GroupControl): Promise<void> {
    const { directory } = this.#parts;
    const { nodes, removedNodes } = this.#parts.state();
    const { config } = group;
    if (config.votersOutgoing.length > 0) return;
    const members = new Set([...config.voters, ...config.learners]);
    for (const { number, id } of nodes.values()) group.setPeer(number, id);
    const missing = [...nodes.values()].find(({ number }) => !members.has(number));
    if (missing !== undefined) return group.add(missing.number, 'learner');
    const removed = [...removedNodes.values()].find((number) => members.has(number));
    if (removed !== undefined) return group.remove(removed);
    if (config.voters.length >= metaVoters(nodes.size)) return;
    const next = [...nodes.values()].find(
      ({ number, id }) =>
        config.learners.includes(number) && directory.presence(id) === 'alive' && group.caughtUp(number),
    );
    if (next !== undefined) await group.add(next.number, 'voter');
  }
}

const isSame = (a: NodeDescription, b: NodeDescription): boolean =>
  a.incarnation === b.incarnation &&
  a.version === b.version &&
  a.gossip === b.gossip &&
  a.http === b.http &&
  a.stores.length === b.stores.length &&
  a.stores.every(({ client, peer }, i) => client === b.stores[i]!.client && peer === b.stores[i]!.peer);
