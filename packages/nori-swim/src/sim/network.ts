// The simulated network: datagrams that are lost, duplicated, reordered and delayed, streams that are slower instead, and cuts by
// direction and by kind.

/** How the network behaves. */
export interface NetworkQuality {
  /** One way, uniform between the two. Default 0.2 and 2 ms. Datagrams overtake each other. */
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Share of datagrams, from 0 to 1, that are lost. On streams each such loss costs a retransmission of 200 ms. Default 0. */
  readonly lossRate: number;
  /** Share of datagrams that come twice. Default 0. */
  readonly duplicateRate: number;
  /** Share of datagrams that take up to `tailMaxMs` longer. Default 0. */
  readonly tailRate: number;
  readonly tailMaxMs: number;
}

export const LAN: NetworkQuality = Object.freeze({
  delayMinMs: 0.2,
  delayMaxMs: 2,
  lossRate: 0,
  duplicateRate: 0,
  tailRate: 0,
  tailMaxMs: 0,
});

/** What a cut holds up. */
export type CutKind = 'datagrams' | 'streams' | 'all';

/** Nodes are known by number. */
const NODES_MAX = 2 ** 20;
const STREAM_RETRANSMISSION_MS = 200;

export class SimulatedNetwork {
  quality: NetworkQuality;
  readonly #random: () => number;
  readonly #cuts: Record<'datagrams' | 'streams', Map<number, number>> = { datagrams: new Map(), streams: new Map() };

  constructor(quality: NetworkQuality, random: () => number) {
    this.quality = quality;
    this.#random = random;
  }

  /** Cuts the way from each of `from` to each of `to`. Cuts overlap; each is taken back on its own. */
  cut(from: readonly number[], to: readonly number[], kind: CutKind): () => void {
    const keys = from.flatMap((a) => to.filter((b) => a !== b).map((b) => a * NODES_MAX + b));
    const kinds = kind === 'all' ? (['datagrams', 'streams'] as const) : [kind];
    const change = (delta: number) => {
      for (const each of kinds) {
        const cuts = this.#cuts[each];
        for (const key of keys) {
          const count = (cuts.get(key) ?? 0) + delta;
          if (count > 0) cuts.set(key, count);
          else cuts.delete(key);
        }
      }
    };
    change(1);
    let isCut = true;
    return () => {
      if (isCut) change(-1);
      isCut = false;
    };
  }

  /** Takes back all cuts. */
  mend(): void {
    this.#cuts.datagrams.clear();
    this.#cuts.streams.clear();
  }

  isCut(from: number, to: number, kind: 'datagrams' | 'streams'): boolean {
    const cuts = this.#cuts[kind];
    return cuts.size > 0 && cuts.has(from * NODES_MAX + to);
  }

  /** Hands the delay of each copy that will arrive to `deliver`. */
  datagram(from: number, to: number, deliver: (delayMs: number) => void): void {
    const { lossRate, duplicateRate } = this.quality;
    if (this.isCut(from, to, 'datagrams')) return;
    if (lossRate > 0 && this.#random() < lossRate) return;
    deliver(this.#delayMs());
    if (duplicateRate > 0 && this.#random() < duplicateRate) deliver(this.#delayMs());
  }

  /** How long a message on a new stream takes; undefined if it does not get through. */
  streamDelayMs(from: number, to: number): number | undefined {
    if (this.isCut(from, to, 'streams') || this.isCut(to, from, 'streams')) return undefined;
    let delayMs = this.#delayMs();
    // A handshake and the message.
    for (let way = 0; way < 2; way++) delayMs += this.#delayMs();
    for (let way = 0; way < 3; way++) {
      for (let tries = 0; tries < 8 && this.#random() < this.quality.lossRate; tries++) {
        delayMs += STREAM_RETRANSMISSION_MS * 2 ** tries;
      }
    }
    return delayMs;
  }

  #delayMs(): number {
    const { delayMinMs, delayMaxMs, tailRate, tailMaxMs } = this.quality;
    const delayMs = delayMinMs + this.#random() * (delayMaxMs - delayMinMs);
    return tailRate > 0 && this.#random() < tailRate ? delayMs + this.#random() * tailMaxMs : delayMs;
  }
}
