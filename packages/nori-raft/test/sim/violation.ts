// What a run found: an invariant that does not hold, or progress that was not made.

export class SimViolation extends Error {
  override readonly name = 'SimViolation';
  /** Which invariant: failing plans are cut down while it stays the same. */
  readonly kind: string;
  readonly node: number;

  constructor(kind: string, message: string, node: number) {
    super(message);
    this.kind = kind;
    this.node = node;
  }
}
