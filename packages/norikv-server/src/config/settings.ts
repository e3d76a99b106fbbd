// The table of settings: the one place that says what can be configured. Flags, environment variables, YAML keys, help,
// `norikv config print` and the check of values are all made from it; a test holds the README to it.
import type { NodeConfig } from './node-config.js';

/** What values a setting takes. */
export type SettingKind =
  | { readonly type: 'text'; readonly pattern: RegExp; readonly allowed: string }
  | { readonly type: 'address' }
  | { readonly type: 'addresses' }
  /** An address to give to others; none by default. */
  | { readonly type: 'advertised' }
  | { readonly type: 'hosts' }
  /** `scale`: the configuration holds the value times this, for example bytes for MiB. */
  | { readonly type: 'integer'; readonly min: number; readonly max: number; readonly scale?: number }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  | { readonly type: 'switch' };

/** One setting. Its flag is `--key`, its environment variable `NORIKV_KEY` with underscores, its YAML key `key`. */
export interface Setting {
  readonly key: string;
  readonly field: keyof NodeConfig;
  readonly kind: SettingKind;
  /** As it would be written in YAML. */
  readonly default: string | number | boolean | readonly string[];
  readonly unit?: string;
  /** What stands for the value in help; none for switches. */
  readonly placeholder?: string;
  readonly description: string;
}

const MIB = 1024 * 1024;

/** All settings, in the order in which they are shown. */
export const SETTINGS: readonly Setting[] = [
  {
    key: 'node-id',
    field: 'nodeId',
    kind: {
      type: 'text',
      pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
      allowed: '1 to 63 letters, digits, ".", "_" or "-", beginning with a letter or digit',
    },
    default: 'n1',
    placeholder: 'NAME',
    description: 'Name of the node, unique in its cluster and stable for the life of its data',
  },
  {
    key: 'data-dir',
    field: 'dataDir',
    kind: { type: 'text', pattern: /^[^\0]+$/, allowed: 'the path of a directory' },
    default: './norikv-data',
    placeholder: 'DIR',
    description: 'Directory of the data; made if missing; relative to the working directory',
  },
  {
    key: 'rpc-addr',
    field: 'rpcAddr',
    kind: { type: 'address' },
    default: '127.0.0.1:7447',
    placeholder: 'HOST:PORT',
    description: 'Where clients connect: Connect, gRPC and gRPC-web',
  },
  {
    key: 'peer-addr',
    field: 'peerAddr',
    kind: { type: 'address' },
    default: '127.0.0.1:7448',
    placeholder: 'HOST:PORT',
    description: 'Where other nodes connect; a node without others does not listen on it',
  },
  {
    key: 'gossip-addr',
    field: 'gossipAddr',
    kind: { type: 'address' },
    default: '127.0.0.1:7449',
    placeholder: 'HOST:PORT',
    description: 'Where gossip arrives, UDP and TCP; a node without others does not listen on it',
  },
  {
    key: 'http-addr',
    field: 'httpAddr',
    kind: { type: 'address' },
    default: '127.0.0.1:8080',
    placeholder: 'HOST:PORT',
    description: 'REST, health and metrics',
  },
  {
    key: 'rpc-advertise',
    field: 'rpcAdvertise',
    kind: { type: 'advertised' },
    default: '',
    placeholder: 'HOST:PORT',
    description: 'Where clients reach this node, if not at rpc-addr: behind NAT, in a container',
  },
  {
    key: 'peer-advertise',
    field: 'peerAdvertise',
    kind: { type: 'advertised' },
    default: '',
    placeholder: 'HOST:PORT',
    description: 'Where other nodes reach this one, if not at peer-addr',
  },
  {
    key: 'http-advertise',
    field: 'httpAdvertise',
    kind: { type: 'advertised' },
    default: '',
    placeholder: 'HOST:PORT',
    description: 'Where dashboard and metrics of this node are reached, if not at http-addr',
  },
  {
    key: 'join',
    field: 'join',
    kind: { type: 'addresses' },
    default: [],
    placeholder: 'HOST:PORT,...',
    description: 'Gossip addresses of the nodes that form the cluster, this one among them, or of nodes of one to join',
  },
  {
    key: 'expect',
    field: 'expect',
    kind: { type: 'integer', min: 1, max: 1024 },
    default: 1,
    unit: 'nodes',
    placeholder: 'N',
    description: 'How many nodes form the cluster: as many as --join names',
  },
  {
    key: 'insecure',
    field: 'insecure',
    kind: { type: 'switch' },
    default: false,
    description: 'Allow addresses that other machines reach, without encryption or authentication',
  },
  {
    key: 'allowed-hosts',
    field: 'allowedHosts',
    kind: { type: 'hosts' },
    default: [],
    placeholder: 'HOST,...',
    description: 'Names accepted in Host and Origin beside the addresses listened on and localhost',
  },
  {
    key: 'fsync',
    field: 'fsync',
    kind: { type: 'choice', choices: ['batch', 'always', 'os'] },
    default: 'batch',
    placeholder: 'POLICY',
    description:
      'When a write is acknowledged: batch and always after it is on disk (batch shares one sync among writers), os before',
  },
  {
    key: 'memtable-mb',
    field: 'memtableBytes',
    kind: { type: 'integer', min: 4, max: 1024, scale: MIB },
    default: 32,
    unit: 'MiB',
    placeholder: 'N',
    description: 'Size at which writes held in memory become a table',
  },
  {
    key: 'block-cache-mb',
    field: 'blockCacheBytes',
    kind: { type: 'integer', min: 1, max: 65_536, scale: MIB },
    default: 128,
    unit: 'MiB',
    placeholder: 'N',
    description: 'Memory for blocks read from tables',
  },
  {
    key: 'log-segment-mb',
    field: 'logSegmentBytes',
    kind: { type: 'integer', min: 4, max: 1024, scale: MIB },
    default: 128,
    unit: 'MiB',
    placeholder: 'N',
    description: 'Size of one file of the write-ahead log',
  },
  {
    key: 'ballast-mb',
    field: 'ballastBytes',
    kind: { type: 'integer', min: 0, max: 65_536, scale: MIB },
    default: 64,
    unit: 'MiB',
    placeholder: 'N',
    description:
      'Space put aside for the moment when the disk is full; less on a small disk (a sixteenth of what is free), 0 for none',
  },
  {
    key: 'drain-timeout-ms',
    field: 'drainTimeoutMs',
    kind: { type: 'integer', min: 0, max: 600_000 },
    default: 10_000,
    unit: 'ms',
    placeholder: 'N',
    description: 'How long a stopping node waits for requests that are being served',
  },
  {
    key: 'log-level',
    field: 'logLevel',
    kind: { type: 'choice', choices: ['trace', 'debug', 'info', 'warn', 'error', 'silent'] },
    default: 'info',
    placeholder: 'LEVEL',
    description: 'Least severity that is logged',
  },
  {
    key: 'log-format',
    field: 'logFormat',
    kind: { type: 'choice', choices: ['auto', 'json', 'text'] },
    default: 'auto',
    placeholder: 'FORMAT',
    description: 'Form of the log on stderr: auto is text on a terminal, else json',
  },
];

/** The command line flag of a setting. */
export const flagOf = (setting: Setting): string => `--${setting.key}`;

/** The environment variable of a setting. */
export const environmentOf = (setting: Setting): string => `NORIKV_${setting.key.toUpperCase().replaceAll('-', '_')}`;

/** What a setting takes, in words, for help and messages. */
export const allowedOf = (setting: Setting): string => {
  const { kind } = setting;
  switch (kind.type) {
    case 'text':
      return kind.allowed;
    case 'address':
      return 'HOST:PORT with a port from 0 to 65535, an IPv6 host in brackets';
    case 'addresses':
      return 'a list of HOST:PORT';
    case 'advertised':
      return 'HOST:PORT with a port from 1 to 65535, an IPv6 host in brackets';
    case 'hosts':
      return 'a list of host names or addresses without port';
    case 'integer':
      return `a whole number from ${kind.min} to ${kind.max}${setting.unit === undefined ? '' : ` (${setting.unit})`}`;
    case 'choice':
      return kind.choices.join(', ');
    case 'switch':
      return 'true, false';
  }
};
