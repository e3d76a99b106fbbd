// Who wrote what: a client id, a sequence for each write, and the floor below which all are resolved. A node keeps the
// outcomes above the floor and answers a retry with the first outcome, so that no write is applied twice.
//
// A write is resolved once it will never be sent again: it was answered, or given up. Giving up moves the floor past it,
// after which a copy still on its way is refused by the node instead of being applied late.
import { LIMITS } from 'norikv-protocol';

/** Issues the identities of one client's writes. */
export class WriteIdentity {
  /** 16 random bytes, new for each client. */
  readonly clientId: Uint8Array;
  #next = 1;
  #floor = 1;
  /** A ring of one byte a sequence from the floor to the newest: 1 is resolved. Its length is a power of two. */
  #resolved = new Uint8Array(1024);

  constructor(clientId: Uint8Array = crypto.getRandomValues(new Uint8Array(LIMITS.clientIdBytes))) {
    this.clientId = clientId;
  }

  /** Lowest sequence that is not resolved, or the next one to be issued. */
  get floor(): number {
    return this.#floor;
  }

  /** Issues the next sequence, counting from 1. */
  next(): number {
    if (this.#next - this.#floor === this.#resolved.length) this.#grow();
    return this.#next++;
  }

  /** Says that `sequence` was answered or given up. Call it once for each sequence issued. */
  resolve(sequence: number): void {
    const mask = this.#resolved.length - 1;
    this.#resolved[sequence & mask] = 1;
    // `&` looks at the low 32 bits only, which is all a power of two below 2^31 needs.
    while (this.#floor < this.#next && this.#resolved[this.#floor & mask] === 1) {
      this.#resolved[this.#floor & mask] = 0;
      this.#floor++;
    }
  }

  #grow(): void {
    const grown = new Uint8Array(this.#resolved.length * 2);
    for (let s = this.#floor; s < this.#next; s++) {
      grown[s & (grown.length - 1)] = this.#resolved[s & (this.#resolved.length - 1)]!;
    }
    this.#resolved = grown;
  }
}
