// One page of an ordered scan over all shards (rule 10). Shards are hashed, so neighbours in key order lie in different groups, and
// their leaders on different nodes: the node that is asked reads the groups that it leads, has the other nodes read theirs at the same
// time, and merges what comes.
//
//   scan-range      which keys            scan-groups   what is read here       scan-merge, scan-heap   in order
//   scan-nearest    what a short page leaves unread
//   scan-coverage   which shards          scan-part     for another node        scan-gathering          from other nodes
//
// Each key that is returned, or absent, is linearizable within the call: each shard is read once, after the call has begun, by its leader.
// A page may end before its limit: where the part of another node does, since its shards would have to be read a second time.
import type { Clock } from 'nori-io';
import { LIMITS } from 'norikv-protocol';
import type { ScanPage, ScanQuery } from '../ports/kv.js';
import type { ShardPeers } from '../ports/shard-peers.js';
import type { Router } from './router.js';
import type { ScanAdmission } from './scan-admission.js';
import { ScanCoverage } from './scan-coverage.js';
import { type PartQuestion, ScanGathering } from './scan-gathering.js';
import { GroupReader, type GroupSource, readableGroups } from './scan-groups.js';
import type { ScanRun } from './scan-heap.js';
import { type Merged, mergeRuns } from './scan-merge.js';
import { BARRIER_MS_MAX, hasReplica, sortShards } from './scan-part.js';
import { encodeToken, NO_TOKEN, pageLimit, rangeOf, type ScanRange } from './scan-range.js';
import { ScanSlicer } from './scan-slicer.js';

/** Up to this limit every node is asked for as much as the page can hold. */
const WHOLE_LIMIT_MAX = 128;
/** What a node is asked for at least, where it is asked for a share. */
const SHARE_BYTES_MIN = 256 * 1024;

/** Where scans find what they read. */
export interface PartContext {
  readonly router: Router;
  readonly peers: ShardPeers;
  readonly clock: Clock;
}

/** What a node that puts scans together has besides. */
export interface ScanContext extends PartContext {
  readonly admission: ScanAdmission;
}

/** What the steps of one page share. */
interface PageContext extends ScanContext {
  readonly query: ScanQuery;
  readonly range: ScanRange;
  readonly limit: number;
  readonly slicer: ScanSlicer;
}

/**
 * Reads one page.
 * @throws NodeError `INVALID_ARGUMENT`, `UNAVAILABLE`, `RESOURCE_EXHAUSTED`, `DEADLINE_EXCEEDED`, `CANCELLED`; `NOT_LEADER` if the keys are of one shard, which
 * another node leads
 */
export const scanPage = async (query: ScanQuery, context: ScanContext): Promise<ScanPage> => {
  const limit = pageLimit(query.limit);
  const range = rangeOf(query);
  const page = { ...context, query, range, limit, slicer: new ScanSlicer(query, context.clock) };
  page.slicer.check();
  const { router, peers, admission } = context;
  const only = router.groupOfPrefix(query.prefix);
  if (only === undefined) {
    const shards = Array.from({ length: router.shardCount }, (_, shard) => shard);
    return admission.run(query, () => readShards(shards, page));
  }
  const store = router.storeOf(only);
  if (query.consistency === 'stale_ok') {
    if (!hasReplica(only, store, peers)) return readShards([only - 1], page);
  } else if (query.consistency === 'linearizable' || !store.hasLease(only)) await store.readBarrier(only);
  return pageOf(await mergeWith([{ store, group: only }], async () => [], page));
};

const readShards = async (shards: readonly number[], page: PageContext): Promise<ScanPage> => {
  const { query, router, peers, clock } = page;
  const { consistency } = query;
  const coverage = new ScanCoverage(shards, router.shardCount, peers);
  const own = sortShards(shards, consistency, page, (shard) => coverage.blank(shard, peers.nodeId));
  const gathering = new ScanGathering(page, query, questionOf(page), coverage);
  try {
    gathering.ask(own.map(({ group }) => group - 1));
    const { sources, failure } = await readableGroups(own, consistency, BARRIER_MS_MAX, clock);
    if (failure !== undefined) gathering.noteFailure(failure);
    const merged = await mergeWith(
      sources.filter(({ group }) => coverage.serve(group - 1)),
      () => gathering.finish(),
      page,
    );
    return pageOf(merged);
  } finally {
    gathering.close();
  }
};

/** Merges groups of this node with the runs that come meanwhile. */
const mergeWith = async (
  sources: readonly GroupSource[],
  others: () => Promise<readonly ScanRun[]>,
  page: PageContext,
): Promise<Merged> => {
  const { query, range, limit, slicer, clock } = page;
  const { consistency, deadlineMs } = query;
  const reader = new GroupReader(sources, { range, consistency, deadlineMs, limit, clock, slicer });
  try {
    const runs = await reader.runs();
    runs.push(...(await others()));
    const limits = { entries: limit, bytes: LIMITS.scanPageBytesMax };
    return await mergeRuns(runs, range.reverse, limits, slicer, reader.completeTo);
  } finally {
    reader.close();
  }
};

/** What other nodes are asked for: of a large page their share and half as much again. */
const questionOf = ({ query, range, limit, peers }: PageContext): PartQuestion => {
  const share = Math.min(1, 1.5 / (peers.reachable().length + 1));
  const { scanPageBytesMax } = LIMITS;
  return {
    ...range,
    consistency: query.consistency,
    limit: limit <= WHOLE_LIMIT_MAX ? limit : Math.max(WHOLE_LIMIT_MAX, Math.ceil(limit * share)),
    bytesMax: Math.max(SHARE_BYTES_MIN, Math.ceil(scanPageBytesMax * share)),
  };
};

const pageOf = ({ entries, resume }: Merged): ScanPage => ({
  entries,
  nextToken: resume === undefined ? NO_TOKEN : encodeToken(resume),
});
