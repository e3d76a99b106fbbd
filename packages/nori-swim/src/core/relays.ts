// What this node does as a helper: it pings for others under sequence numbers of its own, hands on the answer, and says so when there
// is none.
import type { Address, NodeId } from '../member.js';
import type { CoreContext } from './context.js';
import type { Ack, PingRequest } from './messages.js';

/** Pings that this node makes for others at a time; more are not made. */
const RELAYS_MAX = 512;

interface Relay {
  readonly origin: Address;
  readonly seq: number;
  readonly target: NodeId;
  readonly nackMs: number;
  /** A late answer is handed on until then. */
  readonly endMs: number;
  nacked: boolean;
}

export class Relays {
  readonly #c: CoreContext;
  readonly #relays = new Map<number, Relay>();
  #wakeMs = Number.POSITIVE_INFINITY;

  constructor(context: CoreContext) {
    this.#c = context;
  }

  get wakeMs(): number {
    return this.#wakeMs;
  }

  request(request: PingRequest, origin: Address): void {
    const c = this.#c;
    if (this.#relays.size >= RELAYS_MAX) {
      c.ignore('relays-full');
      return;
    }
    const { target, address, boot, incarnation, waitMs } = request;
    const seq = c.nextSeq();
    const nackMs = c.nowMs + waitMs;
    this.#relays.set(seq, { origin, seq: request.seq, target, nackMs, endMs: nackMs + waitMs, nacked: false });
    this.#wakeMs = Math.min(this.#wakeMs, nackMs);
    c.send(address, [{ type: 'ping', seq, target, boot, incarnation, from: c.id }]);
  }

  ack(ack: Ack): void {
    const relay = this.#relays.get(ack.seq);
    if (relay === undefined || relay.target !== ack.from || ack.via !== '') return;
    this.#relays.delete(ack.seq);
    this.#c.send(relay.origin, [{ ...ack, seq: relay.seq, via: this.#c.id }]);
  }

  tick(): void {
    const { nowMs } = this.#c;
    if (nowMs < this.#wakeMs) return;
    let wakeMs = Number.POSITIVE_INFINITY;
    for (const [seq, relay] of this.#relays) {
      if (!relay.nacked && nowMs >= relay.nackMs) {
        relay.nacked = true;
        this.#c.send(relay.origin, [{ type: 'nack', seq: relay.seq, from: this.#c.id }]);
      }
      if (nowMs >= relay.endMs) this.#relays.delete(seq);
      else wakeMs = Math.min(wakeMs, relay.nacked ? relay.endMs : relay.nackMs);
    }
    this.#wakeMs = wakeMs;
  }

  /** This node stood still: it cannot say who was silent. */
  clear(): void {
    this.#relays.clear();
    this.#wakeMs = Number.POSITIVE_INFINITY;
  }
}
