// The driven port to the file that holds what the cluster has agreed on, as this node has applied it.

/** One file of a few KiB, replaced as a whole. */
export interface MetaFile {
  /** What was saved last; undefined: nothing yet. @throws StartupError `DATA_CORRUPT` */
  load(): Promise<Uint8Array | undefined>;
  /** Durable when it resolves; a crash leaves the old bytes or the new ones. */
  save(bytes: Uint8Array): Promise<void>;
}
