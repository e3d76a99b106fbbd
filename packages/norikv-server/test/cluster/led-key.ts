// Keys by who leads their shard, and questions to one node that no router passes on.
import type { ServerCluster } from './server-cluster.js';

/** Longer than anything takes here. */
const PATIENCE_MS = 150_000;
const KEYS_MAX = 500;

/** What a node says over HTTP. */
export interface Answer {
  /** 0: none. */
  readonly status: number;
  /** The value, or the error. */
  readonly text: string;
}

const NO_ANSWER: Answer = { status: 0, text: '' };

const request = async (url: string, init: RequestInit): Promise<Answer> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), ...init });
    return { status: response.status, text: await response.text() };
  } catch {
    return NO_ANSWER;
  }
};

const urlOf = (cluster: ServerCluster, number: number, key: string) =>
  `${cluster.http(number)}/kv/${encodeURIComponent(key)}`;

/** Asks one node over HTTP, which does not follow leaders. */
export const ask = (cluster: ServerCluster, number: number, key: string, consistency: string): Promise<Answer> =>
  request(`${urlOf(cluster, number, key)}?consistency=${consistency}`, {});

/** The value that a node answers with; undefined: none. */
export const valueAt = async (
  cluster: ServerCluster,
  number: number,
  key: string,
  consistency: string,
): Promise<string | undefined> => {
  const { status, text } = await ask(cluster, number, key, consistency);
  return status === 200 ? text : undefined;
};

/** Writes through one node, which does not follow leaders. */
export const writeAt = (cluster: ServerCluster, number: number, key: string, value: string): Promise<Answer> =>
  request(urlOf(cluster, number, key), { method: 'PUT', body: value });

/** Reads that a node has answered as the leader, by how it made sure that they are fresh. */
export const readsOf = (cluster: ServerCluster, number: number, by: 'lease' | 'quorum'): Promise<number> =>
  cluster.metric(number, `raft_reads_total{by="${by}"}`);

/** A key, with the value `first`, whose shard is led by a node, once leaders are where they belong. */
export const keyLedBy = async (cluster: ServerCluster, number: number, prefix = 'key'): Promise<string> => {
  const client = await cluster.client();
  for (let i = 0; i < KEYS_MAX; i++) {
    const key = `${prefix}-${i}`;
    await client.put(key, 'first', { timeoutMs: PATIENCE_MS });
    const before = await readsOf(cluster, number, 'lease');
    await client.get(key, { timeoutMs: PATIENCE_MS });
    if ((await readsOf(cluster, number, 'lease')) > before) return key;
  }
  throw new Error(`n${number} leads nothing`);
};
