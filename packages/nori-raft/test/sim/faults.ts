// The nemesis: carries out the faults of a plan. What a fault hits is settled when it begins, from what there is then.
import { bridgeLinks, chainLinks, type Link, type LinkQuality, oneWayLinks, ringLinks, splitLinks } from 'nori-testkit';
import type { Driver } from './driver.js';
import type { PersistPoint } from './log-storage.js';
import type { SimNode } from './node.js';
import type { Fault } from './plan.js';
import type { Simulation } from './simulation.js';
import { simEvent } from './simulation-event.js';

const POINTS: readonly PersistPoint[] = [
  'before-write',
  'after-write',
  'after-sync',
  'amid-send',
  'before-rename',
  'after-rename',
];

export class Nemesis {
  readonly #sim: Simulation;
  /** How the network is instead of its ordinary quality, by fault. */
  readonly #weather: LinkQuality[] = [];

  constructor(sim: Simulation) {
    this.#sim = sim;
  }

  /** Begins a fault, and plans its end. */
  begin(fault: Fault): void {
    const { trace, nowMs, stats } = this.#sim;
    if (trace.recording) {
      trace.line(
        nowMs,
        0,
        `fault: ${fault.type} (${fault.aim}, ${Math.round(fault.durationMs)} ms, degree ${fault.degree.toFixed(2)})`,
      );
    }
    stats.faults[fault.type] = (stats.faults[fault.type] ?? 0) + 1;
    const end = this.#apply(fault);
    if (end === undefined) return;
    const text = `end of ${fault.type}`;
    this.#sim.schedule(
      fault.durationMs,
      simEvent('fault', 0, -1, () => {
        if (trace.recording) trace.line(this.#sim.nowMs, 0, text);
        end();
      }),
    );
  }

  /** Ends what has no end of its own. */
  heal(): void {
    this.#weather.length = 0;
    this.#sim.network.heal(this.#calm);
    for (const node of this.#sim.nodes.values()) {
      node.heal();
      node.driver?.delayApplies(undefined);
      if (node.driver !== undefined) node.driver.storage.snapshotWithheld = false;
      node.start();
    }
  }

  /** Faults are over: nothing is lost any more, though not everything is fast. */
  get #calm(): LinkQuality {
    return { ...this.#sim.config.network, lossRate: 0, tailRate: 0 };
  }

  #apply(fault: Fault): (() => void) | undefined {
    const { pick, degree } = fault;
    const { network, nowMs, rng } = this.#sim;
    const node = this.#target(fault);
    const ids = rng.shuffle([...this.#sim.nodes.keys()]);
    const others = ids.filter((id) => id !== node.id);
    switch (fault.type) {
      case 'split':
        return this.#cut(splitLinks([ids.slice(0, 1 + (pick % ids.length)), ids.slice(1 + (pick % ids.length))]));
      case 'isolate':
        return this.#cut(splitLinks([[node.id], others]));
      case 'one-way':
        return this.#cut(degree < 0.5 ? oneWayLinks([node.id], others) : oneWayLinks(others, [node.id]));
      case 'chain':
        return this.#cut(chainLinks(ids));
      case 'ring':
        return this.#cut(ringLinks(ids));
      case 'bridge':
        return this.#cut(bridgeLinks(ids));
      case 'cut-link':
        return this.#cut(oneWayLinks([node.id], others.slice(0, 1)));
      case 'cut-clients': {
        const clients = this.#sim.clients.map(({ id }) => id);
        return this.#cut(degree < 0.5 ? oneWayLinks([node.id], clients) : oneWayLinks(clients, [node.id]));
      }
      case 'weather':
        return this.#changeWeather(this.#badWeather(degree, pick));
      case 'slow-link': {
        const to = others[pick % Math.max(1, others.length)] ?? node.id;
        network.setLinkQuality(node.id, to, this.#badWeather(degree, pick));
        return () => network.setLinkQuality(node.id, to, undefined);
      }
      case 'clock-rate':
        if (this.#sim.config.drift) node.clock.setRate(nowMs, node.drawRate(degree));
        return undefined;
      case 'wall-forward':
        node.clock.setWallForward(degree * 5000);
        return undefined;
      case 'pause':
        return node.pause();
      case 'suspend':
        return node.suspend();
      case 'kill':
        node.crash('kill', fault.durationMs);
        return undefined;
      case 'power-failure':
        node.crash('power', fault.durationMs);
        return undefined;
      case 'crash-at':
        node.arm(POINTS[pick % POINTS.length]!, (pick >>> 8) % 4, degree < 0.6 ? 'power' : 'kill', fault.durationMs);
        return undefined;
      case 'outage':
        for (const each of this.#sim.nodes.values()) each.crash('power', fault.durationMs * rng.next());
        return undefined;
      case 'disk-stall':
        node.disk.stallUntil(nowMs + fault.durationMs);
        return undefined;
      case 'disk-slow':
        node.disk.latency = { ...this.#sim.config.disk, syncMaxMs: 20 + degree * 500 };
        return () => {
          node.disk.latency = this.#sim.config.disk;
        };
      case 'disk-error':
        node.disk.failNext((['write', 'sync', 'sync', 'sync-directory'] as const)[pick & 3]!);
        return undefined;
      case 'withhold-snapshot':
        return this.#withhold(node);
      case 'apply-lag':
        node.driver?.delayApplies(degree * 3000);
        return () => node.driver?.delayApplies(undefined);
      default:
        this.#nudge(fault, node, ids);
        return undefined;
    }
  }

  /** What an operator, or the transport, may ask of a core at any time. */
  #nudge({ type, pick, degree, durationMs }: Fault, node: SimNode, ids: readonly number[]): void {
    const { driver } = node;
    const other = ids[pick % ids.length]!;
    if (type === 'member') this.#sim.members.change(pick, degree);
    else if (driver === undefined || node.isHeld) return;
    else if (type === 'transfer') this.#transfer(driver, other, degree, durationMs);
    else if (type === 'flood') this.#flood(driver, degree, durationMs);
    else if (type === 'forget-leader') {
      for (const each of this.#some(node, ids, degree)) each.poke((core) => core.forgetLeader());
    } else if (type === 'campaign') {
      for (const each of this.#some(node, ids, degree)) each.poke((core, monotonicMs) => core.campaign(monotonicMs));
    } else if (type === 'report-unreachable') driver.poke((core) => core.reportUnreachable(other));
    else if (type === 'report-snapshot') driver.poke((core) => core.reportSnapshot(other, degree < 0.5));
    else if (type === 'snapshot') this.#snapshots(driver, degree, durationMs);
  }

  /** Half of the time the replica that is to lead is slow to hear of it. */
  #transfer(driver: Driver, to: number, degree: number, durationMs: number): void {
    const target = this.#sim.nodes.get(to)!;
    if (degree < 0.5 && target.isUp) this.#sim.schedule(2 * durationMs, simEvent('fault', 0, -1, target.pause()));
    driver.poke((core) => core.transferLeader(to));
  }

  /** Many entries that mean nothing, for as long as it leads: a leader that is cut off gets a log that nobody else has. */
  #flood(driver: Driver, degree: number, durationMs: number): void {
    const again = () => {
      if (!driver.propose(Array.from({ length: 1 + Math.floor(degree * 10) }, () => new Uint8Array(1)))) return;
      if (this.#sim.nowMs < endAtMs) this.#sim.schedule(this.#sim.rng.next() * 200, simEvent('fault', 0, -1, again));
    };
    const endAtMs = this.#sim.nowMs + durationMs;
    again();
  }

  /** One, or one after the other for a while: also in the middle of an application, or of an installation. */
  #snapshots(driver: Driver, degree: number, durationMs: number): void {
    const again = () => {
      driver.takeSnapshotSoon();
      if (this.#sim.nowMs < endAtMs) this.#sim.schedule(this.#sim.rng.next() * 20, simEvent('fault', 0, -1, again));
    };
    const endAtMs = this.#sim.nowMs + (degree < 0.5 ? 0 : durationMs);
    again();
  }

  /** One replica, or several at once. */
  #some(node: SimNode, ids: readonly number[], degree: number): Driver[] {
    const chosen = degree < 0.5 ? [node] : [node, ...ids.slice(0, 2).map((id) => this.#sim.nodes.get(id)!)];
    return chosen.flatMap(({ driver, isHeld }) => (driver === undefined || isHeld ? [] : [driver]));
  }

  #target({ aim, pick }: Fault): SimNode {
    const leader = aim === 'leader' ? this.#sim.leader() : undefined;
    if (leader !== undefined) return leader;
    const nodes = [...this.#sim.nodes.values()].filter(({ removed }) => !removed);
    return nodes[pick % nodes.length]!;
  }

  #cut(links: readonly Link[]): () => void {
    const { network } = this.#sim;
    network.cut(links);
    return () => network.mend(links);
  }

  #withhold({ driver }: SimNode): (() => void) | undefined {
    if (driver === undefined) return undefined;
    driver.storage.snapshotWithheld = true;
    return () => {
      driver.storage.snapshotWithheld = false;
    };
  }

  #changeWeather(quality: LinkQuality): () => void {
    this.#weather.push(quality);
    this.#sim.network.setQuality(quality);
    return () => {
      // Some faults last longer than the time of faults: what was healed stays so.
      if (this.#sim.healed) return;
      this.#weather.splice(this.#weather.indexOf(quality), 1);
      this.#sim.network.setQuality(this.#weather.at(-1) ?? this.#sim.config.network);
    };
  }

  /** Losses, repetitions, and delays of up to several election timeouts. */
  #badWeather(degree: number, pick: number): LinkQuality {
    return {
      delayMinMs: 0.5,
      delayMaxMs: 5 + degree * 100,
      tailRate: (pick & 1) * 0.2 * degree,
      tailMaxMs: 6000 * ((pick >>> 1) & 1 ? 1 : 0.2),
      lossRate: ((pick >>> 2) & 1) * 0.4 * degree,
      duplicateRate: ((pick >>> 3) & 1) * 0.3 * degree,
      ordered: ((pick >>> 4) & 1) === 1 && this.#sim.config.network.ordered,
    };
  }
}
