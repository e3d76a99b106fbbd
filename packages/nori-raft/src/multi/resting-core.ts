// A core and the ticks that it was told of. While it rests RestTable exchanges its heartbeats; whoever wants something of it wakes it, and
// then it is told what there was meanwhile.
import type { RaftCore } from '../raft-core.js';
import type { Message } from '../types.js';
import type { NodeId } from './ports.js';
import type { RestingFollower, RestTable } from './rest-table.js';

/** What it needs of its group and node. */
export interface RestingHost {
  readonly groupId: number;
  readonly rests: RestTable;
  nodeOf(replicaId: number): NodeId | undefined;
  /** Number of the last tick. */
  tick(): number;
  /** The group is due at this tick, if not before. */
  dueAt(tick: number): void;
}

export class RestingCore {
  /** As it is: it may rest, and not know of the latest rounds, answers and times. Everything else is as it was when it began to. */
  readonly asleep: RaftCore;
  readonly #host: RestingHost;
  readonly #slot: number;
  #resting: 'leader' | 'follower' | false = false;
  /** How many ticks after it has last heard of its leader a follower at rest starts an election. */
  #electionTicks = 0;
  /** The last tick that the core knows of. */
  #toldTick: number;
  // What a lease of a leader at rest is made of, as it is at the core, which is the same while it rests: of a thousand groups the cores are
  // far from the processor.
  #leaseBeforeMs = 0;
  #leaseMs = 0;
  #voters: readonly number[] = [];

  constructor(host: RestingHost, core: RaftCore) {
    this.#host = host;
    this.asleep = core;
    this.#toldTick = host.tick();
    this.#slot = host.rests.add(host.groupId, core.id);
  }

  get isResting(): boolean {
    return this.#resting !== false;
  }

  /** The core, which knows all there is. */
  get awake(): RaftCore {
    this.wake(this.#host.tick());
    return this.asleep;
  }

  /** As the core's, without waking it: a lease of rounds that were answered at rest, or the one it had when it began to rest. */
  get leaseExpiresAtMs(): number {
    if (this.#resting !== 'leader') return this.asleep.leaseExpiresAtMs;
    const before = this.#leaseBeforeMs;
    if (this.#leaseMs === 0 || before === Number.POSITIVE_INFINITY) return before;
    const startMs = this.#host.rests.confirmedStartMs(this.#slot, this.#voters);
    return startMs === undefined ? before : Math.max(before, startMs + this.#leaseMs);
  }

  /** All that is committed is applied: else a leader does not rest. */
  get hasAppliedAll(): boolean {
    return this.#resting === 'leader' || this.asleep.appliedIndex >= this.asleep.commitIndex;
  }

  /** The tick at which the core has something to do by itself. */
  get dueTick(): number {
    return this.#toldTick + this.asleep.ticksUntilDue;
  }

  /** Tick number `tick` has come, and the core may have something to do. @returns the next tick of which that can be said */
  tick(tick: number, nowMs: number, leaseNowMs: number): number {
    if (this.#resting === 'follower') {
      // The heartbeats that it has heard at rest put its election off.
      const dueTick = this.#host.rests.heardTick(this.#slot) + this.#electionTicks;
      if (dueTick > tick) return dueTick;
    }
    this.wake(tick - 1);
    this.#tellTicks(tick - 1);
    this.asleep.tick(nowMs, leaseNowMs);
    this.#toldTick = tick;
    return this.dueTick;
  }

  /** Tells the core of everything up to `tick`, in which it had nothing to do. */
  wake(tick: number): void {
    if (this.#resting === false) return;
    const core = this.asleep;
    const { rests } = this.#host;
    if (this.#resting === 'leader') {
      core.resumeLeader(rests.wakeLeader(this.#slot, this.#toldTick, tick));
      this.#toldTick = tick;
      this.#host.dueAt(this.dueTick);
    } else {
      const heard = rests.wakeFollower(this.#slot);
      if (heard !== undefined) {
        core.resumeFollower(heard.nowMs);
        this.#toldTick = heard.tick;
      }
    }
    this.#resting = false;
  }

  /** As {@link RestingCore.wake}, and of the ticks since it was awake. */
  wakeAndTell(tick: number): RaftCore {
    this.wake(tick);
    this.#tellTicks(tick);
    return this.asleep;
  }

  #tellTicks(tick: number): void {
    if (tick <= this.#toldTick) return;
    this.asleep.skipTicks(tick - this.#toldTick);
    this.#toldTick = tick;
  }

  /** Lets a leader rest, if it may. It has just told all followers what there is, as of `tick`. @returns when it is due then */
  restAsLeader(tick: number): number | undefined {
    const core = this.asleep;
    if (core.mayRest !== 'leader') return undefined;
    const { voters, learners } = core.config;
    const followers: RestingFollower[] = [];
    for (const id of learners.length === 0 ? voters : [...voters, ...learners]) {
      if (id === core.id) continue;
      const node = this.#host.nodeOf(id);
      if (node === undefined) return undefined;
      followers.push({ id, node });
    }
    const says = { term: core.term, commit: core.commitIndex, transfer: core.transfersGivenUp };
    const { rests } = this.#host;
    if (!rests.restLeader(this.#slot, core.heartbeatRound, says, followers)) return undefined;
    this.#leaseBeforeMs = core.leaseExpiresAtMs;
    this.#leaseMs = core.leaseMs;
    this.#voters = voters;
    this.#resting = 'leader';
    return rests.roundTickFrom(tick + core.ticksUntilQuorumCheck);
  }

  /** Lets a follower rest, if it may. It has just stepped this heartbeat from `node`, at `tick`. */
  restAsFollower(node: NodeId, { from, term, commit, transfer }: Message, tick: number): void {
    const core = this.asleep;
    if (core.mayRest !== 'follower' || core.leader !== from || core.term !== term) return;
    this.#host.rests.restFollower(this.#slot, from, node, { term, commit, transfer }, tick);
    this.#electionTicks = core.ticksUntilDue;
    this.#resting = 'follower';
  }

  /** Nothing is said for it any more. */
  end(): void {
    this.#resting = false;
    this.#host.rests.remove(this.#host.groupId);
  }
}
