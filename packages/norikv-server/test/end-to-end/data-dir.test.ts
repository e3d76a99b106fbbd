// What a node does with data it must not use, and with data that is damaged: the table "Bad input" of the manual.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NoriClient } from 'norikv-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LaunchError, type LaunchedNode, launchNode, temporaryDir } from './launch.js';

let dir: Awaited<ReturnType<typeof temporaryDir>>;
const nodes: LaunchedNode[] = [];

beforeEach(async () => {
  dir = await temporaryDir();
});
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.kill();
  await dir.remove();
});

const launch = async (args: readonly string[] = []): Promise<LaunchedNode> => {
  const node = await launchNode(dir.path, args);
  nodes.push(node);
  return node;
};

const refused = async (args: readonly string[] = []): Promise<string> => {
  const error = await launch(args).then(
    () => undefined,
    (failure) => failure,
  );
  expect(error).toBeInstanceOf(LaunchError);
  expect((error as LaunchError).code).toBe(1);
  const lines = (error as LaunchError).stderr.trim().split('\n');
  return lines[lines.length - 1]!;
};

/** Every file below a directory with its bytes, so that "nothing was changed" can be said. */
const contents = async (path: string): Promise<Record<string, string>> => {
  const all: Record<string, string> = {};
  for (const name of (await readdir(path, { recursive: true })).sort()) {
    const file = join(path, name);
    all[name] = (await stat(file)).isDirectory() ? 'directory' : (await readFile(file)).toString('base64');
  }
  return all;
};

const fill = async (node: LaunchedNode, from: number, to: number): Promise<void> => {
  const client = await NoriClient.connect({ endpoints: [node.rpc] });
  for (let i = from; i < to; i += 50) {
    await Promise.all(
      Array.from({ length: Math.min(50, to - i) }, (_, j) => client.put(`key ${i + j}`, `value ${i + j}`)),
    );
  }
  await client.close();
};

const logSegments = async (): Promise<string[]> => {
  const log = join(dir.path, 'store-0/raft');
  return (await readdir(log))
    .filter((name) => name.endsWith('.wal'))
    .sort()
    .map((name) => join(log, name));
};

describe('a data directory', () => {
  test('held by a live node is refused, naming the holder', async () => {
    const holder = await launch();
    const line = await refused();
    expect(line).toContain(`${holder.pid}`);
    const client = await NoriClient.connect({ endpoints: [holder.rpc] });
    await client.put('still', 'alive');
    await client.close();
  });

  test('of something else is refused and left as it was', async () => {
    await writeFile(join(dir.path, 'precious.txt'), 'not yours');
    const before = await contents(dir.path);
    expect(await refused()).toContain('precious.txt');
    expect(await contents(dir.path)).toEqual(before);
  });

  test('that cannot be made is refused, naming it', async () => {
    const file = join(dir.path, 'file');
    await writeFile(file, '');
    const error = await launchNode(join(file, 'data')).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect(error).toMatchObject({ code: 1 });
    expect((error as LaunchError).stderr.trim().split('\n')).toHaveLength(1);
    expect((error as LaunchError).stderr).toContain(join(file, 'data'));
  });

  test('of a newer format is refused and left as it was', async () => {
    const node = await launch();
    await node.stop();
    const identity = JSON.parse(await readFile(join(dir.path, 'NORIKV'), 'utf8'));
    await writeFile(join(dir.path, 'NORIKV'), JSON.stringify({ ...identity, format: 99 }));
    const before = await contents(dir.path);
    expect(await refused()).toContain('99');
    expect(await contents(dir.path)).toEqual(before);
  });

  test('of another node is refused', async () => {
    const node = await launch(['--node-id', 'n7']);
    await node.stop();
    expect(await refused(['--node-id', 'n8'])).toContain('n7');
  });
});

/** A segment without the zeros that are written ahead of its records. */
const withoutRoom = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1);

describe('a damaged log', () => {
  test('with a torn tail starts, and says how many bytes were cut and where', async () => {
    const node = await launch();
    await fill(node, 0, 100);
    await node.kill();
    const segment = (await logSegments()).at(-1)!;
    const bytes = withoutRoom(await readFile(segment));
    const junk = Buffer.alloc(777, 0xa5);
    await writeFile(segment, Buffer.concat([bytes, junk]));
    const again = await launch(['--log-format', 'json']);
    expect(again.log()).toContain('777');
    expect(again.log()).toContain(segment);
    const client = await NoriClient.connect({ endpoints: [again.rpc] });
    for (let i = 0; i < 100; i++) {
      expect(new TextDecoder().decode((await client.get(`key ${i}`))!.value)).toBe(`value ${i}`);
    }
    await client.close();
  });

  test('with a flipped bit below what was synced does not start, naming file and offset', async () => {
    const node = await launch();
    await fill(node, 0, 200);
    await node.kill();
    const segment = (await logSegments()).at(-1)!;
    const bytes = await readFile(segment);
    bytes[Math.floor(withoutRoom(bytes).length / 3)]! ^= 0x10;
    await writeFile(segment, bytes);
    const line = await refused();
    expect(line).toContain(segment);
    expect(line).toMatch(/offset \d+/);
    expect((await readFile(segment)).equals(bytes)).toBe(true);
  });
});

describe('a damaged table', () => {
  test('fails the reads of its damaged block with file and offset, never with a wrong value', async () => {
    const node = await launch();
    await fill(node, 0, 2_000);
    expect(await node.stop()).toBe(0);
    const tables = join(dir.path, 'store-0/tables');
    const name = (await readdir(tables)).find((one) => one.endsWith('.sst'))!;
    const bytes = await readFile(join(tables, name));
    bytes[Math.floor(bytes.length / 4)]! ^= 0x01;
    await writeFile(join(tables, name), bytes);
    const again = await launch();
    const client = await NoriClient.connect({ endpoints: [again.rpc] });
    let failures = 0;
    for (let i = 0; i < 2_000; i++) {
      try {
        expect(new TextDecoder().decode((await client.get(`key ${i}`))!.value)).toBe(`value ${i}`);
      } catch (error) {
        expect(error).toMatchObject({ code: 'CORRUPTION' });
        expect((error as Error).message).toContain(name);
        expect((error as Error).message).toMatch(/offset \d+/);
        failures++;
      }
    }
    await client.close();
    expect(failures).toBeGreaterThan(0);
    expect(failures).toBeLessThan(500);
  });
});
