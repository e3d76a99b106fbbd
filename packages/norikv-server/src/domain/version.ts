// A key's version: the log position of the entry that wrote it, compared term first.

/** Term and index of the log entry that wrote a key; both below 2^53. */
export interface Version {
  readonly term: number;
  readonly index: number;
}
