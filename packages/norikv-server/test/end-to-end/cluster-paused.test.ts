// A leader that stands still (SIGSTOP) keeps its connections open and answers nothing: the client goes on with the next leader as soon
// as others say that there is one. Pings are turned off here, so that nothing else can bring that about.
import { NoriClient } from 'norikv-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LaunchedNode, temporaryDir } from './launch.js';
import { launchMember, planCluster } from './launch-cluster.js';

let dir: Awaited<ReturnType<typeof temporaryDir>>;
let nodes: LaunchedNode[] = [];

beforeAll(async () => {
  dir = await temporaryDir();
  const plan = await planCluster(dir.path, 3);
  nodes = await Promise.all([1, 2, 3].map((number) => launchMember(plan, number)));
}, 60_000);
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.kill()));
  await dir.remove();
});

test('operations that a paused leader keeps are carried out by the next one, once', { timeout: 180_000 }, async () => {
  const client = await NoriClient.connect({
    endpoints: nodes.map(({ rpc }) => rpc),
    pingIntervalMs: 600_000,
    timeoutMs: 60_000,
  });
  try {
    const keys = Array.from({ length: 60 }, (_, i) => `counter ${i}`);
    // No write may happen twice: each depends on the version of the one before.
    const count = async (key: string, times: number): Promise<void> => {
      for (let i = 0; i < times; i++) {
        const found = await client.get(key);
        const value = found === undefined ? 0 : Number(new TextDecoder().decode(found.value));
        const condition = found === undefined ? { ifAbsent: true } : { ifVersion: found.version };
        await client.put(key, String(value + 1), condition);
      }
    };
    await Promise.all(keys.map((key) => count(key, 3)));
    const under = Promise.all(keys.map((key) => count(key, 20)));
    await new Promise((resolve) => setTimeout(resolve, 20));
    nodes[1]!.process.kill('SIGSTOP');
    await under;
    const found = await Promise.all(keys.map((key) => client.get(key)));
    expect(found.map((each) => new TextDecoder().decode(each!.value))).toEqual(keys.map(() => '23'));
    nodes[1]!.process.kill('SIGCONT');
    await Promise.all(keys.map((key) => count(key, 3)));
    expect(client.stats().failed).toBe(0);
  } finally {
    await client.close();
  }
});
