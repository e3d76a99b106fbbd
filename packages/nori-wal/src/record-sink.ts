// Who takes the records of a log while it is read, and what is thrown there: the caller's own, passed on as it is.
import type { WalRecord } from './log-reader.js';
import { asWalError } from './wal-error.js';

/** Takes records as they are verified, in order; what it returns is waited for. */
export type RecordSink = (records: WalRecord[]) => void | Promise<void>;

/** What a sink threw. */
class SinkFailure {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

/** A sink whose failures {@link failureOf} tells from others. */
export function guardedSink(sink: RecordSink): RecordSink {
  return async (records) => {
    try {
      await sink(records);
    } catch (error) {
      throw new SinkFailure(error);
    }
  };
}

/** What to throw to the caller of a read: what the sink threw, or a WalError. */
export function failureOf(error: unknown): unknown {
  return error instanceof SinkFailure ? error.cause : asWalError(error);
}
