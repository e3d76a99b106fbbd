// A client port and an HTTP port around a MemoryNode, on free ports.
import { systemClock } from 'nori-io';
import { RecordingMeter } from 'nori-observe';
import { ClientPort, type ClientPortLimits } from '../../../src/adapters/connect-transport/client-port.js';
import { EventHub } from '../../../src/adapters/http/event-hub.js';
import { HttpPort, type HttpPortOptions } from '../../../src/adapters/http/http-port.js';
import { Readiness } from '../../../src/adapters/net/readiness.js';
import { RequestMetrics } from '../../../src/adapters/net/request-metrics.js';
import { type Logger, silentLogger } from '../../../src/ports/logger.js';
import { MemoryNode } from './memory-node.js';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

const environment = () => {
  const clock = systemClock;
  const node = new MemoryNode(clock);
  const meter = new RecordingMeter();
  return {
    clock,
    node,
    meter,
    logger: silentLogger,
    metrics: new RequestMetrics(meter),
    readiness: new Readiness(node, clock),
  };
};

/** Starts a client port. */
export const startClientPort = async (limits: Partial<ClientPortLimits> = {}, logger: Logger = silentLogger) => {
  const parts = { ...environment(), logger };
  const transport = new ClientPort({ ...parts, address: LOOPBACK, limits });
  const { port } = await transport.listen();
  return { ...parts, transport, port, target: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` };
};

/** Starts an HTTP port. */
export const startHttpPort = async (options: Partial<HttpPortOptions> = {}) => {
  const parts = environment();
  const events = new EventHub();
  const metricsPage = { contentType: 'text/plain; version=0.0.4; charset=utf-8', render: () => 'up 1\n' };
  const transport = new HttpPort({ ...parts, events, metricsPage, address: LOOPBACK, ...options });
  const { port } = await transport.listen();
  return { ...parts, events, transport, port, url: `http://127.0.0.1:${port}` };
};

/** Resolves when `condition` holds, asking again every few milliseconds; rejects after ten seconds. */
export const eventually = async (condition: () => boolean): Promise<void> => {
  for (let i = 0; i < 2_000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`This never became true: ${condition}`);
};
