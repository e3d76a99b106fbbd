// norikv status: what each named node says of itself.
import { Command } from 'commander';
import type { StatusResponse } from 'norikv-protocol';
import { CommandFailure } from './failure.js';
import { formatTable, writeJson, writeOut } from './output.js';
import { type SessionOptions, sessionOptions } from './session.js';

/** One node's answer, or why there is none. */
type NodeAnswer = { readonly endpoint: string } & (
  | { readonly status: StatusResponse }
  | { readonly code: string; readonly message: string }
);

export const statusCommand = (): Command =>
  new Command('status')
    .description('show the state of each node of --endpoints; exit 1 if one does not answer or is not ready')
    .action(async (_flags: object, command: Command) => {
      const session = sessionOptions(command);
      const answers = await askAll(session);
      if (session.output === 'json') await writeJson(answers.map(answerObject));
      else if (session.output === 'table') await writeOut(formatTable([HEADER, ...answers.map(answerRow)]));
      else
        await writeOut(
          answers
            .filter((answer) => 'status' in answer || answers.length > 1)
            .map(answerText)
            .join('\n'),
        );
      const failed = answers.find((answer) => 'code' in answer || !answer.status.ready);
      if (failed === undefined) return;
      if ('code' in failed) throw new CommandFailure(failed.code, `${failed.endpoint}: ${failed.message}`);
      throw new CommandFailure('UNAVAILABLE', `${failed.endpoint}: the node is not ready.`);
    });

const askAll = async (session: SessionOptions): Promise<NodeAnswer[]> => {
  const [{ Code, ConnectError, createClient }, { createConnectTransport }, { Admin }] = await Promise.all([
    import('@connectrpc/connect'),
    import('@connectrpc/connect-node'),
    import('norikv-protocol'),
  ]);
  const ask = async (endpoint: string): Promise<NodeAnswer> => {
    const transport = createConnectTransport({ baseUrl: `http://${endpoint}`, httpVersion: '1.1' });
    try {
      return { endpoint, status: await createClient(Admin, transport).status({}, { timeoutMs: session.timeoutMs }) };
    } catch (error) {
      const failure = ConnectError.from(error);
      const code = Code[failure.code].replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
      return { endpoint, code, message: failure.rawMessage };
    }
  };
  return Promise.all(session.endpoints.map(ask));
};

const HEADER = ['ENDPOINT', 'NODE', 'STATE', 'VERSION', 'UPTIME', 'SHARDS', 'TABLES', 'LOG'];

const answerRow = (answer: NodeAnswer): string[] => {
  if ('code' in answer) return [answer.endpoint, '-', answer.code, '-', '-', '-', '-', '-'];
  const { status } = answer;
  return [
    answer.endpoint,
    status.nodeId,
    status.ready ? 'ready' : 'not ready',
    status.version,
    formatDuration(Number(status.uptimeMs)),
    `${status.activeShards}/${status.shardCount}`,
    formatBytes(Number(status.storage?.tableBytes ?? 0)),
    formatBytes(Number(status.log?.bytes ?? 0)),
  ];
};

const answerText = (answer: NodeAnswer): string => {
  if ('code' in answer) {
    return formatTable([
      ['endpoint', answer.endpoint],
      ['state', `${answer.code}: ${answer.message}`],
    ]);
  }
  const { status } = answer;
  const { storage, log } = status;
  return formatTable([
    ['node', status.nodeId],
    ['endpoint', answer.endpoint],
    ['state', status.ready ? 'ready' : 'not ready'],
    ['version', status.version],
    ['uptime', formatDuration(Number(status.uptimeMs))],
    ['cluster', Buffer.from(status.clusterId).toString('hex')],
    ['shards', `${status.activeShards} written to, of ${status.shardCount}`],
    ['memtables', `${storage?.memtables ?? 0}, ${formatBytes(Number(storage?.memtableBytes ?? 0))}`],
    ['tables', `${sum(storage?.levelTables)}, ${formatBytes(Number(storage?.tableBytes ?? 0))}`],
    ['block cache', formatBytes(Number(storage?.blockCacheBytes ?? 0))],
    ['log', `${log?.segments ?? 0} segments, ${formatBytes(Number(log?.bytes ?? 0))}`],
  ]);
};

/** Plain data for JSON: 64-bit numbers as numbers (they stay below 2^53), the cluster id in hex. */
const answerObject = (answer: NodeAnswer): Record<string, unknown> => {
  if ('code' in answer) return { ...answer };
  const { $typeName: _, clusterId, storage, log, ...status } = answer.status;
  return {
    endpoint: answer.endpoint,
    ...plainNumbers(status),
    clusterId: Buffer.from(clusterId).toString('hex'),
    storage: plainNumbers(storage ?? {}),
    log: plainNumbers(log ?? {}),
  };
};

const plainNumbers = (message: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(message)
      .filter(([name]) => !name.startsWith('$'))
      .map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
  );

const sum = (counts: readonly number[] | undefined): number =>
  (counts ?? []).reduce((total, count) => total + count, 0);

const formatBytes = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  let value = bytes;
  for (; value >= 1024 && at < units.length - 1; at++) value /= 1024;
  return `${at === 0 ? value : value.toFixed(1)} ${units[at]}`;
};

const formatDuration = (ms: number): string => {
  const seconds = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
};
