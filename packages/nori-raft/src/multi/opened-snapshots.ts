// Snapshots that the core of a group has asked for, between that moment and the one in which it sends them.
import type { Snapshot } from '../types.js';
import type { GroupHost } from './group-host.js';
import type { SnapshotSource } from './ports.js';

const NO_DATA = new Uint8Array(0);

export class OpenedSnapshots {
  readonly #host: GroupHost;
  readonly #sources = new Map<Snapshot, SnapshotSource>();

  constructor(host: GroupHost) {
    this.#host = host;
  }

  /** @returns what stands for it in the core, which has no state */
  add(source: SnapshotSource): Snapshot {
    const { term, index, config } = source;
    const snapshot: Snapshot = { term, index, config, data: NO_DATA };
    this.#sources.set(snapshot, source);
    this.#host.snapshotsOpened++;
    return snapshot;
  }

  /** Hands over what was opened, to be sent or released. */
  take(snapshot: Snapshot): SnapshotSource | undefined {
    const source = this.#sources.get(snapshot);
    if (this.#sources.delete(snapshot)) this.#host.snapshotsOpened--;
    return source;
  }

  /** Releases all that were not sent. */
  end(): void {
    for (const source of this.#sources.values()) source.release();
    this.#host.snapshotsOpened -= this.#sources.size;
    this.#sources.clear();
  }
}
