// A machine: its disk, its clocks, and the process that runs on it, which may stand still, die and be started again.
import type { Clock } from 'nori-io';
import { MemoryFileSystem } from 'nori-io/memory';
import type { NodeId } from '../../src/index.js';
import { NodeClock, slowestRate } from '../sim/node-clock.js';
import { damageLog } from './damage.js';
import { HostProcess } from './host-process.js';
import type { MachineDisk } from './map-machine.js';
import type { DiskSpeed } from './plan.js';
import type { MultiSimulation } from './simulation.js';
import { StoredLogs } from './stored-logs.js';

export type CrashKind = 'kill' | 'power';

/** A process that is to die at an operation on the disk. */
interface ArmedCrash {
  /** Operations count from the first of this kind on; undefined: from now on. */
  trigger: string | undefined;
  operationsLeft: number;
  readonly kind: CrashKind;
  readonly downMs: number;
}

/** Before a process looks for its log again. */
const RESTART_MS_MAX = 800;

export class SimMachine {
  readonly clock: NodeClock;
  readonly name: NodeId;
  fs = new MemoryFileSystem();
  process: HostProcess | undefined;
  /** Changes with every crash. */
  epoch = 0;
  /** What its disk must hold. */
  readonly logs = new StoredLogs(this);
  /** Durable data of the state machines, by group and replica. */
  readonly disks = new Map<string, MachineDisk>();
  /** The logs that other nodes are known to have, as the application remembers durably. */
  readonly incarnations = new Map<NodeId, string>();
  /** The disk is gone, and nobody has replaced this node's replicas yet. */
  wiped = false;
  /** A byte of its log that was durable is another one now. */
  isDamaged = false;
  /** The others are to be told of its log. */
  isNew = true;
  /** Whether an error of the disk has been asked for since the process started. */
  diskFailed = false;
  speed: DiskSpeed;
  /** Operations that were let in wait until it ends. */
  #stalls = 0;
  #stalled: (() => void)[] = [];
  #held = 0;
  #suspended = 0;
  #backlog: (() => void)[] = [];
  #armed: ArmedCrash | undefined;

  constructor(
    readonly number: number,
    readonly sim: MultiSimulation,
  ) {
    this.name = `n${number}`;
    this.speed = sim.config.disk;
    this.clock = new NodeClock(this.drawRate(sim.rng.next()), sim.rng.next() * 1e6, sim.rng.next() * 1000);
    this.#attachDisk();
  }

  /** A rate that no other clock is too far from. */
  drawRate(degree: number): number {
    const slowest = slowestRate(this.sim.config.maxClockDrift);
    return slowest * (1 / slowest / slowest) ** degree;
  }

  get isUp(): boolean {
    return this.process !== undefined;
  }

  get isHeld(): boolean {
    return this.#held > 0;
  }

  get isStalled(): boolean {
    return this.#stalls > 0;
  }

  /** Calls `fn` after so long, unless the process that runs now has died by then; while it stands still, later. */
  after(delayMs: number, fn: () => void): void {
    const { epoch } = this;
    this.sim.schedule(delayMs, this.number, () => {
      if (epoch === this.epoch) this.run(fn);
    });
  }

  /** Calls `fn`, or keeps it for when the process goes on. */
  run(fn: () => void): void {
    if (this.#held > 0) this.#backlog.push(fn);
    else fn();
  }

  /** The clock of the process that runs now. */
  processClock(): Clock {
    const { epoch, sim } = this;
    return {
      now: () => Math.floor(1.7e12 + this.clock.monotonicMs(sim.nowMs) + this.clock.wallAheadMs(sim.nowMs)),
      monotonic: () => this.clock.monotonicMs(sim.nowMs),
      setTimer: (delayMs, fn) => {
        let cancelled = false;
        if (epoch === this.epoch) {
          this.after(this.clock.realMs(Math.max(0, delayMs)), () => {
            if (!cancelled) fn();
          });
        }
        return {
          cancel: () => {
            cancelled = true;
          },
        };
      },
      nextTurn: (fn) => {
        if (epoch === this.epoch) this.after(0, fn);
      },
    };
  }

  start(): void {
    if (this.process !== undefined) return;
    this.process = new HostProcess(this);
    this.process.open();
  }

  // Pauses.

  /** Nothing runs; the clocks go on. @returns how to end it */
  pause(): () => void {
    this.#held++;
    const { epoch } = this;
    return () => {
      if (epoch === this.epoch) this.#release();
    };
  }

  /** As {@link SimMachine.pause}, but the monotonic clock stands still. */
  suspend(): () => void {
    this.#held++;
    if (this.#suspended++ === 0) this.clock.suspend(this.sim.nowMs);
    const { epoch } = this;
    return () => {
      if (epoch !== this.epoch) return;
      if (--this.#suspended === 0) this.clock.resume(this.sim.nowMs);
      this.#release();
    };
  }

  #release(): void {
    if (--this.#held > 0) return;
    const backlog = this.#backlog;
    this.#backlog = [];
    // One after the other, as events of their own.
    for (const fn of backlog) this.after(0, fn);
  }

  // Crashes.

  /** The process ends. It starts again after `downMs`. */
  crash(kind: CrashKind, downMs: number): void {
    const { sim } = this;
    sim.line(this.number, kind === 'power' ? 'loses power' : 'is killed');
    sim.stats.crashes++;
    this.process?.die();
    this.process = undefined;
    this.epoch++;
    this.#held = 0;
    if (this.#suspended > 0) this.clock.resume(sim.nowMs);
    this.#suspended = 0;
    this.#backlog = [];
    this.#armed = undefined;
    this.diskFailed = false;
    const { fs } = this;
    fs.onOperation = () => new Promise(() => {});
    const capacityBytes = fs.capacityBytes;
    this.fs = kind === 'power' ? fs.crash(sim.rng) : fs.kill();
    this.fs.capacityBytes = capacityBytes;
    this.#stalled = [];
    this.#attachDisk();
    this.#restartAfter(downMs);
  }

  #restartAfter(downMs: number): void {
    if (downMs === Infinity) return;
    const { epoch } = this;
    this.sim.schedule(downMs, this.number, () => {
      if (epoch === this.epoch) this.start();
    });
  }

  /** The process ends by itself: its log cannot be written, or not be read. */
  failStop(): void {
    const { sim } = this;
    sim.stats.failStops++;
    const downMs = 20 + sim.rng.next() * RESTART_MS_MAX;
    const isKill = sim.rng.chance(0.5);
    this.crash(isKill ? 'kill' : 'power', downMs);
    // A machine with a bad disk loses power more often than others: what its last process could not sync is gone then, and
    // the next one may have read it.
    const atMs = downMs + sim.rng.next() * 300;
    if (!isKill || sim.nowMs + atMs > sim.config.faultMs) return;
    const { epoch } = this;
    sim.schedule(atMs, this.number, () => {
      if (epoch === this.epoch) this.crash('power', sim.rng.next() * RESTART_MS_MAX);
    });
  }

  /** Lets the process die at the (operations + 1)th operation on its disk, counted from the first of a kind or from now on. */
  arm(trigger: string | undefined, operations: number, kind: CrashKind, downMs: number): void {
    this.#armed = { trigger, operationsLeft: operations, kind, downMs };
  }

  // The disk.

  /** The power fails, and a byte that was durable changes. `pick` says which. */
  damage(pick: number, downMs: number): void {
    this.crash('power', Infinity);
    const { fs, epoch } = this;
    void damageLog(fs, pick).then((done) => {
      if (done !== undefined) {
        this.sim.line(this.number, `${done} is damaged`);
        this.sim.stats.damages++;
        this.isDamaged = true;
      }
      if (epoch === this.epoch) this.#restartAfter(downMs);
    });
  }

  /** A new disk in the place of the old one. */
  wipe(downMs: number): void {
    this.wiped = true;
    this.isDamaged = false;
    this.isNew = false;
    this.crash('kill', downMs);
    this.fs = new MemoryFileSystem();
    this.#attachDisk();
    this.disks.clear();
    this.logs.wiped();
    this.incarnations.clear();
    this.sim.line(this.number, 'has lost its disk');
  }

  /** As a new machine, of which nobody remembers anything. */
  comeBack(): void {
    this.wipe(this.sim.rng.next() * 500);
    this.wiped = false;
    this.isNew = true;
  }

  /** Nothing that is begun on the disk ends any more. @returns how to end it */
  stall(): () => void {
    this.#stalls++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      if (--this.#stalls > 0) return;
      for (const goOn of this.#stalled.splice(0)) this.after(0, goOn);
    };
  }

  /** The next operation of this kind fails. */
  failNext(on: 'write' | 'datasync' | 'sync-dir' | 'create', writtenFraction: number): void {
    this.fs.inject({ on, path: '/raft', writtenFraction });
    this.diskFailed = true;
  }

  /** Leaves so many bytes free. */
  fill(freeBytes: number): void {
    const { fs } = this;
    void fs.freeBytes('/').then((free) => {
      fs.capacityBytes =
        (fs.capacityBytes === Infinity ? Number.MAX_SAFE_INTEGER : fs.capacityBytes) - free + freeBytes;
    });
  }

  heal(): void {
    this.#armed = undefined;
    this.fs.capacityBytes = Infinity;
    this.speed = this.sim.config.disk;
    this.start();
  }

  #attachDisk(): void {
    const { fs, epoch, sim } = this;
    fs.onOperation = ({ kind }) => {
      if (epoch !== this.epoch) return new Promise(() => {});
      sim.trace.add(kind.length);
      const armed = this.#armed;
      if (armed?.trigger === kind) armed.trigger = undefined;
      if (armed !== undefined && armed.trigger === undefined && armed.operationsLeft-- <= 0) {
        sim.stats.crashesAtOperations++;
        sim.line(this.number, `dies before ${kind}`);
        this.crash(armed.kind, armed.downMs);
        return new Promise(() => {});
      }
      return this.#latency(kind === 'datasync' || kind === 'sync-dir');
    };
  }

  #latency(isSync: boolean): Promise<void> {
    const { writeMaxMs, syncMaxMs } = this.speed;
    const delayMs = 0.02 + this.sim.rng.next() * (isSync ? syncMaxMs : writeMaxMs);
    return new Promise((resolve) => {
      this.after(delayMs, () => {
        if (this.#stalls > 0) this.#stalled.push(resolve);
        else resolve();
      });
    });
  }
}
