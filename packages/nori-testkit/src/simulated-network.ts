// A network in virtual time: directed links with delay, loss, duplication and reordering, and cuts of any shape.
//
// The network draws what happens to a message when it is sent, and hands each copy that will arrive to `schedule`, as a
// plain object to be put on the caller's event heap. It holds no clock and calls nothing else, so the same seed and the
// same calls give the same deliveries. A cut drops what is sent from then on; what is already under way still arrives,
// which is the harder case for a protocol.

/** How a link behaves. Delays are uniform in [min, max], but for the tail. */
export interface LinkQuality {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Share of messages, from 0 to 1, that take far longer: up to `tailMaxMs`. */
  readonly tailRate: number;
  readonly tailMaxMs: number;
  /** Share of messages that are lost. */
  readonly lossRate: number;
  /** Share of messages that arrive twice, each copy with a delay of its own. */
  readonly duplicateRate: number;
  /** Messages of one link arrive in the order in which they were sent, as in a TCP stream. */
  readonly ordered: boolean;
}

/** A good local network. */
export const CALM_LINK: LinkQuality = {
  delayMinMs: 0.2,
  delayMaxMs: 2,
  tailRate: 0,
  tailMaxMs: 0,
  lossRate: 0,
  duplicateRate: 0,
  ordered: true,
};

/** A message on its way. */
export interface Delivery<M> {
  readonly from: number;
  readonly to: number;
  readonly message: M;
}

/** From one node to another; the way back is a link of its own. */
export type Link = readonly [from: number, to: number];

/** What has happened so far. */
export interface NetworkStats {
  sent: number;
  lost: number;
  duplicated: number;
  /** Sent into a cut. */
  cut: number;
}

/** Options of {@link SimulatedNetwork}. */
export interface SimulatedNetworkOptions<M> {
  /** A source in [0, 1). */
  readonly random: () => number;
  /** Puts a delivery on the event heap, `delayMs` from now. */
  readonly schedule: (delayMs: number, delivery: Delivery<M>) => void;
  readonly quality?: LinkQuality;
}

/** Node ids are integers below this. */
const NODES_MAX = 2 ** 20;

/** Directed links between nodes that are known by number. */
export class SimulatedNetwork<M> {
  readonly stats: NetworkStats = { sent: 0, lost: 0, duplicated: 0, cut: 0 };
  readonly #random: () => number;
  readonly #schedule: (delayMs: number, delivery: Delivery<M>) => void;
  #quality: LinkQuality;
  readonly #links = new Map<number, LinkQuality>();
  /** How many cuts hold a link down: cuts overlap and are mended one by one. */
  readonly #cuts = new Map<number, number>();
  /** Latest arrival on an ordered link. */
  readonly #arrivals = new Map<number, number>();

  constructor(options: SimulatedNetworkOptions<M>) {
    this.#random = options.random;
    this.#schedule = options.schedule;
    this.#quality = options.quality ?? CALM_LINK;
  }

  /** How all links behave that have no quality of their own. */
  setQuality(quality: LinkQuality): void {
    this.#quality = quality;
  }

  /** How one link behaves from now on; undefined: as all others. */
  setLinkQuality(from: number, to: number, quality: LinkQuality | undefined): void {
    if (quality === undefined) this.#links.delete(key(from, to));
    else this.#links.set(key(from, to), quality);
  }

  /** Cuts links. Each call is to be mended on its own: a link works again when all its cuts are mended. */
  cut(links: readonly Link[]): void {
    for (const [from, to] of links) this.#cuts.set(key(from, to), (this.#cuts.get(key(from, to)) ?? 0) + 1);
  }

  /** Takes back one {@link SimulatedNetwork.cut} of the same links. */
  mend(links: readonly Link[]): void {
    for (const [from, to] of links) {
      const count = this.#cuts.get(key(from, to)) ?? 0;
      if (count > 1) this.#cuts.set(key(from, to), count - 1);
      else this.#cuts.delete(key(from, to));
    }
  }

  /** Mends all cuts, and lets all links behave as `quality` says. */
  heal(quality: LinkQuality): void {
    this.#cuts.clear();
    this.#links.clear();
    this.#quality = quality;
  }

  isCut(from: number, to: number): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(key(from, to));
  }

  /** Sends a message at `nowMs`. Returns how many copies will arrive. */
  send(nowMs: number, from: number, to: number, message: M): number {
    this.stats.sent++;
    if (this.isCut(from, to)) {
      this.stats.cut++;
      return 0;
    }
    const quality = (this.#links.size > 0 ? this.#links.get(key(from, to)) : undefined) ?? this.#quality;
    if (quality.lossRate > 0 && this.#random() < quality.lossRate) {
      this.stats.lost++;
      return 0;
    }
    this.#deliver(nowMs, from, to, message, quality);
    if (quality.duplicateRate === 0 || this.#random() >= quality.duplicateRate) return 1;
    this.stats.duplicated++;
    this.#deliver(nowMs, from, to, message, quality);
    return 2;
  }

  #deliver(nowMs: number, from: number, to: number, message: M, quality: LinkQuality): void {
    let delayMs = quality.delayMinMs + this.#random() * (quality.delayMaxMs - quality.delayMinMs);
    if (quality.tailRate > 0 && this.#random() < quality.tailRate) delayMs += this.#random() * quality.tailMaxMs;
    if (quality.ordered) {
      const atMs = Math.max(nowMs + delayMs, this.#arrivals.get(key(from, to)) ?? 0);
      this.#arrivals.set(key(from, to), atMs);
      delayMs = atMs - nowMs;
    }
    this.#schedule(delayMs, { from, to, message });
  }
}

function key(from: number, to: number): number {
  return from * NODES_MAX + to;
}

/** Every link from one of `from` to one of `to`: a one-way cut. */
export function oneWayLinks(from: readonly number[], to: readonly number[]): Link[] {
  const links: Link[] = [];
  for (const a of from) for (const b of to) if (a !== b) links.push([a, b]);
  return links;
}

/** Every link between groups, both ways: a split. A group of one is isolated. */
export function splitLinks(groups: readonly (readonly number[])[]): Link[] {
  return groups.flatMap((group, i) => groups.flatMap((other, j) => (i === j ? [] : oneWayLinks(group, other))));
}

/** Every link but those between neighbours: of five nodes in a chain no majority sees each other. */
export function chainLinks(nodes: readonly number[]): Link[] {
  return linksWhere(nodes, (i, j) => Math.abs(i - j) > 1);
}

/** As {@link chainLinks}, but first and last are neighbours too. */
export function ringLinks(nodes: readonly number[]): Link[] {
  return linksWhere(nodes, (i, j) => Math.abs(i - j) > 1 && Math.abs(i - j) < nodes.length - 1);
}

/** Two halves that see each other only through the node in the middle. */
export function bridgeLinks(nodes: readonly number[]): Link[] {
  const middle = nodes.length >>> 1;
  return linksWhere(nodes, (i, j) => i !== middle && j !== middle && i < middle !== j < middle);
}

function linksWhere(nodes: readonly number[], isCut: (i: number, j: number) => boolean): Link[] {
  return nodes.flatMap((from, i) => nodes.flatMap((to, j): Link[] => (i !== j && isCut(i, j) ? [[from, to]] : [])));
}
