// A leader that was stopped, as by a debugger or a virtual machine that is moved, wakes up and does not know that others have
// led on: what it is asked then, and what it was asked before, it must not answer from its old state. Its clock is slow, and
// that of the others fast, by as much as they may be.
import { Rng } from 'nori-testkit';
import { afterEach, expect, test } from 'vitest';
import { expectLinearizable, historyOf } from './judge.js';
import { freshValue, MapClient } from './map-client.js';
import { NUMBERS, ProcessCluster } from './process-cluster.js';

const ROUNDS = 4;
const READERS = 40;

let cluster: ProcessCluster | undefined;

afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

test('a leader that was stopped while others took over answers no read with what it last knew', {
  timeout: 90_000,
}, async () => {
  cluster = await ProcessCluster.start({ groups: 1, clockRates: [0.96, 1.04, 1.04] });
  const one = cluster;
  const rng = new Rng(1);
  const writer = new MapClient(one, rng.fork(), 0);
  writer.patienceMs = 20_000;
  const readers = Array.from({ length: READERS }, (_, i) => new MapClient(one, rng.fork(), i + 1));
  for (const reader of readers) reader.patienceMs = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await writer.write(0, { f: 'put', key: 'x', value: freshValue() });
    // It is led by the first node again, in a while, since that is preferred.
    while (!(await one.state(1))!.leading.includes(0));
    const before = freshValue();
    await writer.write(0, { f: 'put', key: 'x', value: before });
    const leaseReads = async () => (await one.state(1))!.leaseReads;
    const count = await leaseReads();
    // Until it has a lease: what it has no lease for, it answers by a round.
    do expect(await writer.read(0, 'x', 'lease', 1)).toBe(before);
    while ((await leaseReads()) === count);
    one.node(1)!.signal('SIGSTOP');
    const after = freshValue();
    expect(await writer.write(0, { f: 'put', key: 'x', value: after })).toBe(true);
    // They wait in the channel until it wakes up.
    const reads = readers.map((reader, i) => reader.read(0, 'x', i % 4 === 0 ? 'index' : 'lease', 1));
    one.node(1)!.signal('SIGCONT');
    for (const value of await Promise.all(reads)) expect([after, undefined]).toContain(value);
    for (const number of NUMBERS) expect(await writer.read(0, 'x', 'index', number)).toBe(after);
  }
  expectLinearizable(historyOf(writer, ...readers));
});
