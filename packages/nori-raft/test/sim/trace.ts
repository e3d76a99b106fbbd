// What happened in a run: a hash over every event, by which two runs are compared, and, when asked for, lines for people.

/** A line of a trace. Node 0: the world itself; clients have ids above all nodes. */
export interface TraceLine {
  readonly atMs: number;
  readonly node: number;
  readonly text: string;
}

/** Two lanes of 32 bits over all that is added; lines are kept only when `recording`. */
export class Trace {
  readonly recording: boolean;
  readonly lines: TraceLine[] = [];
  #a = 0x811c9dc5 | 0;
  #b = 0x9e3779b9 | 0;

  constructor(recording: boolean) {
    this.recording = recording;
  }

  add(value: number): void {
    this.#a = Math.imul(this.#a ^ value, 0x01000193);
    this.#b = Math.imul(((this.#b << 13) | (this.#b >>> 19)) ^ value, 0x85ebca6b);
  }

  addText(text: string): void {
    for (let i = 0; i < text.length; i++) this.add(text.charCodeAt(i));
  }

  /** Check `recording` first: making the text is what costs. */
  line(atMs: number, node: number, text: string): void {
    this.lines.push({ atMs, node, text });
  }

  get hash(): string {
    return hex(this.#a) + hex(this.#b);
  }
}

function hex(lane: number): string {
  // One more round, so that the last values reach all bits.
  const mixed = Math.imul(lane ^ (lane >>> 15), 0x2c1b3c6d);
  return ((mixed ^ (mixed >>> 13)) >>> 0).toString(16).padStart(8, '0');
}

/** The last `max` lines as text: time, node, what happened. */
export function traceText(lines: readonly TraceLine[], max = Infinity): string {
  const shown = lines.slice(-max);
  const left = lines.length - shown.length;
  const head = left > 0 ? [`... ${left} lines before ...`] : [];
  return [
    ...head,
    ...shown.map(({ atMs, node, text }) => `${atMs.toFixed(2).padStart(10)}  ${nodeName(node)}  ${text}`),
  ].join('\n');
}

function nodeName(node: number): string {
  return (node === 0 ? '-' : node >= FIRST_CLIENT ? `c${node - FIRST_CLIENT + 1}` : `${node}`).padStart(3);
}

/** Ids from here on are clients'. */
export const FIRST_CLIENT = 1000;
