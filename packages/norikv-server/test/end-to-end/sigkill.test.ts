// The real command, killed with SIGKILL under load, again and again on the same data. After each restart every key holds
// the last value that was acknowledged, or a later one that was on its way; counters that were incremented by
// compare-and-set show every acknowledged increment once.

import { Rng, seedFromEnv } from 'nori-testkit';
import { NoriClient, NoriError } from 'norikv-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LaunchedNode, launchNode, temporaryDir } from './launch.js';

const ROUNDS = Number(process.env.NORI_KILL_ROUNDS ?? 8);
const KEYS = 64;
const CALLERS = 32;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** What one key may hold: the last acknowledged value, or any issued after it. */
interface KeyHistory {
  acknowledged: number;
  issued: number;
}

let dir: Awaited<ReturnType<typeof temporaryDir>>;
let node: LaunchedNode | undefined;

beforeEach(async () => {
  dir = await temporaryDir();
});
afterEach(async () => {
  await node?.kill();
  node = undefined;
  await dir.remove();
});

const connect = (launched: LaunchedNode) => NoriClient.connect({ endpoints: [launched.rpc], timeoutMs: 5_000 });

describe('a node killed under load', () => {
  const seed = seedFromEnv();
  test(`keeps what it acknowledged, ${ROUNDS} times over (seed ${seed})`, {
    timeout: 60_000 + ROUNDS * 5_000,
  }, async () => {
    const rng = new Rng(seed);
    const histories = Array.from({ length: KEYS }, (): KeyHistory => ({ acknowledged: 0, issued: 0 }));
    for (let round = 0; round < ROUNDS; round++) {
      const launched = (node = await launchNode(dir.path, ['--memtable-mb', '4']));
      const client = await connect(launched);
      await check(client, histories);
      let stopped = false;
      let acknowledgements = 0;
      const enough = 200 + rng.int(3_000);
      let reached!: () => void;
      const killTime = new Promise<void>((resolve) => (reached = resolve));
      const callers = Array.from({ length: CALLERS }, async (_, caller) => {
        while (!stopped) {
          // Each caller owns its keys, so that a key's writes are in order.
          const key = caller + CALLERS * rng.int(KEYS / CALLERS);
          const history = histories[key]!;
          const value = ++history.issued;
          try {
            await client.put(`key ${key}`, `${value}`.padEnd(20 + ((value * 37) % 900), '.'));
            history.acknowledged = value;
            if (++acknowledgements === enough) reached();
          } catch (error) {
            if (!stopped) throw error;
          }
        }
      });
      const failed = Promise.all(callers);
      await Promise.race([killTime, failed]);
      stopped = true;
      await launched.kill();
      await client.close();
      await failed;
    }
    node = await launchNode(dir.path);
    const client = await connect(node);
    await check(client, histories);
    await client.close();
    expect(await node.stop()).toBe(0);
    node = undefined;
  });

  test('applies each acknowledged increment exactly once', { timeout: 60_000 }, async () => {
    let increments = 0;
    let inDoubt = 0;
    for (let round = 0; round < 3; round++) {
      const launched = (node = await launchNode(dir.path));
      const client = await connect(launched);
      let stopped = false;
      let done = 0;
      let reached!: () => void;
      const killTime = new Promise<void>((resolve) => (reached = resolve));
      const callers = Array.from({ length: 4 }, async () => {
        while (!stopped) {
          try {
            const current = await client.get('counter');
            const next = `${Number(current === undefined ? 0 : text(current.value)) + 1}`;
            const condition = current === undefined ? { ifAbsent: true } : { ifVersion: current.version };
            await client.put('counter', next, condition);
            increments++;
            if (++done === 100) reached();
          } catch (error) {
            const lost = error instanceof NoriError && ['VERSION_MISMATCH', 'ALREADY_EXISTS'].includes(error.code);
            if (lost) continue;
            if (!stopped) throw error;
            inDoubt++;
          }
        }
      });
      const failed = Promise.all(callers);
      await Promise.race([killTime, failed]);
      stopped = true;
      await launched.kill();
      await client.close();
      await failed;
    }
    node = await launchNode(dir.path);
    const client = await connect(node);
    const total = Number(text((await client.get('counter'))!.value));
    await client.close();
    expect(total).toBeGreaterThanOrEqual(increments);
    expect(total).toBeLessThanOrEqual(increments + inDoubt);
  });
});

const check = async (client: NoriClient, histories: readonly KeyHistory[]): Promise<void> => {
  for (let key = 0; key < histories.length; key++) {
    const { acknowledged, issued } = histories[key]!;
    const found = await client.get(`key ${key}`);
    const value = found === undefined ? 0 : Number.parseInt(text(found.value), 10);
    expect(value, `key ${key} went back`).toBeGreaterThanOrEqual(acknowledged);
    expect(value, `key ${key} holds what nobody wrote`).toBeLessThanOrEqual(issued);
    histories[key]!.acknowledged = value;
  }
};
