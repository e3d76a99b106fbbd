// Sees to it that gossip finds every node of the cluster: nodes that were never heard of since this one started are asked again and
// again, where the cluster last knew them and where --join says. (Those that were heard of, gossip itself does not let go of.)
import type { Clock, TimerHandle } from 'nori-io';
import type { MetaState } from '../domain/meta-state.js';
import type { ClusterDirectory } from './cluster-directory.js';

const INTERVAL_MS = 1_000;

/** What a keeper is made of. */
export interface GossipKeeperParts {
  readonly clock: Clock;
  readonly directory: ClusterDirectory;
  readonly state: () => MetaState;
  readonly seeds: readonly string[];
}

export class GossipKeeper {
  readonly #parts: GossipKeeperParts;
  #timer: TimerHandle | undefined;
  #closed = false;

  constructor(parts: GossipKeeperParts) {
    this.#parts = parts;
  }

  start(): void {
    void this.#look().finally(() => {
      if (!this.#closed) this.#timer = this.#parts.clock.setTimer(INTERVAL_MS, () => this.start(), { unref: true });
    });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { directory, state, seeds } = this.#parts;
    const unheard = [...state().nodes.values()].filter(({ id }) => directory.presence(id) === 'unknown');
    if (unheard.length === 0) return;
    const known = unheard.map(({ gossip }) => gossip).filter((address) => address !== '');
    // A node of this one's name is told of by membership itself.
    await directory.membership?.join([...new Set([...known, ...seeds])]).catch(() => {});
  }
}
