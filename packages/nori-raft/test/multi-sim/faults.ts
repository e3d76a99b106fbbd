// The nemesis: carries out the faults of a plan. What a fault hits is settled when it begins, from what there is then.
import { bridgeLinks, chainLinks, type LinkQuality, oneWayLinks, splitLinks } from 'nori-testkit';
import type { SimMachine } from './machine.js';
import type { MultiFault } from './plan.js';
import type { MultiSimulation } from './simulation.js';

/** Operations of a disk that crashes come after: those of segments that begin and end. undefined: any. */
const TRIGGERS = [undefined, undefined, 'create', 'rename', 'truncate', 'sync-dir', 'unlink', undefined] as const;

export class MultiNemesis {
  readonly #sim: MultiSimulation;
  /** How the network is instead of its ordinary quality, by fault. */
  readonly #weather: LinkQuality[] = [];
  /** Ends of faults that have no end of their own. */
  readonly #ends: (() => void)[] = [];
  #losses = 0;

  constructor(sim: MultiSimulation) {
    this.#sim = sim;
  }

  /** Begins a fault, and plans its end. */
  begin(fault: MultiFault): void {
    const { stats } = this.#sim;
    const { type, aim, durationMs, degree } = fault;
    this.#sim.line(0, `fault: ${type} (${aim}, ${Math.round(durationMs)} ms, degree ${degree.toFixed(2)})`);
    stats.faults[type] = (stats.faults[type] ?? 0) + 1;
    const end = this.#apply(fault);
    if (end === undefined) return;
    this.#sim.schedule(durationMs, 0, () => {
      this.#sim.line(0, `end of ${type}`);
      end();
    });
  }

  /** Ends what has no end of its own. */
  heal(): void {
    const { wires, config, machines } = this.#sim;
    this.#weather.length = 0;
    wires.heal({ ...config.network, lossRate: 0, tailRate: 0 });
    for (const end of this.#ends.splice(0)) end();
    for (const machine of machines) {
      if (machine.process !== undefined) machine.process.applyLagMs = 0;
      machine.heal();
    }
  }

  /** The node that leads the most groups; undefined if nobody leads. */
  busiest(): SimMachine | undefined {
    const counts = new Map<SimMachine, number>();
    for (const group of this.#sim.groups.values()) {
      const machine = group.leader()?.machine;
      if (machine !== undefined) counts.set(machine, (counts.get(machine) ?? 0) + 1);
    }
    return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
  }

  #apply(fault: MultiFault): (() => void) | undefined {
    const { pick, degree } = fault;
    const { wires, rng, machines } = this.#sim;
    const machine = this.#target(fault);
    const ids = rng.shuffle(machines.map(({ number }) => number));
    const others = ids.filter((id) => id !== machine.number);
    switch (fault.type) {
      case 'split': {
        const at = 1 + (pick % (ids.length - 1));
        return wires.cut(splitLinks([ids.slice(0, at), ids.slice(at)]));
      }
      case 'isolate':
        return wires.cut(splitLinks([[machine.number], others]));
      case 'one-way':
        return wires.cut(degree < 0.5 ? oneWayLinks([machine.number], others) : oneWayLinks(others, [machine.number]));
      case 'chain':
        return wires.cut(chainLinks(ids));
      case 'bridge':
        return wires.cut(bridgeLinks(ids));
      case 'cut-link':
        return wires.cut(oneWayLinks([machine.number], others.slice(0, 1)));
      case 'cut-lane':
        return wires.cut(splitLinks([[machine.number], others]), [degree < 0.7 ? 'bulk' : 'control']);
      case 'weather':
        return this.#changeWeather(degree, pick);
      case 'clock-rate':
        machine.clock.setRate(this.#sim.nowMs, machine.drawRate(degree));
        return undefined;
      case 'wall-jump':
        machine.clock.setWallForward(degree * 3000);
        return undefined;
      case 'pause':
        return machine.pause();
      case 'suspend':
        return machine.suspend();
      default:
        return this.#harm(fault, machine) ?? this.#nudge(fault, machine);
    }
  }

  /** What happens to processes and disks. */
  #harm({ type, pick, degree, durationMs }: MultiFault, machine: SimMachine): (() => void) | undefined {
    const { rng, machines, operator } = this.#sim;
    if (type === 'kill' || type === 'power-failure') machine.crash(type === 'kill' ? 'kill' : 'power', durationMs);
    else if (type === 'crash-at') {
      const trigger = TRIGGERS[pick % TRIGGERS.length];
      machine.arm(
        trigger,
        (pick >>> 8) % (trigger === undefined ? 12 : 5),
        degree < 0.7 ? 'power' : 'kill',
        durationMs,
      );
    } else if (type === 'outage') for (const each of machines) each.crash('power', durationMs * rng.next());
    else if (type === 'disk-stall') return machine.stall();
    else if (type === 'disk-stall-for-ever') this.#ends.push(machine.stall());
    else if (type === 'disk-slow') {
      machine.speed = { writeMaxMs: degree * 100, syncMaxMs: 20 + degree * 900 };
      return () => {
        machine.speed = this.#sim.config.disk;
      };
    } else if (type === 'disk-error') {
      const kind = (['write', 'datasync', 'datasync', 'datasync', 'sync-dir', 'create'] as const)[pick % 6]!;
      machine.failNext(kind, degree);
      if (pick % 5 === 0) operator.newGroup();
      // A machine with a bad disk loses power more often than others.
      if (degree < 0.5) this.#sim.schedule(rng.next() * 300, 0, () => machine.crash('power', durationMs));
    } else if (type === 'disk-full') {
      machine.fill(Math.floor(degree * degree * 8000));
      return () => {
        machine.fs.capacityBytes = Infinity;
      };
    } else if ((type === 'disk-wiped' || type === 'disk-damage') && this.#losses === 0) {
      if (machine.isNew || !operator.canLose(machine)) return undefined;
      this.#losses++;
      if (type === 'disk-wiped') operator.lose(machine, durationMs);
      else machine.damage(pick, durationMs);
    }
    return undefined;
  }

  /** What operators do at any time. */
  #nudge({ type, pick, degree }: MultiFault, machine: SimMachine): (() => void) | undefined {
    const { operator, groups } = this.#sim;
    if (type === 'member') operator.change(pick, degree);
    else if (type === 'new-group') operator.newGroup();
    else if (type === 'flush') machine.process?.flush();
    else if (type === 'apply-lag' && machine.process !== undefined) {
      const { process } = machine;
      process.applyLagMs = degree * 600;
      return () => {
        process.applyLagMs = 0;
      };
    } else if (type === 'transfer') {
      for (const group of groups.values()) {
        const leader = group.leader();
        const to = group.config.voters[pick % group.config.voters.length]!;
        if (leader?.driver === undefined || leader.machine.isHeld || (degree < 0.6 && group.id !== pick % groups.size))
          continue;
        leader.driver.group.transferLeader(to);
      }
    }
    return undefined;
  }

  #target({ aim, pick }: MultiFault): SimMachine {
    const busiest = aim === 'leader' ? this.busiest() : undefined;
    const { machines } = this.#sim;
    return busiest ?? machines[pick % machines.length]!;
  }

  #changeWeather(degree: number, pick: number): () => void {
    const quality: LinkQuality = {
      delayMinMs: 0.5,
      delayMaxMs: 5 + degree * 100,
      tailRate: (pick & 1) * 0.1 * degree,
      tailMaxMs: 1500,
      lossRate: ((pick >>> 1) & 1) * 0.2 * degree,
      duplicateRate: 0,
      ordered: true,
    };
    this.#weather.push(quality);
    const { network } = this.#sim.wires;
    network.setQuality(quality);
    return () => {
      this.#weather.splice(this.#weather.indexOf(quality), 1);
      network.setQuality(this.#weather.at(-1) ?? this.#sim.config.network);
    };
  }
}
