import { describe, expect, test } from 'vitest';
import {
  ConfigError,
  environmentOf,
  type LoadedConfig,
  loadConfig,
  SETTINGS,
  type Setting,
} from '../../src/config/index.js';

interface Given {
  readonly flags?: Record<string, unknown>;
  readonly env?: Record<string, string>;
  readonly yaml?: string;
}

const load = ({ flags = {}, env = {}, yaml }: Given): Promise<LoadedConfig> =>
  loadConfig({
    flags: yaml === undefined ? flags : { ...flags, config: 'norikv.yaml' },
    env,
    readText: async () => yaml ?? '',
  });

const problemsOf = async (given: Given): Promise<readonly string[]> => {
  const error = await load(given).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).problems;
};

/** Three allowed values of each setting, as text, none of them the default. */
const samples = (setting: Setting): [string, string, string] => {
  switch (setting.kind.type) {
    case 'text':
      return ['aa', 'bb', 'cc'];
    case 'address':
      return ['127.0.0.1:0', '[::1]:0', 'localhost:0'];
    // Not this node's own: then their number would have to be that of `expect`.
    case 'addresses':
      return ['10.0.0.1:7449', 'db2.example:7449', '10.0.0.1:7449,[::1]:7450'];
    case 'advertised':
      return ['a.example:1', '[2001:db8::1]:7448', '10.0.0.1:65535'];
    case 'hosts':
      return ['a.example', 'b.example', 'c.example,d.example'];
    case 'integer':
      return setting.key === 'expect' ? ['1', '1', '1'] : ['11', '12', '13'];
    case 'choice':
      return setting.kind.choices.filter((choice) => choice !== setting.default).slice(0, 3) as [
        string,
        string,
        string,
      ];
    case 'switch':
      return ['true', 'true', 'true'];
  }
};

describe('precedence', () => {
  for (const setting of SETTINGS) {
    const [flag, env, file = env] = samples(setting);
    const inFlags = { [setting.key]: flag };
    const inEnv = { [environmentOf(setting)]: env };
    const yaml = `# first line\n${setting.key}: "${file}"\n`;
    const of = (loaded: LoadedConfig) => loaded.resolved.find((resolved) => resolved.setting === setting);
    const text = (loaded: LoadedConfig) => String(of(loaded)?.value);

    test(`${setting.key}: a flag wins over the environment, that over the file, that over the default`, async () => {
      const all = await load({ flags: inFlags, env: inEnv, yaml });
      expect([text(all), of(all)?.source]).toEqual([flag, { kind: 'flag', name: `--${setting.key}` }]);
      const two = await load({ env: inEnv, yaml });
      expect([text(two), of(two)?.source]).toEqual([env, { kind: 'env', name: environmentOf(setting) }]);
      const one = await load({ yaml });
      expect([text(one), of(one)?.source]).toEqual([file, { kind: 'file', name: 'norikv.yaml:2' }]);
      const none = await load({});
      expect([of(none)?.value, of(none)?.source]).toEqual([setting.default, { kind: 'default', name: '' }]);
    });
  }

  test('the file is named by a flag, or else by NORIKV_CONFIG', async () => {
    const read: string[] = [];
    const readText = async (path: string) => {
      read.push(path);
      return 'node-id: from-file';
    };
    const both = await loadConfig({ flags: { config: 'a.yaml' }, env: { NORIKV_CONFIG: 'b.yaml' }, readText });
    const env = await loadConfig({ flags: {}, env: { NORIKV_CONFIG: 'b.yaml' }, readText });
    expect(read).toEqual(['a.yaml', 'b.yaml']);
    expect([both.file, env.file, env.config.nodeId]).toEqual(['a.yaml', 'b.yaml', 'from-file']);
  });

  test('an empty variable counts as not set, and variables of other programs do not matter', async () => {
    const { config } = await load({ env: { NORIKV_NODE_ID: '', NORIKV_SERVICE_HOST: '10.0.0.1' } });
    expect(config.nodeId).toBe('n1');
  });
});

describe('values', () => {
  test('become what the node works with', async () => {
    const { config } = await load({
      yaml: [
        'node-id: node-7',
        'rpc-addr: "[::1]:7447"',
        'http-addr: localhost:0',
        'memtable-mb: 16',
        'block-cache-mb: 2',
        'drain-timeout-ms: 0',
        'allowed-hosts: [Kv.Example, "::1"]',
        'fsync: always',
        'insecure: true',
      ].join('\n'),
    });
    expect(config).toMatchObject({
      nodeId: 'node-7',
      rpcAddr: { host: '::1', port: 7447 },
      httpAddr: { host: 'localhost', port: 0 },
      memtableBytes: 16 * 1024 * 1024,
      blockCacheBytes: 2 * 1024 * 1024,
      logSegmentBytes: 128 * 1024 * 1024,
      ballastBytes: 64 * 1024 * 1024,
      drainTimeoutMs: 0,
      allowedHosts: ['kv.example', '::1'],
      fsync: 'always',
      insecure: true,
      join: [],
      expect: 1,
    });
  });

  test('are frozen', async () => {
    const { config } = await load({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.rpcAddr)).toBe(true);
    expect(Object.isFrozen(config.allowedHosts)).toBe(true);
  });

  test('an empty file is fine, one of comments too', async () => {
    await expect(load({ yaml: '' })).resolves.toBeDefined();
    await expect(load({ yaml: '# nothing\n' })).resolves.toBeDefined();
  });
});

describe('refusals', () => {
  const cases: [what: string, given: Given, message: RegExp][] = [
    [
      'an unknown field, with what is allowed',
      { yaml: 'node-id: a\nrpc-adr: 1\n' },
      /^rpc-adr \(norikv\.yaml:2\): unknown setting; allowed: node-id, data-dir, rpc-addr, .*log-format$/,
    ],
    ['a port that is none', { flags: { 'rpc-addr': '127.0.0.1:70000' } }, /^rpc-addr \(--rpc-addr\): .*0 to 65535/],
    ['an address without port', { env: { NORIKV_HTTP_ADDR: '127.0.0.1' } }, /^http-addr \(NORIKV_HTTP_ADDR\): "127/],
    ['an IPv6 address without brackets', { flags: { 'rpc-addr': '::1:7447' } }, /an IPv6 host in brackets/],
    ['an IPv4 address that is none', { flags: { 'rpc-addr': '300.1.1.1:1' } }, /^rpc-addr/],
    ['a broken IPv6 address', { flags: { 'rpc-addr': '[::1::2]:1' } }, /^rpc-addr/],
    ['an empty value in YAML', { yaml: '\n\nrpc-addr:\n' }, /^rpc-addr \(norikv\.yaml:3\): null is not allowed/],
    ['a list where a word belongs', { yaml: 'node-id: [a]' }, /^node-id \(norikv\.yaml:1\): \["a"\] is not allowed/],
    ['a number out of range', { yaml: 'memtable-mb: 2' }, /whole number from 4 to 1024 \(MiB\)/],
    ['a fraction', { yaml: 'memtable-mb: 8.5' }, /^memtable-mb .* 8\.5 is not allowed/],
    ['a negative number', { flags: { 'drain-timeout-ms': '-1' } }, /^drain-timeout-ms .*"-1" is not allowed/],
    ['an unknown word', { yaml: 'fsync: sometimes' }, /^fsync .*allowed: batch, always, os$/],
    ['a switch that is none', { env: { NORIKV_INSECURE: 'maybe' } }, /^insecure .*allowed: true, false$/],
    ['a node name with a slash', { flags: { 'node-id': 'a/b' } }, /^node-id .*1 to 63 letters/],
    ['a key given twice', { yaml: 'node-id: a\nnode-id: b\n' }, /^norikv\.yaml:2:1: /],
    ['broken YAML, with its line', { yaml: 'node-id: a\njoin: [\n' }, /^norikv\.yaml:\d+:\d+: /],
    ['a file that is no mapping', { yaml: '- a\n- b\n' }, /^norikv\.yaml:1: .*mapping/],
    ['two listeners on one address', { flags: { 'http-addr': '127.0.0.1:7447' } }, /^http-addr: .*taken by rpc-addr/],
    ['an open address without --insecure', { flags: { 'rpc-addr': '0.0.0.0:7447' } }, /^rpc-addr: .*--insecure$/],
    ['an open IPv6 address without --insecure', { flags: { 'http-addr': '[::]:8080' } }, /^http-addr: .*--insecure$/],
    ['a host name without --insecure', { flags: { 'rpc-addr': 'db.example:1' } }, /^rpc-addr: .*--insecure$/],
    ['more nodes than are named', { flags: { join: 'a:1,b:1', expect: '3' } }, /^expect: 3 .*names, which is 2; make/],
    ['this node among two, and one expected', { flags: { join: 'a:1,127.0.0.1:7449' } }, /^expect: 1 .*which is 2/],
    ['more nodes, and none named', { flags: { expect: '3' } }, /^expect: 3 .*--join names none/],
    ['a node named twice', { flags: { join: 'a:1,a:1', expect: '2' } }, /^join: a:1 is named twice/],
  ];
  for (const [what, given, message] of cases) {
    test(`${what}`, async () => {
      const problems = await problemsOf(given);
      expect(problems).toHaveLength(1);
      expect(problems[0]).toMatch(message);
    });
  }

  test('all problems of all sources are told at once', async () => {
    const problems = await problemsOf({
      flags: { fsync: 'x' },
      env: { NORIKV_EXPECT: 'y' },
      yaml: 'one: 1\ntwo: 2\njoin: 7\n',
    });
    expect(problems.map((problem) => problem.split(' ')[0]).sort()).toEqual(['expect', 'fsync', 'join', 'one', 'two']);
  });

  test('a value that another source hides is checked all the same', async () => {
    expect(await problemsOf({ flags: { fsync: 'os' }, yaml: 'fsync: nope' })).toHaveLength(1);
  });

  test('a file that cannot be read is named', async () => {
    const readText = () => Promise.reject(new Error('ENOENT: no such file'));
    const loading = loadConfig({ flags: { config: 'gone.yaml' }, env: {}, readText });
    await expect(loading).rejects.toThrow('config: the file gone.yaml cannot be read: ENOENT: no such file');
  });

  test('open addresses are allowed with --insecure', async () => {
    const { config } = await load({ flags: { insecure: true, 'rpc-addr': '0.0.0.0:7447' } });
    expect(config.rpcAddr).toEqual({ host: '0.0.0.0', port: 7447 });
  });

  test('this node alone may be named as its cluster', async () => {
    const { config } = await load({ flags: { join: '127.0.0.1:7449', expect: '1' } });
    expect(config.join).toEqual(['127.0.0.1:7449']);
  });

  test('nodes of a cluster to join may be named without how many formed it', async () => {
    const { config } = await load({ yaml: 'join: [n1.example:7449, "[::1]:7450"]\n' });
    expect(config.join).toEqual(['n1.example:7449', '[::1]:7450']);
  });
});
