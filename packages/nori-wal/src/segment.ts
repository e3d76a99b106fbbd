// What the log knows of one of its segments.
import { segmentName } from './segment-format.js';

/** One segment. `endOffset` grows while it is the last one, and goes back when the log is cut back. */
export interface Segment {
  readonly id: number;
  readonly path: string;
  /** Position of the file's first byte. */
  readonly base: number;
  /** Position at which the segment before it ended, or was cut: then it is smaller than `base`. */
  readonly previousEnd: number;
  /** File offset behind the last record. */
  endOffset: number;
  /** Readers that have the file open; while there are any, it is not recycled. */
  readers: number;
  /** Its file is being removed, or is. */
  leaving: boolean;
}

/** Path of a segment in a log's directory. */
export function segmentPath(dir: string, id: number): string {
  return inDirectory(dir, segmentName(id));
}

/** Path of a name in a log's directory. */
export function inDirectory(dir: string, name: string): string {
  return dir.endsWith('/') ? `${dir}${name}` : `${dir}/${name}`;
}

/** Position behind the last record of a segment. */
export function segmentEnd(segment: Segment): number {
  return segment.base + segment.endOffset;
}
