// How a node comes to belong to a cluster when it starts: takes the steps that domain/bootstrap.ts decides, looks for the nodes that
// were named until they answer, and checks that those it finds are ones it may be together with.
//
//   has an identity ── formed ──▶ belongs (after a look at the nodes that were named)
//   alone (no --join) ──▶ founds a cluster of one
//   blank ── with others ──▶ founds, or joins (then the caller asks the cluster)
import type { Clock } from 'nori-io';
import { type BootstrapNotice, type BootstrapState, membersKey, nextStep } from '../domain/bootstrap.js';
import { noticeOf, PROTOCOL_VERSION } from '../domain/node-card.js';
import { SHARD_COUNT } from '../domain/placement.js';
import { StartupError } from '../domain/startup-error.js';
import type { Identity, IdentityKeeper } from '../ports/identity.js';
import type { Logger } from '../ports/logger.js';
import type { ClusterDirectory, SeenNode } from './cluster-directory.js';

const LOOK_INTERVAL_MS = 200;
const JOIN_INTERVAL_MS = 1_000;
const TELL_INTERVAL_MS = 5_000;
/** How long a node that belongs to a cluster waits for an answer of the nodes named before it goes on without. */
const GREETING_MS = 1_500;

/** What founding needs. */
export interface FoundingParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dataDir: string;
  readonly keeper: IdentityKeeper;
  readonly directory: ClusterDirectory;
  readonly join: readonly string[];
  readonly expect: number;
  readonly newClusterId: () => string;
  readonly signal: AbortSignal;
}

/** Where a node belongs. */
export interface Belonging {
  readonly clusterId: string;
  /** Ascending; undefined: the node joined later, or is about to. */
  readonly founders: readonly string[] | undefined;
  /** The cluster has yet to take this node in. */
  readonly isJoining: boolean;
}

export class Founding {
  readonly #parts: FoundingParts;
  #lastJoinMs = Number.NEGATIVE_INFINITY;
  #lastTellMs: number;
  #joining: Promise<unknown> | undefined;
  #joinFailure: unknown;

  constructor(parts: FoundingParts) {
    this.#parts = parts;
    this.#lastTellMs = parts.clock.monotonic();
  }

  /** Resolves when this node knows where it belongs. @throws StartupError when it belongs nowhere */
  async run(): Promise<Belonging> {
    const { keeper, directory } = this.#parts;
    if (directory.membership === undefined) return this.#alone();
    const { identity } = keeper;
    if (identity !== undefined && identity.phase !== 'accepted') return this.#return(identity);
    if (identity?.phase === 'accepted') this.#tellAccepted(identity);
    for (;;) {
      const belonging = await this.#step();
      if (belonging !== undefined) return belonging;
      await this.#pause();
    }
  }

  async #alone(): Promise<Belonging> {
    const { keeper, directory, newClusterId } = this.#parts;
    const members = [directory.nodeId];
    const { identity } = keeper;
    if (identity === undefined || identity.phase === 'accepted') {
      const clusterId = identity?.clusterId ?? newClusterId();
      if (identity?.members !== undefined && identity.members.length > 1) {
        const why = `This node has accepted to form a cluster of ${identity.members.join(', ')}: start it with --join and --expect as before, or name another directory with --data-dir.`;
        throw new StartupError('BOOTSTRAP_REFUSED', why);
      }
      await keeper.become({ clusterId, phase: 'formed', members });
    }
    return this.#belong(keeper.identity!);
  }

  /** A node that belongs to a cluster looks whether the nodes named are of the same one. */
  async #return(identity: Identity): Promise<Belonging> {
    const { directory, clock } = this.#parts;
    directory.announce({
      clusterId: identity.clusterId,
      phase: identity.phase === 'joining' ? 'joining' : 'formed',
      members: identity.members === undefined ? '' : membersKey(identity.members),
    });
    const deadlineMs = clock.monotonic() + GREETING_MS;
    this.#joinSeeds();
    while (this.#joining !== undefined && clock.monotonic() < deadlineMs) await this.#pause();
    this.#checkJoin();
    const named = await this.#named();
    this.#checkAlike(named);
    const others = named.map(({ card }) => card?.clusterId ?? '').filter((id) => id !== '');
    if (others.length > 0 && others.every((id) => id !== identity.clusterId)) {
      const [other] = named.filter(({ card }) => card?.clusterId !== undefined && card.clusterId !== '');
      throw new StartupError(
        'CLUSTER_MISMATCH',
        `${this.#parts.dataDir} belongs to cluster ${identity.clusterId}, node ${other!.nodeId} at ${other!.address} to cluster ${other!.card!.clusterId}: name nodes of this node's cluster with --join, or another directory with --data-dir.`,
      );
    }
    return this.#belong(identity);
  }

  #belong({ clusterId, phase, members }: Identity): Belonging {
    const { directory } = this.#parts;
    const founders = phase === undefined ? [directory.nodeId] : members;
    directory.announce({
      clusterId,
      phase: phase === 'joining' ? 'joining' : 'formed',
      members: founders === undefined ? '' : membersKey(founders),
    });
    return { clusterId, founders: founders && [...founders].sort(), isJoining: phase === 'joining' };
  }

  #tellAccepted({ clusterId, members }: Identity): void {
    this.#parts.directory.announce({ clusterId, phase: 'accepted', members: membersKey(members ?? []) });
  }

  /** One look at the others. */
  async #step(): Promise<Belonging | undefined> {
    const { clock, directory, expect, join, keeper, newClusterId } = this.#parts;
    this.#checkJoin();
    if (clock.monotonic() - this.#lastJoinMs >= JOIN_INTERVAL_MS) this.#joinSeeds();
    const named = await this.#named();
    this.#checkAlike(named);
    const addresses = await directory.membership!.resolve(join);
    const isNamed = addresses.has(directory.membership!.address);
    const order = { expect, isNamed };
    if (isNamed && expect !== join.length) {
      throw new StartupError(
        'BOOTSTRAP_REFUSED',
        `--expect is ${expect}, but --join names ${join.length} nodes, this one among them: give the number of nodes that --join names.`,
      );
    }
    const { identity } = keeper;
    const state: BootstrapState = {
      accepted: identity === undefined ? undefined : { clusterId: identity.clusterId, members: identity.members ?? [] },
      isFormed: false,
    };
    const notices = named.map(noticeFrom).filter((notice) => notice !== undefined);
    const step = nextStep(directory.nodeId, state, notices, order, newClusterId);
    switch (step.type) {
      case 'wait':
        this.#tell(step.why);
        return undefined;
      case 'refuse':
        throw new StartupError('BOOTSTRAP_REFUSED', `${step.why}.`);
      case 'accept':
        await keeper.become({ ...step.founding, phase: 'accepted' });
        this.#tellAccepted(step.founding);
        return undefined;
      case 'form':
        await keeper.become({ ...step.founding, phase: 'formed' });
        return this.#belong({ ...step.founding, phase: 'formed' });
      case 'join':
        directory.announce({ clusterId: step.clusterId, phase: 'joining' });
        return { clusterId: step.clusterId, founders: undefined, isJoining: true };
    }
  }

  /** The nodes at the addresses that were named, as far as they are there. */
  async #named(): Promise<SeenNode[]> {
    const { directory, join } = this.#parts;
    const addresses = await directory.membership!.resolve(join);
    return [...directory.seen.values()].filter(
      ({ address, presence }) => presence === 'alive' && addresses.has(address),
    );
  }

  /** Looks for the nodes that were named; one try at a time. */
  #joinSeeds(): void {
    const { clock, directory, join } = this.#parts;
    if (this.#joining !== undefined) return;
    this.#lastJoinMs = clock.monotonic();
    this.#joining = directory
      .membership!.join(join)
      .catch((error: unknown) => {
        this.#joinFailure = error;
      })
      .finally(() => {
        this.#joining = undefined;
      });
  }

  #checkJoin(): void {
    if (this.#joinFailure !== undefined) throw this.#joinFailure;
  }

  /** What all nodes of a cluster must have in common. */
  #checkAlike(nodes: readonly SeenNode[]): void {
    for (const { nodeId, address, card } of nodes) {
      if (card === undefined) continue;
      if (card.protocolVersion !== PROTOCOL_VERSION) {
        throw new StartupError(
          'PROTOCOL_MISMATCH',
          `Node ${nodeId} at ${address} speaks protocol version ${card.protocolVersion}, this node ${PROTOCOL_VERSION}: start the version that the cluster runs.`,
        );
      }
      if (card.shardCount !== SHARD_COUNT) {
        throw new StartupError(
          'SHARD_COUNT_MISMATCH',
          `Node ${nodeId} at ${address} has ${card.shardCount} shards, this node ${SHARD_COUNT}: start the version that the cluster runs.`,
        );
      }
    }
  }

  #tell(why: string): void {
    const { clock, logger } = this.#parts;
    if (clock.monotonic() - this.#lastTellMs < TELL_INTERVAL_MS) return;
    this.#lastTellMs = clock.monotonic();
    logger.info({ join: this.#parts.join }, `Waiting to form a cluster: ${why}`);
  }

  async #pause(): Promise<void> {
    const { clock, signal } = this.#parts;
    signal.throwIfAborted();
    await new Promise<void>((resolve) => clock.setTimer(LOOK_INTERVAL_MS, resolve));
    signal.throwIfAborted();
  }
}

const noticeFrom = ({ nodeId, card }: SeenNode): BootstrapNotice | undefined =>
  card === undefined ? undefined : noticeOf(nodeId, card);
