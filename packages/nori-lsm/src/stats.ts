// The part of `stats()` that describes the tables: levels with their targets, debts, amplification.
import { levelScores, levelTargets, pendingCompactionBytes, type TreeShape } from './level-targets.js';
import type { LsmStats } from './types.js';
import type { Version } from './version.js';

type TreeStats = Pick<
  LsmStats,
  | 'levels'
  | 'baseLevel'
  | 'tableBytes'
  | 'pendingCompactionBytes'
  | 'spaceAmplification'
  | 'pinnedBytes'
  | 'writeAmplification'
>;

/** Looks at every table once. */
export const treeStats = (
  version: Version,
  shape: TreeShape,
  counts: { readonly flushedBytes: number; readonly compactionWrittenBytes: number },
): TreeStats => {
  const targets = levelTargets(version, shape);
  const scores = levelScores(version, shape, targets);
  const deepestBytes = version.bytesIn(version.deepestLevel);
  let pinnedBytes = 0;
  for (const tables of version.levels) for (const table of tables) pinnedBytes += table.pinnedBytes;
  const { flushedBytes, compactionWrittenBytes } = counts;
  return {
    levels: version.levels.map((tables, level) => ({
      level,
      tables: tables.length,
      bytes: version.bytesIn(level),
      targetBytes: targets.bytes[level]!,
      score: scores[level]!,
    })),
    baseLevel: targets.base,
    tableBytes: version.bytes,
    pendingCompactionBytes: pendingCompactionBytes(version, shape, targets),
    spaceAmplification: deepestBytes === 0 ? 1 : version.bytes / deepestBytes,
    pinnedBytes,
    writeAmplification: flushedBytes === 0 ? 0 : (flushedBytes + compactionWrittenBytes) / flushedBytes,
  };
};
