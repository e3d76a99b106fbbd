// All other members that a node knows, and the order in which it probes them.
import type { MemberState, NodeId, Reachability } from '../member.js';
import type { MessageWindow } from './message-window.js';
import type { Alive } from './messages.js';
import type { Random } from './ports.js';
import type { Suspicion } from './suspicion.js';

/** One other member. Only `Membership` changes state, incarnation and suspicion. */
export class MemberEntry {
  /** What it last said about itself. */
  alive: Alive;
  /** At least that of `alive`: an accusation may name a later one. */
  incarnation: number;
  state: MemberState = 'alive';
  stateSinceMs: number;
  suspicion: Suspicion | undefined;
  rttMs: number | undefined;
  /** Pings in a row without a direct answer, although the member lives; -1 if there was none yet. */
  udpMisses = -1;
  tcp: Reachability = 'unknown';
  messages: MessageWindow | undefined;
  /** Its place among the active or the inactive. */
  index = -1;

  constructor(alive: Alive, nowMs: number) {
    this.alive = alive;
    this.incarnation = alive.incarnation;
    this.stateSinceMs = nowMs;
  }

  get id(): NodeId {
    return this.alive.id;
  }

  get isActive(): boolean {
    return this.state === 'alive' || this.state === 'suspect';
  }
}

export class MemberTable {
  readonly #entries = new Map<NodeId, MemberEntry>();
  /** Alive and suspect ones, in no order. */
  readonly active: MemberEntry[] = [];
  /** Dead ones and those that have left. */
  readonly inactive: MemberEntry[] = [];
  /** Suspect ones. */
  readonly suspects = new Set<MemberEntry>();
  /** One round of probes, shuffled; entries that became inactive are skipped. */
  #round: MemberEntry[] = [];
  #next = 0;

  get size(): number {
    return this.#entries.size;
  }

  get(id: NodeId): MemberEntry | undefined {
    return this.#entries.get(id);
  }

  values(): IterableIterator<MemberEntry> {
    return this.#entries.values();
  }

  /** Adds a member that is alive. It is probed at a random place of the round, so that nobody is probed late by everybody. */
  add(alive: Alive, nowMs: number, random: Random): MemberEntry {
    const entry = this.addForNextRound(alive, nowMs);
    this.#enterRound(entry, random);
    return entry;
  }

  /** As {@link MemberTable.add}; it is first probed in the next round. */
  addForNextRound(alive: Alive, nowMs: number): MemberEntry {
    const entry = new MemberEntry(alive, nowMs);
    this.#entries.set(entry.id, entry);
    this.#join(this.active, entry);
    return entry;
  }

  remove(entry: MemberEntry): void {
    this.#entries.delete(entry.id);
    this.#leave(entry.isActive ? this.active : this.inactive, entry);
    this.suspects.delete(entry);
  }

  setState(entry: MemberEntry, state: MemberState, nowMs: number, random: Random): void {
    const wasActive = entry.isActive;
    entry.state = state;
    entry.stateSinceMs = nowMs;
    if (state === 'suspect') this.suspects.add(entry);
    else {
      this.suspects.delete(entry);
      entry.suspicion = undefined;
    }
    if (wasActive === entry.isActive) return;
    this.#leave(wasActive ? this.active : this.inactive, entry);
    this.#join(wasActive ? this.inactive : this.active, entry);
    if (!wasActive) this.#enterRound(entry, random);
  }

  /** Whom to probe next; undefined if there is nobody. */
  nextToProbe(random: Random): MemberEntry | undefined {
    if (this.active.length === 0) return undefined;
    for (;;) {
      while (this.#next < this.#round.length) {
        const entry = this.#round[this.#next++]!;
        if (entry.isActive && this.#entries.get(entry.id) === entry) return entry;
      }
      this.#round = [...this.active];
      this.#next = 0;
      shuffle(this.#round, random);
    }
  }

  /** The last probe told nothing: the same member is next. */
  probeAgain(): void {
    if (this.#next > 0) this.#next--;
  }

  /** Up to `count` different active members that pass `wanted`, at random. */
  pick(count: number, random: Random, wanted: (entry: MemberEntry) => boolean): MemberEntry[] {
    const picked: MemberEntry[] = [];
    const { active } = this;
    if (active.length <= 4 * count) {
      const all = active.filter(wanted);
      shuffle(all, random);
      return all.slice(0, count);
    }
    for (let tries = 0; picked.length < count && tries < 8 * count; tries++) {
      const entry = active[Math.floor(random() * active.length)]!;
      if (wanted(entry) && !picked.includes(entry)) picked.push(entry);
    }
    return picked;
  }

  #enterRound(entry: MemberEntry, random: Random): void {
    const done = this.#round.indexOf(entry);
    if (done >= 0) {
      this.#round.splice(done, 1);
      if (done < this.#next) this.#next--;
    }
    const at = this.#next + Math.floor(random() * (this.#round.length - this.#next + 1));
    this.#round.splice(at, 0, entry);
  }

  #join(list: MemberEntry[], entry: MemberEntry): void {
    entry.index = list.length;
    list.push(entry);
  }

  #leave(list: MemberEntry[], entry: MemberEntry): void {
    const last = list.pop()!;
    if (last !== entry) {
      list[entry.index] = last;
      last.index = entry.index;
    }
    entry.index = -1;
  }
}

function shuffle<T>(list: T[], random: Random): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const moved = list[i]!;
    list[i] = list[j]!;
    list[j] = moved;
  }
}
