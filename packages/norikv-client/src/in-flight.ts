// The operations of one stream that were sent and are not answered, by id. An operation that is given up leaves a marker
// under its ids: its answer still comes, and must be told from one that nobody asked for.
import { OPERATION_KIND } from 'norikv-protocol';
import { Operation, STATE } from './operation.js';

const marker = (kind: number): Operation => {
  const bytes = new Uint8Array(0);
  const row = { kind, key: bytes, value: bytes, ttlMs: 0, ifAbsent: false, ifVersion: undefined };
  const operation = new Operation(row, kind !== OPERATION_KIND.get, 0);
  operation.state = STATE.done;
  return operation;
};

/** A table of ids. */
export class InFlight {
  static readonly #forgottenGet = marker(OPERATION_KIND.get);
  static readonly #forgottenWrite = marker(OPERATION_KIND.put);
  readonly #byId = new Map<number, Operation>();
  #forgotten = 0;
  #bytes = 0;

  /** Rows whose answer someone waits for. */
  get rows(): number {
    return this.#byId.size - this.#forgotten;
  }

  /** Rows whose answer nobody waits for any more. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Bytes of keys and values that were sent and are not answered. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Enters an operation under its ids. */
  add(operation: Operation): void {
    this.#bytes += operation.bytes;
    const { id, rows } = operation;
    if (rows === undefined) this.#byId.set(id, operation);
    else for (let row = 0; row < rows.length; row++) this.#byId.set(id + row, operation);
  }

  /** Takes out what was asked under `id`: an operation, a marker in state done, or undefined. */
  take(id: number): Operation | undefined {
    const operation = this.#byId.get(id);
    if (operation === undefined) return undefined;
    this.#byId.delete(id);
    if (operation === InFlight.#forgottenGet || operation === InFlight.#forgottenWrite) this.#forgotten--;
    else if (operation.rows === undefined || id === operation.id + operation.rows.length - 1) {
      this.#bytes -= operation.bytes;
    }
    return operation;
  }

  /** Puts markers in the place of an operation, under those of its ids that are not answered. */
  forget(operation: Operation): void {
    const mark = operation.write ? InFlight.#forgottenWrite : InFlight.#forgottenGet;
    const { id, rowCount } = operation;
    for (let row = 0; row < rowCount; row++) {
      if (this.#byId.get(id + row) !== operation) continue;
      this.#byId.set(id + row, mark);
      this.#forgotten++;
      if (row === rowCount - 1) this.#bytes -= operation.bytes;
    }
  }

  /** Operations that someone waits for. */
  operations(): Set<Operation> {
    const all = new Set<Operation>();
    for (const operation of this.#byId.values()) if (operation.state === STATE.sent) all.add(operation);
    return all;
  }

  /** Empties the table and returns the operations that someone waits for. */
  takeAll(): Operation[] {
    const all = this.operations();
    this.#byId.clear();
    this.#forgotten = 0;
    this.#bytes = 0;
    return [...all];
  }
}
