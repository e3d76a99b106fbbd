/** What went wrong when a metric was registered or used. */
export type ObserveErrorCode =
  /** A metric name is not `[a-zA-Z_:][a-zA-Z0-9_:]*`. */
  | 'OBSERVE_INVALID_NAME'
  /** A label name is not `[a-zA-Z_][a-zA-Z0-9_]*`, begins with `__`, is `le` on a histogram, or its value is no string. */
  | 'OBSERVE_INVALID_LABEL'
  /** Histogram bounds are empty, not finite or not strictly ascending. */
  | 'OBSERVE_INVALID_BUCKETS'
  /** The name is taken by a metric of another type. */
  | 'OBSERVE_TYPE_CONFLICT'
  /** A counter was asked to go down, or by something that is not a number. */
  | 'OBSERVE_NEGATIVE_INCREMENT';

/** The one error class of nori-observe; all of its errors are mistakes of the calling program. */
export class ObserveError extends Error {
  readonly code: ObserveErrorCode;

  constructor(code: ObserveErrorCode, message: string) {
    super(message);
    this.name = 'ObserveError';
    this.code = code;
  }
}
