// The Membership port over nori-swim: events become "something has changed", names of seeds become addresses.
import { lookup } from 'node:dns/promises';
import type { Meter } from 'nori-observe';
import { Swim, SwimError, SwimJoinError } from 'nori-swim';
import { type Address, formatAddress, parseAddress } from '../config/address.js';
import { StartupError } from '../domain/startup-error.js';
import type { Membership, Peer } from '../ports/membership.js';

/** What membership is made of. */
export interface SwimMembershipOptions {
  readonly nodeId: string;
  readonly bind: Address;
  readonly card: Uint8Array;
  readonly meter: Meter;
}

/** All clusters speak under one name, so that nodes of different ones can say so; cards tell them apart. */
const GOSSIP_NAME = 'norikv';

export class SwimMembership implements Membership {
  readonly failed: Promise<Error>;
  readonly #swim: Swim;
  readonly #listeners = new Set<() => void>();
  readonly #ended: Promise<void>;

  private constructor(swim: Swim) {
    this.#swim = swim;
    let fail!: (error: Error) => void;
    this.failed = new Promise((resolve) => {
      fail = resolve;
    });
    this.#ended = this.#follow(fail);
  }

  /** @throws StartupError when the address cannot be used, or what is to be told does not fit */
  static async start({ nodeId, bind, card, meter }: SwimMembershipOptions): Promise<SwimMembership> {
    try {
      return new SwimMembership(
        await Swim.start({ id: nodeId, bind: formatAddress(bind), metadata: card, cluster: GOSSIP_NAME, meter }),
      );
    } catch (error) {
      throw asStartupError(error, formatAddress(bind));
    }
  }

  async #follow(fail: (error: Error) => void): Promise<void> {
    for await (const event of this.#swim.events()) {
      if (event.type === 'conflict') fail(idInUse(event.id, event.otherAddress));
      for (const listener of [...this.#listeners]) listener();
    }
  }

  get address(): string {
    return this.#swim.address;
  }

  peers(): readonly Peer[] {
    return this.#swim
      .view()
      .others.map(({ id, address, state, metadata }) => ({ nodeId: id, address, state, card: metadata }));
  }

  announce(card: Uint8Array): void {
    this.#swim.setMetadata(card);
  }

  async join(seeds: readonly string[]): Promise<boolean> {
    try {
      const { contacted } = await this.#swim.join(seeds);
      return contacted.length > 0;
    } catch (error) {
      if (error instanceof SwimJoinError && error.code !== 'SWIM_ID_CONFLICT') return false;
      if (error instanceof SwimError && error.code === 'SWIM_ID_CONFLICT')
        throw idInUse(this.#swim.id, undefined, error);
      if (error instanceof SwimError && error.code === 'SWIM_CLOSED') return false;
      throw error;
    }
  }

  async resolve(seeds: readonly string[]): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    await Promise.all(
      seeds.map(async (seed) => {
        const address = parseAddress(seed);
        if (address === undefined) return;
        const hosts = await lookup(address.host, { all: true }).catch(() => []);
        for (const { address: host } of hosts) found.add(formatAddress({ host, port: address.port }));
      }),
    );
    return found;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async leave(): Promise<void> {
    await this.#swim.leave().catch(() => {});
    await this.close();
  }

  async close(): Promise<void> {
    await this.#swim.close();
    await this.#ended;
  }
}

const idInUse = (id: string, where: string | undefined, cause?: unknown): StartupError =>
  new StartupError(
    'NODE_ID_IN_USE',
    `Another node that runs${where === undefined ? '' : ` at ${where}`} has the id ${id}: give this one another --node-id, or stop the other.`,
    { cause },
  );

const asStartupError = (error: unknown, bind: string): unknown => {
  if (!(error instanceof SwimError)) return error;
  switch (error.code) {
    case 'SWIM_ADDRESS_IN_USE':
      return new StartupError('ADDRESS_IN_USE', `${bind} is in use; name another address with --gossip-addr.`, {
        cause: error,
      });
    case 'SWIM_METADATA_TOO_LARGE':
      return new StartupError(
        'ADDRESS_UNUSABLE',
        'The names in --rpc-addr, --peer-addr and --http-addr are too long to be told to other nodes (512 bytes all together); use shorter ones.',
        { cause: error },
      );
    default:
      return new StartupError('ADDRESS_UNUSABLE', `--gossip-addr ${bind} cannot be used: ${error.message}`, {
        cause: error,
      });
  }
};
