// Errors on demand: rules that make matching operations of a memory file system fail.
import type { IoErrorCode } from '../io-error.js';
import type { OperationKind } from './operations.js';

/** Which operations fail, and how. */
export interface FaultRule {
  readonly on: OperationKind | readonly OperationKind[];
  /** A part of the path, or a pattern for it. Default: every path. */
  readonly path?: string | RegExp;
  /** How many matching operations pass before the first one fails. Default 0. */
  readonly after?: number;
  /** How many fail; `Infinity` until removed. Default 1. */
  readonly times?: number;
  /** Default `IO_FAILED`. */
  readonly code?: IoErrorCode;
  /** The part of a failing `write` that is done before it fails, 0 to 1. Default 0. */
  readonly writtenFraction?: number;
}

/** A rule in force. */
export interface Fault {
  /** Operations it has failed so far. */
  readonly hits: number;
  remove(): void;
}

/** The rules of one file system, asked in the order they were made; the first that matches decides. */
export class FaultRules {
  readonly #faults: ActiveFault[] = [];

  add(rule: FaultRule): Fault {
    const fault = new ActiveFault(rule, () => {
      const index = this.#faults.indexOf(fault);
      if (index >= 0) this.#faults.splice(index, 1);
    });
    this.#faults.push(fault);
    return fault;
  }

  /** The rule that fails this operation, counted as a hit; undefined if none does. */
  match(kind: OperationKind, path: string): FaultRule | undefined {
    for (const fault of this.#faults) if (fault.strikes(kind, path)) return fault.rule;
    return undefined;
  }
}

class ActiveFault implements Fault {
  readonly rule: FaultRule;
  readonly remove: () => void;
  hits = 0;
  #toPass: number;

  constructor(rule: FaultRule, remove: () => void) {
    this.rule = rule;
    this.remove = remove;
    this.#toPass = rule.after ?? 0;
  }

  strikes(kind: OperationKind, path: string): boolean {
    const { on, path: pattern, times = 1 } = this.rule;
    if (typeof on === 'string' ? on !== kind : !on.includes(kind)) return false;
    if (typeof pattern === 'string' && !path.includes(pattern)) return false;
    if (pattern instanceof RegExp && path.search(pattern) < 0) return false;
    if (this.#toPass > 0) {
      this.#toPass -= 1;
      return false;
    }
    if (this.hits >= times) return false;
    this.hits += 1;
    return true;
  }
}
