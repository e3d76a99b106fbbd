// norikv start: one node in the foreground.
//
//   starting ──ready line──▶ serving ──SIGTERM, SIGINT──▶ draining ──▶ exit 0
//      │                        │                            │
//      └── cannot start: 1      └── node failed: 1           └── second signal: 1
//
// stdout carries the ready line and nothing else; the log goes to stderr.
import { Command } from 'commander';
import type { NodeConfig } from '../config/node-config.js';
import type { RunningNode } from '../node.js';
import type { Logger } from '../ports/logger.js';
import { addSettingOptions, loadNodeConfig } from './node-options.js';
import { surviveBrokenPipe } from './output.js';
import { StopSignal } from './stop-signal.js';

export const startCommand = (): Command =>
  addSettingOptions(new Command('start'))
    .description('run a node until SIGTERM or SIGINT; prints one line once it serves')
    .action(async (flags: Readonly<Record<string, unknown>>) => {
      const { config, file } = await loadNodeConfig(flags);
      surviveBrokenPipe();
      const { createLogger } = await import('../adapters/logger.js');
      const logger = createLogger({
        level: config.logLevel,
        format: config.logFormat,
        nodeId: config.nodeId,
        terminal: process.stderr.isTTY === true,
      });
      await runNode(config, logger, file);
    });

const runNode = async (config: NodeConfig, logger: Logger, file: string | undefined): Promise<void> => {
  const stop = new StopSignal();
  const { startNode } = await import('../node.js');
  const giveUp = new AbortController();
  void stop.received.then(() => giveUp.abort());
  let node: RunningNode;
  try {
    node = await startNode(config, { logger, signal: giveUp.signal });
  } catch (error) {
    // Stopped while it waited for other nodes.
    if (giveUp.signal.aborted && error === giveUp.signal.reason) return;
    throw error;
  }
  logger.info({ rpc: node.rpcAddress, http: node.httpAddress, data: config.dataDir, configFile: file }, 'Serving');
  process.stdout.write(readyLine(config, node));
  const failure = await Promise.race([stop.received, node.failed]);
  if (typeof failure !== 'string') {
    logger.error({ err: failure }, 'The node failed and ends');
    throw failure;
  }
  logger.info({ signal: failure, drainTimeoutMs: config.drainTimeoutMs }, 'Stopping');
  await node.stop(failure);
  logger.info({}, 'Stopped');
};

/** `norikv ready pid=1234 node=n1 rpc=127.0.0.1:7447 http=http://127.0.0.1:8080 data=./data`. */
const readyLine = (config: NodeConfig, node: RunningNode): string => {
  const data = /\s/.test(config.dataDir) ? JSON.stringify(config.dataDir) : config.dataDir;
  return `norikv ready pid=${process.pid} node=${node.nodeId} rpc=${node.rpcAddress} http=http://${node.httpAddress} data=${data}\n`;
};
