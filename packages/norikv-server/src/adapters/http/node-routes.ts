// What the HTTP port says of the node itself: liveness, readiness, health, metrics, the cluster.
import type { ServerResponse } from 'node:http';
import { toHex } from '../../domain/hex.js';
import type { KvNode } from '../../ports/kv.js';
import type { Readiness } from '../net/readiness.js';
import { sendJson, sendText } from './reply.js';

/** Renders the metrics page. */
export interface MetricsPage {
  readonly contentType: string;
  readonly render: () => string;
}

/** 200 as long as the process answers: whoever restarts on failure must not restart for a lost quorum. */
export const sendLiveness = (response: ServerResponse, verbose: boolean): void =>
  sendText(response, 200, verbose ? '[+]process ok\nlivez check passed\n' : 'ok\n');

/** 200 if the node takes requests, else 503 with the reasons. */
export const sendReadiness = (response: ServerResponse, readiness: Readiness, verbose: boolean): void => {
  const { ready, reasons } = readiness.verdict();
  const lines = reasons.map((reason) => (verbose ? `[-]node failed: ${reason}` : reason));
  if (verbose) {
    if (lines.length === 0) lines.push(ready ? '[+]node ok' : '[-]node failed');
    lines.push(ready ? 'readyz check passed' : 'readyz check failed');
  } else if (lines.length === 0) lines.push(ready ? 'ok' : 'not ready');
  sendText(response, ready ? 200 : 503, `${lines.join('\n')}\n`);
};

/** The node's status as JSON. */
export const healthReport = (node: KvNode, readiness: Readiness) => {
  const status = node.status();
  const { ready, reasons } = readiness.verdict();
  return {
    status: ready ? 'ok' : 'unavailable',
    ready,
    draining: readiness.draining,
    reasons: ready ? status.reasons : reasons,
    nodeId: status.nodeId,
    version: status.version,
    uptimeMs: Math.floor(status.uptimeMs),
    clusterId: toHex(status.clusterId),
    shardCount: status.shardCount,
    activeShards: status.activeShards,
    storage: status.storage,
    log: status.log,
  };
};

/** {@link healthReport} with 200, or 503 while the node is not ready. */
export const sendHealth = (response: ServerResponse, node: KvNode, readiness: Readiness): void => {
  const report = healthReport(node, readiness);
  sendJson(response, report.ready ? 200 : 503, report);
};

/** The cluster as clients see it. */
export const sendCluster = (response: ServerResponse, node: KvNode): void => {
  const { clusterId, ...cluster } = node.cluster();
  sendJson(response, 200, { clusterId: toHex(clusterId), ...cluster });
};

/** The metrics page. */
export const sendMetrics = (response: ServerResponse, page: MetricsPage): void =>
  sendText(response, 200, page.render(), page.contentType);
