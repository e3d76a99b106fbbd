// Makes one write of several: what turns have brought while the disk was busy goes together, each group named once.
import { payloadBytes } from '../entry-size.js';
import type { Entry } from '../types.js';
import type { GroupWrite } from './ports.js';

/** One list for all lists, in their order, with one write a group. */
export function mergeWrites(lists: readonly (readonly GroupWrite[])[]): readonly GroupWrite[] {
  if (lists.length === 1) return lists[0]!;
  const merged = new Map<number, GroupWrite>();
  for (const writes of lists) {
    for (const write of writes) {
      const earlier = merged.get(write.groupId);
      merged.set(write.groupId, earlier === undefined ? write : mergePair(earlier, write));
    }
  }
  return [...merged.values()];
}

/** Bytes of data of all entries. */
export function dataBytes(writes: readonly GroupWrite[]): number {
  let bytes = 0;
  for (let i = 0; i < writes.length; i++) bytes += payloadBytes(writes[i]!.entries);
  return bytes;
}

function mergePair(earlier: GroupWrite, later: GroupWrite): GroupWrite {
  const { groupId } = later;
  const hardState = later.hardState ?? earlier.hardState;
  // The log starts anew: what was to be written before is gone.
  if (later.snapshot !== undefined) return { ...later, hardState };
  return { groupId, hardState, snapshot: earlier.snapshot, entries: joined(earlier.entries, later.entries) };
}

function joined(earlier: readonly Entry[], later: readonly Entry[]): readonly Entry[] {
  if (later.length === 0) return earlier;
  if (earlier.length === 0) return later;
  // Later entries replace earlier ones from their first index on.
  const kept = later[0]!.index - earlier[0]!.index;
  if (kept <= 0) return later;
  return [...(kept < earlier.length ? earlier.slice(0, kept) : earlier), ...later];
}
