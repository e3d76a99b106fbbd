// What the command answers without a node: help, wrong usage, wrong configuration. Runs the built command.
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { norikv, withDirectory } from './norikv.js';

describe('wrong usage ends with exit code 2, one line on stderr and nothing on stdout', () => {
  const cases: [args: string[], message: RegExp][] = [
    [[], /^norikv: USAGE: a command is missing/],
    [['frobnicate'], /^norikv: USAGE: unknown command 'frobnicate'/],
    [['pt', 'a', 'b'], /^norikv: USAGE: unknown command 'pt' \(Did you mean put\?\)/],
    [['put', 'a'], /^norikv: USAGE: missing required argument 'value'/],
    [['get'], /^norikv: USAGE: missing required argument 'key'/],
    [['get', 'a', 'b'], /^norikv: USAGE: too many arguments/],
    [['config'], /^norikv: USAGE: a command is missing/],
    [['get', 'a', '--colour'], /^norikv: USAGE: unknown option '--colour'/],
    [['get', 'a', '--consistency', 'eventual'], /--consistency: "eventual" .*lease, linearizable, stale_ok$/],
    [['put', 'a', 'b', '--ttl', '-1'], /--ttl: "-1" is not allowed; allowed: a time above zero/],
    [['put', 'a', 'b', '--if-version', '7'], /--if-version: "7" .*TERM\.INDEX/],
    [['put', 'a', 'b', '--if-version', '1.7', '--if-absent'], /exclude each other/],
    [['scan', '--limit', '0'], /--limit: "0" is not allowed; allowed: a whole number/],
    [['status', '-o', 'xml'], /--output: "xml" is not allowed; allowed: plain, json, table/],
    [['--endpoints', 'nowhere', 'status'], /--endpoints: "nowhere" is not allowed; allowed: HOST:PORT/],
    [['bench', '--mix', 'delete=1'], /--mix: "delete=1" is not allowed/],
    [['start', '--rpc-adr', 'x'], /unknown option '--rpc-adr' \(Did you mean --rpc-addr\?\)/],
    [['start', '--rpc-addr', 'x'], /^norikv: INVALID_CONFIG: rpc-addr \(--rpc-addr\): "x" is not allowed/],
    [['start', '--http-addr', '0.0.0.0:0'], /^norikv: INVALID_CONFIG: http-addr: .*--insecure$/],
    [
      ['start', '--join', '10.0.0.1:7449', '--expect', '3'],
      /^norikv: INVALID_CONFIG: expect: 3 is not the number of nodes/,
    ],
    [['cluster', '--nodes', '0'], /--nodes: "0" is not allowed; allowed: a whole number from 1 to 9/],
    [
      ['config', 'print', '--config', '/nowhere/norikv.yaml'],
      /config: the file \/nowhere\/norikv\.yaml cannot be read/,
    ],
  ];
  for (const [args, message] of cases) {
    test(`norikv ${args.join(' ')}`, async () => {
      const { code, text, stderr } = await norikv(args);
      expect(stderr.trimEnd()).toMatch(message);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect([code, text]).toEqual([2, '']);
    });
  }
});

describe('help and version', () => {
  test('are answered on stdout with exit code 0', async () => {
    const help = await norikv(['--help']);
    expect([help.code, help.stderr]).toEqual([0, '']);
    for (const command of ['start', 'put', 'get', 'delete', 'scan', 'status', 'bench', 'config']) {
      expect(help.text).toContain(`  ${command} `);
    }
    const version = await norikv(['--version']);
    expect([version.code, version.text]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  });

  test('of a command show its own options and those of every command', async () => {
    const { text } = await norikv(['put', '--help']);
    for (const option of ['--ttl', '--if-absent', '--if-version', '--endpoints', '--output']) {
      expect(text).toContain(option);
    }
  });
});

describe('norikv config print', () => {
  test('shows value and origin of each setting, from all sources', async () => {
    await withDirectory(async (dir) => {
      const file = join(dir, 'norikv.yaml');
      await writeFile(file, 'node-id: from-file\nfsync: os\nmemtable-mb: 16\n');
      const env = { NORIKV_FSYNC: 'always', NORIKV_MEMTABLE_MB: '8' };
      const { code, text, stderr } = await norikv(['config', 'print', '--config', file, '--memtable-mb=64'], { env });
      expect([code, stderr]).toEqual([0, '']);
      expect(text).toMatch(new RegExp(`^node-id +from-file +file ${file}:1$`, 'm'));
      expect(text).toMatch(/^fsync +always +env NORIKV_FSYNC$/m);
      expect(text).toMatch(/^memtable-mb +64 MiB +flag --memtable-mb$/m);
      expect(text).toMatch(/^http-addr +127\.0\.0\.1:8080 +default$/m);
    });
  });

  test('shows the same as JSON, wherever -o stands', async () => {
    const before = await norikv(['-o', 'json', 'config', 'print', '--node-id', 'n2']);
    const after = await norikv(['config', 'print', '--node-id', 'n2', '--output=json']);
    expect(before.text).toBe(after.text);
    expect(JSON.parse(before.text)['node-id']).toMatchObject({ value: 'n2', source: 'flag', from: '--node-id' });
  });

  test('has switches with and without a value', async () => {
    const insecure = async (...flags: string[]) => {
      const { text } = await norikv(['config', 'print', '-o', 'json', ...flags]);
      return JSON.parse(text).insecure.value;
    };
    expect([await insecure('--insecure'), await insecure('--insecure=false'), await insecure()]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('refuses unknown fields of a file with their line', async () => {
    await withDirectory(async (dir) => {
      const file = join(dir, 'norikv.yaml');
      await writeFile(file, 'node-id: a\ndata_dir: /tmp\n');
      const { code, stderr } = await norikv(['start'], { env: { NORIKV_CONFIG: file } });
      expect(code).toBe(2);
      expect(stderr).toContain(`data_dir (${file}:2): unknown setting; allowed: node-id, data-dir,`);
    });
  });
});

describe('a node that is not there', () => {
  /** A port on which nobody listens: it was free a moment ago. */
  const unusedPort = async (): Promise<number> => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    return port;
  };

  test('makes commands fail with exit code 1 and one line', async () => {
    const endpoint = `127.0.0.1:${await unusedPort()}`;
    for (const args of [['get', 'a'], ['put', 'a', 'b'], ['status']]) {
      const { code, text, stderr } = await norikv([...args, '--endpoints', endpoint, '--timeout-ms', '500']);
      expect([code, text]).toEqual([1, '']);
      expect(stderr).toMatch(/^norikv: (UNAVAILABLE|DEADLINE_EXCEEDED): .*\n$/);
    }
  });
});
