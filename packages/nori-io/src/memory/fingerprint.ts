// A number of 64 bits for what a crash left, so that tests can count how many different outcomes they have seen. Two 32-bit
// lanes of multiply and mix: cheap, deterministic, not for adversaries.

/** Collects what survived. */
export class Fingerprint {
  #low = 0x9e3779b9;
  #high = 0x85ebca6b;

  number(value: number): void {
    this.#word(value | 0);
    this.#word((value / 2 ** 32) | 0);
  }

  text(value: string): void {
    this.number(value.length);
    for (let at = 0; at < value.length; at++) this.#word(value.charCodeAt(at));
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return hex(this.#low) + hex(this.#high);
  }

  #word(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#low ^= this.#low >>> 15;
    this.#high = Math.imul(this.#high ^ word, 0xc2b2ae35);
    this.#high ^= this.#high >>> 13;
  }
}

const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
