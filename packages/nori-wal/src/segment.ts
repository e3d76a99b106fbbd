// What the log knows of one of its segments.
import { segmentName } from './segment-format.js';

/** One segment. `endOffset` grows while it is the last one. */
export interface Segment {
  readonly id: number;
  readonly path: string;
  /** Position of the file's first byte. */
  readonly base: number;
  /** File offset behind the last record. */
  endOffset: number;
}

/** Path of a segment in a log's directory. */
export function segmentPath(dir: string, id: number): string {
  return dir.endsWith('/') ? `${dir}${segmentName(id)}` : `${dir}/${segmentName(id)}`;
}

/** Position behind the last record of a segment. */
export function segmentEnd(segment: Segment): number {
  return segment.base + segment.endOffset;
}
