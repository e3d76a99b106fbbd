// The machine under a node of a MultiCluster: its clocks run at a rate of their own, its wall clock is set, it sleeps, and its
// process is stopped and goes on.
import type { DriverClock, PeerTransport } from 'nori-raft';
import type { VirtualClock } from 'nori-testkit';
import { NodeClock } from '../../sim/node-clock.js';

export class RestlessNode {
  readonly clock: DriverClock;
  readonly #base: VirtualClock;
  readonly #node: NodeClock;
  #stopped = false;
  #waitingTimers: (() => void)[] = [];
  #waitingFrames: (() => void)[] = [];

  constructor(base: VirtualClock, rate: number) {
    this.#base = base;
    this.#node = new NodeClock(rate, base.monotonic(), base.now() - base.monotonic());
    const timer = (fn: () => void) => () => this.#run(this.#waitingTimers, fn);
    this.clock = {
      now: () => Math.floor(this.#node.monotonicMs(base.monotonic()) + this.#node.wallAheadMs(base.monotonic())),
      monotonic: () => this.#node.monotonicMs(base.monotonic()),
      setTimer: (delayMs, fn, options) => base.setTimer(this.#node.realMs(delayMs), timer(fn), options),
      nextTurn: (fn) => base.nextTurn(timer(fn)),
    };
  }

  /** What arrives while the process is stopped waits. */
  transport(transport: PeerTransport): PeerTransport {
    return {
      nodeId: transport.nodeId,
      start: (receiver) =>
        transport.start({
          onFrame: (from, lane, frame) => this.#run(this.#waitingFrames, () => receiver.onFrame(from, lane, frame)),
          onUnreachable: (peer) => this.#run(this.#waitingFrames, () => receiver.onUnreachable(peer)),
        }),
      send: (to, lane, frame) => transport.send(to, lane, frame),
      queuedBytes: (to, lane) => transport.queuedBytes(to, lane),
      close: () => transport.close(),
    };
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Stops the process; with `sleep` the whole machine: its monotonic clock stands still then. */
  stop({ sleep }: { readonly sleep: boolean }): void {
    this.#stopped = true;
    if (sleep) this.#node.suspend(this.#base.monotonic());
  }

  resume({ framesFirst }: { readonly framesFirst: boolean }): void {
    this.#stopped = false;
    this.#node.resume(this.#base.monotonic());
    const waiting = [this.#waitingFrames.splice(0), this.#waitingTimers.splice(0)];
    for (const run of (framesFirst ? waiting : waiting.reverse()).flat()) run();
  }

  /** An administrator, or NTP, sets the wall clock. */
  setWall(byMs: number): void {
    this.#node.setWallForward(byMs);
  }

  #run(waiting: (() => void)[], fn: () => void): void {
    if (this.#stopped) waiting.push(fn);
    else fn();
  }
}
