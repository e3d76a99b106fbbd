// The calls of `join` that are under way: each asks several addresses and is content with one answer.
import { SwimError, type SwimErrorCode } from '../errors.js';
import type { Address, NodeId } from '../member.js';

/** Who was asked, and what became of it. */
export interface JoinAttempt {
  /** As it was given. */
  readonly seed: string;
  /** What it resolved to, if it did. */
  readonly address?: Address;
  readonly error: SwimError;
}

/** Who answered. */
export interface JoinResult {
  /** The first that answered; empty if there was nobody to ask but this node itself. */
  readonly contacted: readonly { readonly seed: string; readonly id: NodeId }[];
}

/** Nobody answered. */
export class SwimJoinError extends SwimError {
  /** Everybody who was tried. */
  readonly attempts: readonly JoinAttempt[];

  constructor(code: SwimErrorCode, message: string, attempts: readonly JoinAttempt[]) {
    super(code, message, { cause: new AggregateError(attempts.map(({ error }) => error)) });
    this.attempts = attempts;
  }
}

/** One call of `join`. */
export class Join {
  readonly result: Promise<JoinResult>;
  readonly #attempts: JoinAttempt[] = [];
  readonly #tickets = new Map<number, { readonly seed: string; readonly address: Address }>();
  #isAsked = false;
  #resolve!: (result: JoinResult) => void;
  #reject!: (error: SwimError) => void;

  constructor() {
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // It may fail before anybody waits for it.
    this.result.catch(() => {});
  }

  ask(ticket: number, seed: string, address: Address): void {
    this.#tickets.set(ticket, { seed, address });
  }

  /** A seed that could not even be asked. */
  unresolved(seed: string, error: SwimError): void {
    this.#attempts.push({ seed, error });
  }

  /** All have been asked. */
  asked(): void {
    this.#isAsked = true;
    this.#settle();
  }

  answered(ticket: number, id: NodeId): void {
    const asked = this.#tickets.get(ticket);
    if (asked !== undefined) this.#resolve({ contacted: [{ seed: asked.seed, id }] });
  }

  failed(ticket: number, error: SwimError): void {
    const asked = this.#tickets.get(ticket);
    if (asked === undefined) return;
    this.#tickets.delete(ticket);
    this.#attempts.push({ ...asked, error });
    // To be refused is an answer, too: no other seed can say better.
    if (error.code === 'SWIM_ID_CONFLICT') this.#reject(new SwimJoinError(error.code, plain(error), this.#attempts));
    else this.#settle();
  }

  abandon(error: SwimError): void {
    this.#reject(error);
  }

  #settle(): void {
    if (!this.#isAsked || this.#tickets.size > 0) return;
    if (this.#attempts.length === 0) {
      this.#resolve({ contacted: [] });
      return;
    }
    const tried = this.#attempts.map(({ seed, address, error }) => {
      const where = address === undefined || address === seed ? seed : `${seed} (${address})`;
      return `${where}: ${error.message}`;
    });
    const advice = 'Try again when one of them runs and can be reached';
    this.#reject(
      new SwimJoinError(
        'SWIM_JOIN_FAILED',
        `None of the seeds answered. ${tried.join(' ')} ${advice}.`,
        this.#attempts,
      ),
    );
  }
}

/** The message without its code. */
function plain({ code, message }: SwimError): string {
  return message.slice(code.length + 2);
}
