// The rules by which rumours change the view of a node. One incarnation only ever goes from left to right:
//
//   alive ──▶ suspect ──▶ dead ──▶ left           a higher incarnation, which the member alone begins, starts anew with alive
//
// What is news is passed on; what is not is dropped, so that rumours end.
import type { Address, NodeId } from '../member.js';
import type { ProbeEvidence } from '../membership-events.js';
import { ACCUSERS_MAX } from '../wire/limits.js';
import type { CoreContext } from './context.js';
import { confirmationsWanted, suspicionMinMs } from './formulas.js';
import type { MemberEntry } from './member-table.js';
import {
  type Ack,
  type Alive,
  type Conflict,
  type Dead,
  type Left,
  type MemberRecord,
  type Suspect,
  WIRE_VERSION,
} from './messages.js';
import { Suspicion } from './suspicion.js';

export class Membership {
  readonly #c: CoreContext;
  /** When the suspicion that ends first ends; recomputed when suspicions change. */
  #deadlineMs = Number.POSITIVE_INFINITY;
  /** Not before this is another node told that its id is taken. */
  #nextConflictMs = 0;
  /** Another node that may have this node's id, while it is asked. */
  #doubt: { readonly seq: number; readonly address: Address } | undefined;
  #nextDoubtMs = 0;

  constructor(context: CoreContext) {
    this.#c = context;
  }

  /** When the next suspicion ends. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** @param spread whether it is passed on if it is news */
  alive(said: Alive, spread = true): void {
    const c = this.#c;
    if (said.id === c.id) {
      this.#aliveAboutSelf(said);
      return;
    }
    if (said.versionMin > WIRE_VERSION || said.versionMax < WIRE_VERSION) {
      c.ignore('version');
      return;
    }
    const entry = c.table.get(said.id);
    if (entry === undefined) {
      if (!this.#hasRoom()) {
        c.ignore('members-full');
        return;
      }
      const added = c.table.add(said, c.nowMs, c.random);
      if (spread) c.spread(said);
      c.emit({ type: 'alive', member: c.describe(added), reason: 'joined' });
      return;
    }
    if (said.incarnation < entry.incarnation || said.incarnation <= entry.alive.incarnation) {
      this.#noticeTwins(said, entry);
      return;
    }
    if (spread) c.spread(said);
    const before = { state: entry.state, alive: entry.alive };
    entry.alive = said;
    // Of an incarnation that has been heard of already, as an accusation or an answer, this is only what the member says of itself.
    const isLater = said.incarnation > entry.incarnation;
    entry.incarnation = said.incarnation;
    if (before.alive.address !== said.address) {
      entry.udpMisses = -1;
      entry.tcp = 'unknown';
    }
    if (isLater && before.state !== 'alive') {
      c.table.setState(entry, 'alive', c.nowMs, c.random);
      this.#schedule();
    }
    const reason = isLater ? aliveReason(before.state, before.alive.boot !== said.boot) : undefined;
    if (reason !== undefined) c.emit({ type: 'alive', member: c.describe(entry), reason });
    else if (!isSameIdentity(before.alive, said)) c.emit({ type: 'update', member: c.describe(entry) });
  }

  /** Somebody accuses a member: this node, with its `evidence`, or another. */
  suspect(said: Suspect, evidence?: ProbeEvidence): void {
    const c = this.#c;
    if (said.id === c.id) {
      this.#refute(said.incarnation);
      return;
    }
    const entry = c.table.get(said.id);
    if (entry === undefined || said.incarnation < entry.incarnation || !entry.isActive) return;
    if (entry.suspicion !== undefined && said.incarnation === entry.incarnation) {
      if (!entry.suspicion.confirm(said.from)) return;
      c.spread(said);
      this.#schedule();
      return;
    }
    entry.incarnation = said.incarnation;
    entry.suspicion = this.#suspicion(said.from);
    if (evidence !== undefined) entry.suspicion.checked(c.nowMs);
    c.table.setState(entry, 'suspect', c.nowMs, c.random);
    this.#schedule();
    c.spread(said);
    const { helpers, nacks, from: by } = said;
    const event = { type: 'suspect', member: c.describe(entry), by, helpers, nacks } as const;
    c.emit(evidence === undefined ? event : { ...event, evidence });
  }

  /**
   * A member has answered this node, or a helper of it. If it is suspected, its own word is as good as a refutation that got lost; and as
   * long as it has not heard of the suspicion, it has all of its time once more.
   */
  answered(entry: MemberEntry, { boot, incarnation }: Ack): void {
    const c = this.#c;
    const { suspicion } = entry;
    if (suspicion === undefined || !c.options.recheckSuspects || boot !== entry.alive.boot) return;
    if (incarnation > entry.incarnation) {
      entry.incarnation = incarnation;
      c.table.setState(entry, 'alive', c.nowMs, c.random);
      c.emit({ type: 'alive', member: c.describe(entry), reason: 'refuted' });
    } else suspicion.restart(c.nowMs);
    this.#schedule();
  }

  dead(said: Dead): void {
    const c = this.#c;
    if (said.id === c.id) {
      this.#refute(said.incarnation);
      return;
    }
    const entry = c.table.get(said.id);
    if (entry === undefined || said.incarnation < entry.incarnation) return;
    if (!entry.isActive) {
      // That it died once more is of no interest, but nothing from before that may bring it back.
      if (said.incarnation === entry.incarnation) return;
      entry.incarnation = said.incarnation;
      c.spread(said);
      return;
    }
    entry.incarnation = said.incarnation;
    const suspectedMs = entry.suspicion === undefined ? 0 : c.nowMs - entry.suspicion.sinceMs;
    c.spread(said);
    c.table.setState(entry, 'dead', c.nowMs, c.random);
    this.#schedule();
    const { from: by, suspectedBy } = said;
    c.emit({ type: 'confirm', member: c.describe(entry), by, suspectedBy, suspectedMs });
  }

  left(said: Left): void {
    const c = this.#c;
    if (said.id === c.id) {
      this.#refute(said.incarnation);
      return;
    }
    const entry = c.table.get(said.id);
    if (entry === undefined || said.incarnation < entry.incarnation) return;
    if (entry.state === 'left' && said.incarnation === entry.incarnation) return;
    const wasActive = entry.isActive;
    entry.incarnation = said.incarnation;
    c.spread(said);
    c.table.setState(entry, 'left', c.nowMs, c.random);
    this.#schedule();
    if (wasActive) c.emit({ type: 'leave', member: c.describe(entry) });
  }

  /**
   * Takes over what another node knows. A death that is news becomes a suspicion: the member may be on this side of a partition.
   * @param from whose view it is
   */
  merge(records: readonly MemberRecord[], from: NodeId, spread: boolean): void {
    for (const { alive, state, ageMs } of records) {
      if (state === 'alive') this.alive(alive, spread);
      else if (state === 'left') this.#mergeLeft(alive, ageMs);
      else this.#mergeAccused(alive, state, ageMs, from);
    }
  }

  /** Another node is said to have this node's id, and to have been there earlier. It is asked itself before this node gives way. */
  conflict(said: Conflict): void {
    const c = this.#c;
    if (said.id !== c.id || said.address === c.alive.address || said.boot >= c.alive.boot) return;
    if (c.nowMs < this.#nextDoubtMs) return;
    this.#nextDoubtMs = c.nowMs + c.options.probeIntervalMs;
    this.#doubt = { seq: c.nextSeq(), address: said.address };
    const { seq } = this.#doubt;
    c.send(said.address, [{ type: 'ping', seq, target: c.id, boot: said.boot, incarnation: 0, from: c.id }]);
  }

  /** The answer of the other node of this id; false if it is something else. */
  ack(ack: Ack): boolean {
    const c = this.#c;
    if (this.#doubt?.seq !== ack.seq || ack.from !== c.id) return false;
    const { address: otherAddress } = this.#doubt;
    this.#doubt = undefined;
    if (ack.boot >= c.alive.boot) return true;
    c.phase = 'stopped';
    c.emit({ type: 'conflict', id: c.id, address: c.alive.address, otherAddress });
    return true;
  }

  /** Convicts those whose time is over. */
  tick(): void {
    const c = this.#c;
    if (c.nowMs < this.#deadlineMs) return;
    for (const entry of [...c.table.suspects]) {
      if (entry.suspicion === undefined || entry.suspicion.deadlineMs > c.nowMs) continue;
      const suspectedBy = entry.suspicion.accusers.slice(0, ACCUSERS_MAX);
      this.dead({ type: 'dead', id: entry.id, incarnation: entry.incarnation, from: c.id, suspectedBy });
    }
    this.#schedule();
  }

  /** This node stood still: whoever is suspected gets all of the time once more. */
  restartSuspicions(): void {
    for (const { suspicion } of this.#c.table.suspects) suspicion?.restart(this.#c.nowMs);
    this.#schedule();
  }

  /** Forgets those that died or left long ago. */
  prune(): void {
    const { table, options, nowMs } = this.#c;
    for (const entry of [...table.inactive]) {
      const keepMs = entry.state === 'left' ? options.forgetLeftMs : options.forgetDeadMs;
      if (nowMs - entry.stateSinceMs > keepMs) table.remove(entry);
    }
  }

  #aliveAboutSelf(said: Alive): void {
    const c = this.#c;
    const { boot, address, incarnation } = c.alive;
    if (c.phase !== 'running') return;
    if (said.boot !== boot && said.incarnation >= incarnation) c.raise(said.incarnation);
    else if (said.boot === boot && said.incarnation > incarnation) c.raise(said.incarnation);
    // A later node goes by this id, elsewhere. What an earlier run of this one has left behind has a smaller boot.
    if (said.boot > boot && said.address !== address && c.nowMs >= this.#nextConflictMs) {
      this.#nextConflictMs = c.nowMs + c.options.probeIntervalMs;
      c.send(said.address, [{ type: 'conflict', id: c.id, boot, address }]);
    }
  }

  /** Two nodes under one id, at one incarnation: neither would win. The earlier one is told of the later one, and will see to it. */
  #noticeTwins(said: Alive, entry: MemberEntry): void {
    const c = this.#c;
    const held = entry.alive;
    const areTwins = said.boot !== held.boot && said.address !== held.address && said.incarnation === held.incarnation;
    if (!areTwins || !entry.isActive || c.nowMs < this.#nextConflictMs) return;
    this.#nextConflictMs = c.nowMs + c.options.probeIntervalMs;
    const [earlier, later] = said.boot < held.boot ? [said, held] : [held, said];
    c.send(earlier.address, [{ ...later }]);
  }

  #refute(accused: number): void {
    const c = this.#c;
    if (c.phase !== 'running' || accused < c.alive.incarnation) return;
    c.health.change(1);
    c.raise(accused);
  }

  #suspicion(accuser: NodeId): Suspicion {
    const { options, members, nowMs } = this.#c;
    const minMs = suspicionMinMs(members, options.suspicionMult, options.probeIntervalMs);
    const wanted = options.lifeguard.suspicion ? confirmationsWanted(members, options.suspicionMult) : 0;
    return new Suspicion(nowMs, accuser, wanted, minMs, minMs * options.suspicionMaxMult);
  }

  #mergeLeft(alive: Alive, ageMs: number): void {
    const { table, id } = this.#c;
    if (table.get(alive.id) === undefined && alive.id !== id) this.#learn(alive, 'left', ageMs, alive.id);
    else this.left({ type: 'left', id: alive.id, incarnation: alive.incarnation });
  }

  #mergeAccused(alive: Alive, state: 'suspect' | 'dead', ageMs: number, from: NodeId): void {
    const { table, id: self } = this.#c;
    const { id, incarnation } = alive;
    const entry = table.get(id);
    if (entry === undefined && id !== self) {
      this.#learn(alive, state, ageMs, from);
      return;
    }
    // Whoever only suspects it may have that from somebody whose word has been counted already.
    if (state === 'suspect' && entry?.suspicion !== undefined && incarnation === entry.incarnation) return;
    this.suspect({ type: 'suspect', id, incarnation, from, helpers: 0, nacks: 0 });
  }

  /** A member that was not known and is not simply alive. */
  #learn(alive: Alive, state: 'suspect' | 'dead' | 'left', ageMs: number, from: NodeId): void {
    const c = this.#c;
    const { options } = c;
    const keepMs = state === 'left' ? options.forgetLeftMs : options.forgetDeadMs;
    if (state !== 'suspect' && ageMs > keepMs) return;
    if (state === 'suspect') {
      this.alive(alive, false);
      this.suspect({ type: 'suspect', id: alive.id, incarnation: alive.incarnation, from, helpers: 0, nacks: 0 });
      return;
    }
    if (!this.#hasRoom()) {
      c.ignore('members-full');
      return;
    }
    const entry = c.table.add(alive, c.nowMs, c.random);
    c.table.setState(entry, state, c.nowMs - ageMs, c.random);
  }

  /** Room for one more member; the one that is dead for longest makes place. */
  #hasRoom(): boolean {
    const { table, options } = this.#c;
    if (table.size + 1 < options.membersMax) return true;
    let oldest: MemberEntry | undefined;
    for (const entry of table.inactive)
      if (oldest === undefined || entry.stateSinceMs < oldest.stateSinceMs) oldest = entry;
    if (oldest === undefined) return false;
    table.remove(oldest);
    return true;
  }

  #schedule(): void {
    let deadlineMs = Number.POSITIVE_INFINITY;
    for (const { suspicion } of this.#c.table.suspects) {
      if (suspicion !== undefined) deadlineMs = Math.min(deadlineMs, suspicion.deadlineMs);
    }
    this.#deadlineMs = deadlineMs;
  }
}

function aliveReason(state: MemberEntry['state'], isNewBoot: boolean) {
  if (isNewBoot) return 'restarted';
  if (state === 'suspect') return 'refuted';
  return state === 'alive' ? undefined : 'returned';
}

function isSameIdentity(a: Alive, b: Alive): boolean {
  if (a.address !== b.address || a.zone !== b.zone || a.metadata.length !== b.metadata.length) return false;
  return a.metadata.every((byte, i) => byte === b.metadata[i]);
}
