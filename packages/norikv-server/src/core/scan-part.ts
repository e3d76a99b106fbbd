// This node's part of a scan that another node puts together: of the shards that are asked for, those that it leads, and may read now.
import { LIMITS } from 'norikv-protocol';
import { NodeError } from '../domain/node-error.js';
import { groupOfShard } from '../domain/placement.js';
import {
  decodePartRequest,
  encodePartAnswer,
  type PartAnswer,
  type PartRequest,
  ShardSet,
} from '../domain/scan-part.js';
import type { ShardPeers } from '../ports/shard-peers.js';
import type { PartContext } from './scan.js';
import { GroupReader, type GroupSource, readableGroups } from './scan-groups.js';
import { mergeRuns } from './scan-merge.js';
import { ScanSlicer } from './scan-slicer.js';
import type { Store } from './store.js';

/** Parts that are made at the same time. */
const PARTS_MAX = 256;
/** How long a shard may take to tell whether it may be read; without it the part is made of the others. */
export const BARRIER_MS_MAX = 400;
const RETRY_AFTER_MS = 50;

/** Whether a node has, or is to have, a replica of a group: nobody else can say what is not there, however old the answer may be. */
export const hasReplica = (group: number, store: Store, peers: ShardPeers): boolean =>
  store.isActive(group) || peers.hostsOf(group - groupOfShard(0)).includes(peers.nodeId);

/** Shards of a request that this node can speak for, as things stand. */
export const sortShards = (
  shards: Iterable<number>,
  consistency: PartRequest['consistency'],
  { router, peers }: PartContext,
  onBlank: (shard: number) => void,
): GroupSource[] => {
  const sources: GroupSource[] = [];
  for (const shard of shards) {
    const group = groupOfShard(shard);
    const store = router.storeOf(group);
    if (consistency === 'stale_ok') {
      if (hasReplica(group, store, peers)) sources.push({ store, group });
    } else if (store.mayLead(group)) sources.push({ store, group });
    else if (store.isBlank(group)) onBlank(shard);
  }
  return sources;
};

/** Makes a node's part. @throws NodeError `DEADLINE_EXCEEDED` and what reading throws */
export const readPart = async (request: PartRequest, context: PartContext): Promise<PartAnswer> => {
  const { clock } = context;
  const { shards, consistency, limit, bytesMax, timeoutMs, reverse } = request;
  const { shardCount } = context.router;
  const blank = ShardSet.ofSize(shardCount);
  const known = ShardSet.ofSize(shardCount);
  for (const shard of shards) if (shard < shardCount) known.add(shard);
  const candidates = sortShards(known, consistency, context, (shard) => blank.add(shard));
  const patienceMs = Math.min(BARRIER_MS_MAX, timeoutMs / 2);
  const { sources } = await readableGroups(candidates, consistency, patienceMs, clock);
  const served = ShardSet.ofSize(shardCount);
  for (const { group } of sources) served.add(group - 1);
  const deadlineMs = clock.monotonic() + timeoutMs;
  const slicer = new ScanSlicer({ deadlineMs, signal: undefined }, clock);
  const reader = new GroupReader(sources, { range: request, consistency, deadlineMs, limit, clock, slicer });
  try {
    const { entries, resume } = await mergeRuns(
      await reader.runs(),
      reverse,
      { entries: limit, bytes: bytesMax },
      slicer,
      reader.completeTo,
    );
    return { served, blank, resume, entries };
  } finally {
    reader.close();
  }
};

/** Answers other nodes. */
export class ScanPartServer {
  readonly #context: PartContext;
  #running = 0;

  constructor(context: PartContext) {
    this.#context = context;
  }

  /** @throws NodeError, which travels */
  async answer(body: Uint8Array): Promise<Uint8Array> {
    if (this.#running >= PARTS_MAX) {
      const message = `This node makes ${this.#running} parts of scans already. Try again later.`;
      throw new NodeError('UNAVAILABLE', message, { retryAfterMs: RETRY_AFTER_MS });
    }
    let request: PartRequest;
    try {
      request = decodePartRequest(body);
    } catch (cause) {
      throw new NodeError('INVALID_ARGUMENT', 'The part of a scan that is asked for cannot be understood.', { cause });
    }
    const { limit, bytesMax } = request;
    if (limit < 1 || limit > LIMITS.scanLimitMax || bytesMax > LIMITS.scanPageBytesMax) {
      throw new NodeError('INVALID_ARGUMENT', `A part of ${limit} entries and ${bytesMax} bytes is beyond the limits.`);
    }
    this.#running++;
    try {
      return encodePartAnswer(await readPart(request, this.#context));
    } finally {
      this.#running--;
    }
  }
}
