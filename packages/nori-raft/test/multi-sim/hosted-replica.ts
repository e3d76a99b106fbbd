// A replica that a process runs, as the invariants see it: its core is watched from within, call by call.
import type { RaftCore, RaftGroup, Ready } from '../../src/index.js';
import type { GroupDriver } from '../../src/multi/group.js';
import type { LeaseClock } from '../../src/multi/lease-clock.js';
import type { GroupLog } from '../../src/multi/ports.js';
import type { Invariants } from '../sim/invariants.js';
import { LogImage } from '../sim/log-image.js';
import type { ObservedReplica } from '../sim/observed.js';
import type { SimReplica } from './groups.js';
import type { MapMachine } from './map-machine.js';

export class HostedReplica implements ObservedReplica {
  readonly core: RaftCore;
  readonly log: LogImage;
  readonly map: MapMachine;
  readonly storage: ObservedReplica['storage'];
  readonly #replica: SimReplica;
  readonly #lease: LeaseClock;

  constructor(
    replica: SimReplica,
    readonly group: RaftGroup,
    map: MapMachine,
    log: GroupLog,
    lease: LeaseClock,
  ) {
    this.#replica = replica;
    this.#lease = lease;
    this.core = (group as GroupDriver).core;
    this.log = LogImage.from(replica.durable.toRecord());
    this.map = map;
    this.storage = {
      get image() {
        return { baseIndex: log.firstIndex() - 1, snapshotIndex: map.durableIndex() };
      },
    };
    this.#watch();
  }

  get appliedIndex(): number {
    return this.core.appliedIndex;
  }

  get hasLease(): boolean {
    return this.core.role === 'leader' && this.#lease.leaseNowMs() < this.core.leaseExpiresAtMs;
  }

  /** Looks at it after something may have happened. */
  observe(): void {
    const { core } = this;
    // What a follower has been told counts once it is handed out; a leader says what is committed.
    if (core.role !== 'leader' && core.hasReady()) return;
    this.#check((invariants) => invariants.observe(this.#replica, this));
  }

  /** A process that dies amid its work ends what it has begun: nobody sees that. */
  #check(look: (invariants: Invariants) => void): void {
    if (this.#replica.driver === this) this.#replica.check(look);
  }

  #watch(): void {
    const { core } = this;
    const replica = this.#replica;
    const { promises } = replica.group;
    for (const name of ['tick', 'appendDone', 'applyDone'] as const) {
      const call = core[name].bind(core) as (...args: unknown[]) => unknown;
      core[name] = ((...args: unknown[]) => {
        const result = call(...args);
        this.observe();
        if (name === 'appendDone') this.#check(() => promises.onAppended(replica, this));
        return result;
      }) as never;
    }
    const step = core.step.bind(core);
    core.step = (message, ...times) => {
      promises.onDelivered(core, message);
      const reason = step(message, ...times);
      const { step: event } = replica.machine.sim;
      this.#check(() => promises.onTaken(replica, this, message, event, replica.ownMs));
      this.observe();
      return reason;
    };
    const ready = core.ready.bind(core);
    core.ready = () => {
      const handedOut = ready();
      this.#take(handedOut);
      this.observe();
      return handedOut;
    };
    const applyConfChange = core.applyConfChange.bind(core);
    core.applyConfChange = (entry) => {
      const config = applyConfChange(entry);
      this.#check(() => replica.group.onConfig(replica, entry.index, config));
      this.observe();
      return config;
    };
  }

  #take(ready: Ready): void {
    this.#check((invariants) => {
      invariants.onReady(this.#replica, this, ready);
      this.#replica.group.promises.onReady(this.#replica, this, ready, this.#replica.ownMs);
      const { hardState, entries, snapshot } = ready;
      this.log.apply({ hardState, entries, snapshot, base: snapshot });
    });
  }
}
