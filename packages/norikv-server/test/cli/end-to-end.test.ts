// The built command against a real node, in processes of their own.
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { NoriClient } from 'norikv-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NodeProcess, norikv, norikvCutOff, withDirectory } from './norikv.js';

const startFailure = async (dataDir: string, flags: readonly string[] = []) => {
  const ports = flags.includes('--rpc-addr') ? [] : ['--rpc-addr', '127.0.0.1:0'];
  return norikv(['start', '--data-dir', dataDir, '--http-addr', '127.0.0.1:0', ...ports, ...flags]);
};

describe('commands', () => {
  let node: NodeProcess;
  let stop: () => void;
  let stopped: Promise<unknown>;

  beforeAll(async () => {
    await new Promise<void>((resolve, reject) => {
      stopped = withDirectory(async (dir) => {
        node = await NodeProcess.start(dir);
        const wait = new Promise<void>((done) => {
          stop = done;
        });
        resolve();
        await wait;
        await node.end('SIGTERM');
      });
      stopped.catch(reject);
    });
  });

  afterAll(async () => {
    stop();
    await stopped;
  });

  const run = (...args: string[]) => norikv(args, { env: { NORIKV_ENDPOINTS: node.rpc } });

  test('put, get and delete a key', async () => {
    expect(await run('put', 'user:42', 'alice')).toMatchObject({
      code: 0,
      stderr: '',
      text: expect.stringMatching(/^OK \d+\.\d+\n$/),
    });
    expect(await run('get', 'user:42')).toMatchObject({ code: 0, stderr: '', text: 'alice\n' });
    expect(await run('delete', 'user:42')).toMatchObject({ code: 0, stderr: '' });
    expect(await run('get', 'user:42')).toMatchObject({
      code: 3,
      text: '',
      stderr: expect.stringMatching(/^norikv: NOT_FOUND: .*\n$/),
    });
    expect(await run('delete', 'user:42')).toMatchObject({ code: 3, text: '' });
  });

  test('an empty value and one of arbitrary bytes come back as they went in', async () => {
    expect((await run('put', 'empty', '')).code).toBe(0);
    expect(await run('get', 'empty')).toMatchObject({ code: 0, text: '\n' });
    const input = Uint8Array.from({ length: 100_000 }, (_, at) => (at * 31) % 256);
    const env = { NORIKV_ENDPOINTS: node.rpc };
    expect((await norikv(['put', 'bytes', '-'], { env, input })).code).toBe(0);
    const { stdout } = await run('get', 'bytes');
    expect(stdout.equals(Buffer.concat([input, Buffer.from('\n')]))).toBe(true);
  });

  test('conditions hold or fail with the code of the protocol', async () => {
    const { version } = JSON.parse((await run('put', 'cas', '1', '-o', 'json')).text);
    const current = `${version.term}.${version.index}`;
    expect(await run('put', 'cas', '2', '--if-absent')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^norikv: ALREADY_EXISTS: /),
    });
    expect(await run('put', 'cas', '2', '--if-version', '1.999999')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^norikv: VERSION_MISMATCH: /),
    });
    expect((await run('put', 'cas', '2', '--if-version', current)).code).toBe(0);
    expect((await run('delete', 'cas', '--if-version', current)).code).toBe(1);
    expect((await run('get', 'cas', '--consistency', 'linearizable')).text).toBe('2\n');
  });

  test('a key with a time to live goes away', async () => {
    expect((await run('put', 'brief', 'x', '--ttl', '1ms')).code).toBe(0);
    expect((await run('get', 'brief')).code).toBe(3);
    expect((await run('put', 'lasting', 'x', '--ttl', '1h')).code).toBe(0);
    expect((await run('get', 'lasting')).code).toBe(0);
  });

  test('scan lists keys in order, by prefix and limit, in all forms', async () => {
    for (const key of ['s:b', 's:a', 's:c', 't:a']) await run('put', key, `value of ${key}`);
    expect((await run('scan', '--prefix', 's:')).text).toBe(
      's:a\tvalue of s:a\ns:b\tvalue of s:b\ns:c\tvalue of s:c\n',
    );
    expect((await run('scan', '--prefix', 's:', '--limit', '2')).text.split('\n')).toHaveLength(3);
    expect((await run('scan', '--prefix', 's:', '--reverse', '--limit', '1')).text).toBe('s:c\tvalue of s:c\n');
    const entries = JSON.parse((await run('-o', 'json', 'scan', '--prefix', 's:')).text);
    expect(entries.map((entry: { key: string }) => entry.key)).toEqual(['s:a', 's:b', 's:c']);
    expect((await run('scan', '--prefix', 's:', '-o', 'table')).text).toMatch(
      /^KEY +VALUE +VERSION\ns:a +value of s:a +\d+\.\d+\n/,
    );
    expect(JSON.parse((await run('scan', '--prefix', 'none:', '-o', 'json')).text)).toEqual([]);
  });

  test('scan ends quietly when its reader has seen enough', async () => {
    const value = 'x'.repeat(100_000);
    const db = await NoriClient.connect({ endpoints: [node.rpc] });
    for (let at = 0; at < 20; at++) await db.put(`cut:${at}`, value);
    await db.close();
    expect(await norikvCutOff(['scan', '--prefix', 'cut:', '--endpoints', node.rpc])).toEqual({ code: 0, stderr: '' });
  });

  test('get answers as JSON and as a table, found or not', async () => {
    await run('put', 'shown', 'héllo');
    expect(JSON.parse((await run('get', 'shown', '-o', 'json')).text)).toMatchObject({
      key: 'shown',
      found: true,
      value: 'héllo',
    });
    expect((await run('get', 'shown', '-o', 'table')).text).toMatch(/^KEY +VALUE +VERSION\nshown +héllo +\d+\.\d+\n$/);
    const absent = await run('get', 'not shown', '-o', 'json');
    expect([absent.code, JSON.parse(absent.text)]).toEqual([3, { key: 'not shown', found: false }]);
  });

  test('limits are told with their size', async () => {
    expect(await run('put', '', 'x')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^norikv: INVALID_ARGUMENT: .*key/i),
    });
    expect(await run('put', 'k'.repeat(1025), 'x')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/INVALID_ARGUMENT: .*1024/),
    });
    const input = new Uint8Array(1024 * 1024 + 1);
    const env = { NORIKV_ENDPOINTS: node.rpc };
    expect(await norikv(['put', 'big', '-'], { env, input })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/INVALID_ARGUMENT: .*1048576/),
    });
  });

  test('status tells the state of each endpoint', async () => {
    expect((await run('status')).text).toMatch(/^node +n1\nendpoint +127\.0\.0\.1:\d+\nstate +ready\n/);
    const [status] = JSON.parse((await run('status', '-o', 'json')).text);
    expect(status).toMatchObject({ endpoint: node.rpc, nodeId: 'n1', ready: true, shardCount: 1024 });
    expect(status.clusterId).toMatch(/^[0-9a-f]{32}$/);
    expect((await run('status', '-o', 'table')).text).toMatch(/^ENDPOINT .*\n127\.0\.0\.1:\d+ +n1 +ready /);
  });

  test('bench measures and reports', async () => {
    const flags = ['--keys', '100', '--callers', '8', '--value-bytes', '100', '--duration-s', '1', '--warmup-s', '0.2'];
    const closed = await run('bench', ...flags, '-o', 'json');
    expect(closed.code).toBe(0);
    expect(closed.stderr).toMatch(/operations\/s/);
    const report = JSON.parse(closed.text);
    expect(report.operations.get).toMatchObject({ misses: 0, errors: {} });
    expect(report.operations.put.count).toBeGreaterThan(0);
    expect(Object.keys(report.operations.put.latencyMs)).toEqual(['mean', 'p50', 'p95', 'p99', 'p99.9', 'max']);
    const open = await run('bench', ...flags, '--mix', 'put=1', '--rate', '50', '--quiet');
    expect([open.code, open.stderr]).toEqual([0, '']);
    expect(open.text).toMatch(/^OPERATION +COUNT +PER SECOND +P50 +P95 +P99 +P99\.9 +MAX +ERRORS\nput +\d+ /);
  });
});

/** A command line of the README, and what follows it. */
interface Example {
  readonly args: string[];
  readonly answer: string;
}

const readmeExamples = async (): Promise<Example[]> => {
  const text = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const block = text.split('```console\n')[1]?.split('```')[0] ?? '';
  return block
    .split(/^\$ norikv /m)
    .slice(1)
    .map((example) => {
      const end = example.indexOf('\n');
      return { args: example.slice(0, end).split(' '), answer: example.slice(end + 1) };
    });
};

test('the commands of the README answer as it says', async () => {
  const examples = await readmeExamples();
  expect(examples.length).toBeGreaterThan(5);
  await withDirectory(async (dir) => {
    const node = await NodeProcess.start(dir);
    for (const { args, answer } of examples) {
      const { text, stderr } = await norikv(args, { env: { NORIKV_ENDPOINTS: node.rpc } });
      expect(text + stderr, args.join(' ')).toBe(answer);
    }
    expect(await node.end('SIGTERM')).toBe(0);
  });
});

describe('start', () => {
  test('prints one ready line on stdout and its log on stderr, and ends with 0 on SIGTERM', async () => {
    await withDirectory(async (dir) => {
      const node = await NodeProcess.start(dir, ['--node-id', 'n7', '--log-format', 'json']);
      expect(node.readyLine).toBe(
        `norikv ready pid=${node.pid} node=n7 rpc=${node.rpc} http=${node.ready.http} data=${dir}`,
      );
      expect(node.ready.http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      expect(await node.end('SIGTERM')).toBe(0);
      const lines = node.stderr.trimEnd().split('\n');
      for (const line of lines) expect(JSON.parse(line)).toMatchObject({ node: 'n7' });
    });
  });

  test('takes the two SIGINT of one Ctrl-C below npm as one wish', async () => {
    await withDirectory(async (dir) => {
      const node = await NodeProcess.start(dir);
      expect(await node.end('SIGINT', 'SIGINT')).toBe(0);
    });
  });

  test('keeps what was acknowledged through kill -9', async () => {
    await withDirectory(async (dir) => {
      const first = await NodeProcess.start(dir);
      expect((await norikv(['put', 'kept', 'value', '--endpoints', first.rpc])).code).toBe(0);
      expect(await first.end('SIGKILL')).toBeNull();
      const second = await NodeProcess.start(dir);
      expect((await norikv(['get', 'kept', '--endpoints', second.rpc])).text).toBe('value\n');
      expect(await second.end('SIGTERM')).toBe(0);
    });
  });

  test('refuses a path that is no directory', async () => {
    await withDirectory(async (dir) => {
      const file = join(dir, 'file');
      await writeFile(file, '');
      const { code, stderr } = await startFailure(file);
      expect(code).toBe(1);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(stderr).toContain(file);
    });
  });

  describe('with a port in use', () => {
    let server: Server;
    let port = 0;

    beforeAll(async () => {
      server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      port = (server.address() as { port: number }).port;
    });

    afterAll(() => {
      server.close();
    });

    for (const flag of ['--rpc-addr', '--http-addr']) {
      test(`names the port and ${flag}`, async () => {
        await withDirectory(async (dir) => {
          const { code, text, stderr } = await startFailure(dir, [flag, `127.0.0.1:${port}`]);
          expect([code, text]).toEqual([1, '']);
          // What the log says of the steps before comes first.
          const line = stderr.trimEnd().split('\n').at(-1);
          expect(line).toMatch(/^norikv: SERVER_PORT_IN_USE: /);
          expect(line).toContain(String(port));
          expect(line).toContain(flag);
        });
      });
    }
  });
});
