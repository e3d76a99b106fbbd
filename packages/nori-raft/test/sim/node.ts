// One machine: what survives a process (disk, clocks) and what happens to it as a whole (pauses, kills, power failures).
import { type DiskCompletion, type Rng, SimulatedDisk } from 'nori-testkit';
import type { ConfState } from '../../src/index.js';
import { Driver } from './driver.js';
import { LogImage, type LogRecord } from './log-image.js';
import { LogStorage, type PersistPoint } from './log-storage.js';
import { NodeClock, slowestRate } from './node-clock.js';
import type { Simulation } from './simulation.js';
import { type SimEvent, simEvent } from './simulation-event.js';
import { SimViolation } from './violation.js';

/** How a process ends: `kill` leaves what the system had cached, `power` does not. */
export type CrashKind = 'kill' | 'power';

/** The first entry of every log stands for the group's foundation: who joins later must get a snapshot. */
export const FOUNDATION = { index: 1, term: 1 };

export class SimNode {
  readonly id: number;
  readonly disk: SimulatedDisk;
  readonly clock: NodeClock;
  driver: Driver | undefined;
  /** Incarnation of the process. */
  epoch = 0;
  removed = false;
  /** What is certain to be on the disk. */
  durable = new LogImage();
  readonly #sim: Simulation;
  readonly #rng: Rng;
  /** Of a founding member. */
  readonly #founders: readonly number[];
  #durableSequence = 0;
  #held = 0;
  #suspended = 0;
  #backlog: SimEvent[] = [];
  #armed: { point: PersistPoint; skip: number; kind: CrashKind; downMs: number } | undefined;

  constructor(id: number, sim: Simulation, founders: readonly number[]) {
    this.id = id;
    this.#sim = sim;
    this.#rng = sim.rng.fork();
    this.#founders = founders;
    const rate = sim.config.drift ? this.drawRate(this.#rng.next()) : 1;
    this.clock = new NodeClock(rate, 1000 * this.#rng.int(100_000), 1000 * this.#rng.int(100_000));
    this.disk = new SimulatedDisk({
      random: () => this.#rng.next(),
      schedule: (delayMs, completion) => sim.schedule(delayMs, simEvent('disk', id, -1, completion)),
      latency: sim.config.disk,
    });
  }

  drawRate(degree: number): number {
    // The extremes are what leases must stand.
    const slowest = slowestRate(this.#sim.config.maxClockDrift);
    const fastest = 1 / slowest;
    if (degree < 0.35) return slowest;
    return degree > 0.65 ? fastest : slowest + ((degree - 0.35) / 0.3) * (fastest - slowest);
  }

  get isUp(): boolean {
    return this.driver !== undefined;
  }

  get isHeld(): boolean {
    return this.#held > 0;
  }

  start(): void {
    if (this.driver !== undefined || this.removed) return;
    const recovered = LogStorage.recover(this.disk) ?? { image: this.#blank(), sequence: 0, tornBytes: 0 };
    const { trace, nowMs, stats } = this.#sim;
    if (recovered.tornBytes > 0) stats.tornTails++;
    if (trace.recording) {
      const { hardState, baseIndex, lastIndex, snapshotIndex } = recovered.image;
      trace.line(
        nowMs,
        this.id,
        `starts: term ${hardState.term}, vote ${hardState.vote}, commit ${hardState.commit}, snapshot ${snapshotIndex}, entries ${baseIndex + 1} to ${lastIndex}`,
      );
    }
    this.driver = new Driver(this, this.#sim, recovered);
    this.driver.open();
  }

  #blank(): LogImage {
    const image = new LogImage();
    if (!this.#founders.includes(this.id)) return image;
    const config: ConfState = {
      voters: this.#founders,
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    const { index, term } = FOUNDATION;
    image.hardState = { term, vote: 0, commit: index };
    image.snapshot = { index, term, config, data: new Uint8Array(0) };
    image.baseIndex = index;
    image.baseTerm = term;
    return image;
  }

  /** Handles an event, or keeps it for later while the process is paused. */
  handle(event: SimEvent): void {
    if (event.kind === 'disk' && event.result === undefined) {
      // The disk works on while the process stands still.
      const result = this.disk.complete(this.#sim.nowMs, event.data as DiskCompletion);
      if (result === 'stale' || result === 'stalled') return;
      event.result = result;
    }
    const { driver } = this;
    if (driver === undefined || (event.epoch >= 0 && event.epoch !== this.epoch)) return;
    if (this.#held > 0) this.#backlog.push(event);
    else driver.handle(event);
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

  /** As {@link SimNode.pause}, but the monotonic clock stands still. */
  suspend(): () => void {
    this.#held++;
    if (this.#suspended++ === 0) this.clock.suspend(this.#sim.nowMs);
    const { epoch } = this;
    return () => {
      if (epoch !== this.epoch) return;
      if (--this.#suspended === 0) this.clock.resume(this.#sim.nowMs);
      this.#release();
    };
  }

  #release(): void {
    if (--this.#held > 0) return;
    let backlog = this.#backlog;
    this.#backlog = [];
    // Timers and messages have waited side by side: either may come first.
    if (this.#rng.chance(0.3)) backlog = this.#rng.shuffle(backlog.filter(isNoDisk)).concat(backlog.filter(isDisk));
    for (const event of backlog) this.handle(event);
  }

  // Crashes.

  /** The process ends. It starts again after `downMs`. */
  crash(kind: CrashKind, downMs: number): void {
    const { trace, nowMs, stats } = this.#sim;
    if (trace.recording) trace.line(nowMs, this.id, kind === 'power' ? 'loses power' : 'is killed');
    stats.crashes++;
    this.driver?.die();
    this.driver = undefined;
    this.epoch++;
    this.#held = 0;
    if (this.#suspended > 0) this.clock.resume(nowMs);
    this.#suspended = 0;
    this.#backlog = [];
    this.#armed = undefined;
    if (kind === 'kill') this.disk.abandon();
    else {
      this.disk.crash();
      this.#recoverDurable();
    }
    this.#sim.schedule(downMs, simEvent('start', this.id, this.epoch, undefined));
  }

  /** An error of the disk: the process ends, before it says anything that may not be true. */
  failStop(): void {
    this.#sim.stats.failStops++;
    this.crash(this.#rng.chance(0.5) ? 'kill' : 'power', 20 + this.#rng.next() * 1500);
  }

  /** Ends for good. */
  remove(): void {
    this.removed = true;
    if (this.driver !== undefined) this.crash('kill', 0);
  }

  /** Lets the process die when it has reached `point` for the (skip + 1)th time. */
  arm(point: PersistPoint, skip: number, kind: CrashKind, downMs: number): void {
    this.#armed = { point, skip, kind, downMs };
  }

  reach(point: PersistPoint): boolean {
    const armed = this.#armed;
    if (armed === undefined || armed.point !== point || armed.skip-- > 0) return false;
    this.#sim.stats.crashesAtPoints++;
    this.crash(armed.kind, armed.downMs);
    return true;
  }

  heal(): void {
    this.#armed = undefined;
    this.disk.heal();
  }

  // What is certain to be on the disk.

  becameDurable(record: LogRecord, sequence: number): void {
    this.durable.apply(record);
    this.#durableSequence = sequence;
    this.#sim.invariants.onDurable(this);
  }

  /** The process has stored all it could read anew. */
  becameDurableAll(image: LogImage, sequence: number): void {
    this.durable = LogImage.from(image.toRecord());
    this.#durableSequence = sequence;
    this.#sim.invariants.onDurable(this);
  }

  #recoverDurable(): void {
    const recovered = LogStorage.recoverDurable(this.disk);
    const sequence = recovered === undefined ? 0 : recovered.sequence;
    if (sequence < this.#durableSequence) {
      throw new SimViolation(
        'lost-durable',
        `Record ${this.#durableSequence} was durable, but after a crash the log ends with ${sequence}.`,
        this.id,
      );
    }
    this.durable = recovered === undefined ? new LogImage() : recovered.image;
    this.#durableSequence = sequence;
    this.#sim.invariants.onDurable(this);
  }
}

function isDisk(event: SimEvent): boolean {
  return event.kind === 'disk';
}

function isNoDisk(event: SimEvent): boolean {
  return event.kind !== 'disk';
}
