// Real processes on loopback with the shipped defaults: killed, stopped, restarted, with wrong keys. Build first: they run from dist.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_PROTOCOL, type SwimStats } from 'nori-swim';
import { describe, expect, test } from 'vitest';
import { ProcessCluster, type ProcessOptions, sleep, until } from './helpers/processes.js';

const KNOWN_WITHIN_MS = 5_000;
/** A machine with other work may hold up a process; that is not what is tried here. */
const ATTEMPTS = 3;

type OnFinished = (end: () => Promise<void>) => void;

/** Tests run beside each other: each one ends its own processes. */
async function cluster(
  onTestFinished: OnFinished,
  count: number,
  options: Partial<ProcessOptions> = {},
): Promise<ProcessCluster> {
  const started = await ProcessCluster.start(count, options);
  onTestFinished(() => started.end());
  return started;
}

/** Kills the last of `count` members; returns when the last of the others knew, after how long. */
async function timeUntilKnown(onTestFinished: OnFinished, count: number): Promise<number> {
  const { members } = await cluster(onTestFinished, count);
  const victim = members.at(-1)!;
  const survivors = members.slice(0, -1);
  await sleep(Math.random() * 1_000);
  const killedMs = Date.now();
  await victim.kill();
  await until(() => survivors.every((member) => member.when('confirm', victim.id) !== undefined));
  for (const member of survivors) {
    const isFalse = ({ event }: (typeof member.events)[number]) =>
      event.type === 'confirm' && event.member.id !== victim.id;
    expect(member.events.filter(isFalse)).toEqual([]);
  }
  return Math.max(...survivors.map((member) => member.when('confirm', victim.id)!)) - killedMs;
}

describe.concurrent('processes on loopback', { timeout: 60_000 }, () => {
  test.for([3, 5])(
    'of %i members, one that is killed is known to be dead everywhere within 5 seconds',
    async (count, { onTestFinished }) => {
      const times: number[] = [];
      while (times.length < ATTEMPTS && !times.some((time) => time <= KNOWN_WITHIN_MS)) {
        times.push(await timeUntilKnown(onTestFinished, count));
      }
      expect(Math.min(...times), `${times.join(', ')} ms`).toBeLessThanOrEqual(KNOWN_WITHIN_MS);
    },
  );

  test('one that is stopped for less than the shortest suspicion is not dead to the others, and they are not to it', async ({
    onTestFinished,
  }) => {
    const { members } = await cluster(onTestFinished, 3);
    const stopped = members[2]!;
    const { suspicionMult, probeIntervalMs } = DEFAULT_PROTOCOL;
    stopped.signal('SIGSTOP');
    await sleep(0.85 * suspicionMult * probeIntervalMs);
    stopped.signal('SIGCONT');
    await until(() => stopped.events.some(({ event }) => event.type === 'paused'));
    // Longer than any suspicion from before could last, were it confirmed.
    await sleep(1.5 * suspicionMult * probeIntervalMs);
    for (const member of members) {
      expect(member.events.filter(({ event }) => event.type === 'confirm')).toEqual([]);
    }
  });

  test('one whose event loop is held up again and again convicts nobody and is not convicted', async ({
    onTestFinished,
  }) => {
    const { members } = await cluster(onTestFinished, 3);
    for (let i = 0; i < 4; i++) {
      await members[0]!.call('block', 1_000);
      await sleep(50);
    }
    await sleep(2_500);
    for (const member of members) {
      expect(member.events.filter(({ event }) => event.type === 'confirm')).toEqual([]);
    }
  });

  test.for([false, true])(
    'one that is restarted under its name and address is back at once (state file: %s)',
    async (hasState, { onTestFinished }) => {
      const dir = await mkdtemp(join(tmpdir(), 'nori-swim-'));
      onTestFinished(() => rm(dir, { recursive: true, force: true }));
      const started = await cluster(onTestFinished, 2);
      const options = { id: 'again', ...(hasState && { stateFile: join(dir, 'state') }) };
      const [a, b] = started.members;
      const first = await started.add(options);
      await first.call('join', [a!.address]);
      await started.agree();
      await first.call('setMetadata', 'x');
      await first.kill();
      const second = await started.add({ ...options, bind: first.address });
      await second.call('join', [b!.address]);
      await started.agree([a!, b!, second]);
      const reasons = (member: typeof second) =>
        member.events.flatMap(({ event }) =>
          event.type === 'alive' && event.member.id === 'again' ? [event.reason] : [],
        );
      await until(() => reasons(a!).includes('restarted') && reasons(b!).includes('restarted'));
      expect(a!.when('confirm', 'again')).toBeUndefined();
    },
  );

  test('one that is restarted and joins nobody is found by those that probe it', async ({ onTestFinished }) => {
    const started = await cluster(onTestFinished, 2);
    const [a, b] = started.members;
    await b!.kill();
    const again = await started.add({ id: b!.id, bind: b!.address });
    await started.agree([a!, again]);
  });

  test('one that was dead comes back under its name, at another address', async ({ onTestFinished }) => {
    const started = await cluster(onTestFinished, 2);
    const [a, b] = started.members;
    await b!.kill();
    await until(() => a!.when('confirm', b!.id) !== undefined);
    const again = await started.add({ id: b!.id });
    expect(again.address).not.toBe(b!.address);
    await again.call('join', [a!.address]);
    await started.agree([a!, again]);
  });

  test('one with a wrong key or none is kept out, and counted', async ({ onTestFinished }) => {
    const key = () => randomBytes(32).toString('hex');
    const started = await cluster(onTestFinished, 2, { keys: [key()] });
    const [a, b] = started.members;
    const wrong = await started.add({ id: 'wrong', keys: [key()] });
    const none = await started.add({ id: 'none' });
    await expect(wrong.call('join', [a!.address])).rejects.toMatchObject({ code: 'SWIM_JOIN_FAILED' });
    await expect(none.call('join', [b!.address])).rejects.toMatchObject({ code: 'SWIM_JOIN_FAILED' });
    const dropped = async (member: typeof wrong) => (await member.call<SwimStats>('stats')).dropped;
    expect((await dropped(a!))['unknown-key']).toBeGreaterThan(0);
    expect((await dropped(b!))['not-encrypted']).toBeGreaterThan(0);
    for (const member of [a!, b!]) expect(Object.keys(await member.call<object>('states'))).toHaveLength(1);
    for (const member of [wrong, none]) expect(Object.keys(await member.call<object>('states'))).toEqual([]);
  });

  test('the later of two live ones with one id is refused, and told both addresses', async ({ onTestFinished }) => {
    const started = await cluster(onTestFinished, 2);
    const [a, b] = started.members;
    const twin = await started.add({ id: b!.id });
    const refused = await twin.call('join', [a!.address]).catch((error: Error) => error);
    expect(refused).toMatchObject({ code: 'SWIM_ID_CONFLICT' });
    expect((refused as Error).message).toContain(b!.address);
    expect((refused as Error).message).toContain(twin.address);
    await started.agree([a!, b!]);
  });

  test('one that leaves has left for all, and nobody takes it for dead', async ({ onTestFinished }) => {
    const { members } = await cluster(onTestFinished, 3);
    const [a, b, leaving] = members;
    await leaving!.call('leave');
    await until(() => [a!, b!].every((member) => member.when('leave', leaving!.id) !== undefined));
    await leaving!.kill();
    await sleep(1_000);
    expect([a, b].map((member) => member!.when('suspect', leaving!.id))).toEqual([undefined, undefined]);
  });
});
