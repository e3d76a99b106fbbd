// What the composition root asks of everything that listens: start, drain, stop.

/** Where a transport listens; `host` has no brackets. */
export interface ListenAddress {
  readonly host: string;
  /** Asked for, 0 means any free port; reported, it is the one in use. */
  readonly port: number;
}

/** A listener of the node. Life: `listen` → `drain` → `close`; `close` alone is allowed at any time. */
export interface Transport {
  /**
   * Starts to accept connections and returns the address in use.
   *
   * @throws ListenError
   */
  listen(): Promise<ListenAddress>;
  /**
   * Accepts nothing new, tells callers to go elsewhere, and lets what is under way finish. Resolves when every connection
   * has ended, at the latest after `timeoutMs`, when those left are cut.
   */
  drain(timeoutMs: number): Promise<void>;
  /** Cuts every connection and frees the port. Idempotent. */
  close(): Promise<void>;
}

/** Why a transport could not listen. */
export type ListenErrorCode = 'SERVER_PORT_IN_USE' | 'SERVER_ADDRESS_NOT_ALLOWED' | 'SERVER_LISTEN_FAILED';

/** A transport could not listen. The message names the address and the flag that sets it. */
export class ListenError extends Error {
  override readonly name = 'ListenError';

  constructor(
    readonly code: ListenErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
