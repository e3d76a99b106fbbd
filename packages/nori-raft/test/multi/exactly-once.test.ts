import { type Entry, encodeRequest, type Outcome, OutcomeSession, RaftError } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { ExactlyOnceMachine } from '../../src/multi/exactly-once.js';
import { OUTCOME_LIMITS } from '../../src/multi/outcome-table.js';
import type { SnapshotSource } from '../../src/multi/ports.js';
import {
  CONFIG,
  FIRST_MARK,
  FRESH,
  type History,
  NaiveOutcomes,
  randomHistory,
  START_MS,
  type StoredTally,
  Tally,
  TEXT_RESULTS,
} from './helpers/outcome-history.js';

const seed = seedFromEnv();
const LIMITS = { clientsMax: 4, outcomesMax: 12, outcomesPerClientMax: 5, resultBytesMax: 60 };
const utf8 = new TextEncoder();

class Replica {
  tally: Tally;
  machine: ExactlyOnceMachine<string>;

  constructor(stored: StoredTally = FRESH, isLate = () => false) {
    this.tally = new Tally(stored, isLate);
    this.machine = new ExactlyOnceMachine(this.tally, TEXT_RESULTS, LIMITS);
  }

  async apply(entries: readonly Entry[]): Promise<readonly Outcome<string>[]> {
    const attached = () => hex(this.tally.mark.attachment?.());
    const before = attached();
    const running = this.machine.apply(entries);
    expect(attached()).toBe(before);
    const outcomes = await running;
    expect(attached()).toBe(before);
    this.machine.applied({ term: 1, index: entries.at(-1)!.index, config: CONFIG });
    return outcomes;
  }
}

/** The bytes of a snapshot, cut anew. */
async function* recut(source: SnapshotSource, rng: Rng): AsyncGenerator<Uint8Array> {
  const bytes = await bytesOf(source, 0);
  const size = rng.pick([1, 3, 50, 10_000]);
  for (let at = 0; at < bytes.length; ) {
    const end = at + rng.int(size + 1);
    yield bytes.subarray(at, end);
    at = end;
  }
}

async function bytesOf(source: SnapshotSource, offset: number): Promise<Uint8Array> {
  const bytes: number[] = [];
  for await (const chunk of source.read(offset)) bytes.push(...chunk);
  return Uint8Array.from(bytes);
}

/** Has the history applied by a replica that is restarted, and replaced by way of snapshots, now and then. */
async function applyRestlessly({ entries }: History, rng: Rng): Promise<{ replica: Replica; outcomes: unknown[] }> {
  const isLate = () => rng.chance(0.5);
  let replica = new Replica(FRESH, isLate);
  const outcomes: unknown[] = [];
  let at = 0;
  while (at < entries.length) {
    const batch = entries.slice(at, at + rng.range(1, 20));
    outcomes.splice(at, outcomes.length - at, ...(await replica.apply(batch)));
    at += batch.length;
    if (rng.chance(0.1)) replica.tally.store();
    if (rng.chance(0.05)) {
      replica = new Replica(replica.tally.stored, isLate);
      const { index } = replica.machine.mark;
      // The log is applied again from the durable mark on, and gives the same outcomes again.
      while (at > 0 && entries[at - 1]!.index > index) at--;
    }
    if (rng.chance(0.05)) {
      const source = replica.machine.snapshot();
      const { term, index, config } = source;
      const other = new Replica(FRESH, isLate);
      const staged = await other.machine.stage({ term, index, config }, recut(source, rng));
      if (rng.chance(0.5)) await other.apply(entries.slice(0, rng.range(1, 10)));
      await staged.install();
      replica = other;
    }
  }
  return { replica, outcomes };
}

describe('exactlyOnce', () => {
  test('decides as a naive model does, on all replicas alike, through restarts and snapshots', async () => {
    for (let run = 0; run < 10; run++) {
      const rng = new Rng(seed + run);
      const history = randomHistory(rng, 400);
      const model = new NaiveOutcomes(LIMITS);
      const decode = (data: Uint8Array) => new TextDecoder().decode(data.subarray(2));
      const expected = history.requests.map((request, i) =>
        model.decide(request, request?.payload ?? decode(history.entries[i]!.data)),
      );
      const calm = new Replica();
      const outcomes: unknown[] = [];
      for (const entry of history.entries) outcomes.push(...(await calm.apply([entry])));
      expect(outcomes, `NORI_SEED=${seed + run}`).toEqual(expected);
      expect(calm.tally.applied_).toEqual(model.applied);
      const restless = await applyRestlessly(history, rng);
      expect(restless.outcomes, `NORI_SEED=${seed + run}`).toEqual(expected);
      expect(restless.replica.tally.applied_).toEqual(model.applied);
      expect(hex(await bytesOf(restless.replica.machine.snapshot(), 0))).toBe(
        hex(await bytesOf(calm.machine.snapshot(), 0)),
      );
    }
  });

  test('meets every kind of outcome in those histories', () => {
    const counts: Record<string, number> = {};
    for (let run = 0; run < 25; run++) {
      const model = new NaiveOutcomes(LIMITS);
      for (const request of randomHistory(new Rng(run), 400).requests) {
        const { status } = model.decide(request, request?.payload ?? '');
        counts[status] = (counts[status] ?? 0) + 1;
      }
    }
    for (const status of ['applied', 'result-forgotten', 'unknown', 'below-floor']) {
      expect(counts[status], status).toBeGreaterThan(20);
    }
  });

  test('a request that is in one batch twice is applied once, and both are answered', async () => {
    for (const isLate of [true, false]) {
      const replica = new Replica(FRESH, () => isLate);
      const session = new OutcomeSession(new Uint8Array(16));
      const request = session.request(utf8.encode('x'));
      const entries = [2, 3].map((index) => entry(index, request.attempt(START_MS + index)));
      const result = { status: 'applied', result: '1 x' };
      expect(await replica.apply(entries)).toEqual([result, result]);
      expect(replica.tally.applied_).toEqual(['x']);
    }
  });

  test('requests without identity are applied each time', async () => {
    const replica = new Replica();
    const data = encodeRequest(undefined, utf8.encode('y'));
    expect(await replica.apply([entry(2, data), entry(3, data)])).toEqual([
      { status: 'applied', result: '1 y' },
      { status: 'applied', result: '2 y' },
    ]);
  });

  test('an entry that is no request is answered so, and one of a later version stops the replica', async () => {
    const replica = new Replica();
    const garbage = [Uint8Array.of(7), Uint8Array.of(0xe1), Uint8Array.of(0xe1, 1, 2, 3), Uint8Array.of(0xe1, 0)];
    expect(await replica.apply(garbage.map((data, i) => entry(i + 2, data)))).toEqual(
      garbage.map(() => ({ status: 'malformed' })),
    );
    expect(() => replica.machine.apply([entry(9, Uint8Array.of(0xe2, 1))])).toThrow(
      expect.objectContaining({ code: 'RAFT_UNSUPPORTED_FORMAT' }),
    );
  });

  test('what is asked for while entries are being applied is of the mark before', async () => {
    const replica = new Replica(FRESH, () => true);
    const session = new OutcomeSession(new Uint8Array(16).fill(3));
    const attempt = (index: number) => entry(index, session.request(utf8.encode(`${index}`)).attempt(START_MS));
    for (let index = 2; index < 9; index++) await replica.apply([attempt(index)]);
    const before = replica.tally.mark.attachment!();
    const source = await bytesOf(replica.machine.snapshot(), 0);
    const { attachment } = replica.tally.mark;
    const running = replica.machine.apply([attempt(9), attempt(10)]);
    expect(attachment!()).toEqual(before);
    expect(await bytesOf(replica.machine.snapshot(), 0)).toEqual(source);
    await running;
    expect(attachment!()).toEqual(before);
    replica.machine.applied({ term: 1, index: 10, config: CONFIG });
    expect(attachment).toThrow(/later mark/);
    expect(replica.tally.mark.attachment!()).not.toEqual(before);
  });

  test('a snapshot can be read from any offset on', async () => {
    const replica = new Replica();
    const session = new OutcomeSession(new Uint8Array(16).fill(9));
    await replica.apply([entry(2, session.request(utf8.encode('abc')).attempt(START_MS))]);
    const source = replica.machine.snapshot();
    const whole = await bytesOf(source, 0);
    for (let offset = 0; offset <= whole.length; offset++) {
      expect(await bytesOf(source, offset)).toEqual(whole.subarray(offset));
    }
  });

  test('a machine that did not keep the outcomes with its mark is refused', () => {
    const mark = { term: 1, index: 5, config: CONFIG };
    const open = (attachment: Uint8Array | undefined) => () => new Replica({ mark, attachment, applied: [] });
    expect(open(undefined)).toThrow(expect.objectContaining({ code: 'RAFT_CORRUPT_STATE' }));
    const other = new Replica();
    other.machine.applied({ ...mark, index: 4 });
    expect(open(other.tally.mark.attachment!())).toThrow(/of index 4/);
    other.machine.applied(mark);
    expect(open(other.tally.mark.attachment!())).not.toThrow();
  });

  test('snapshots that are cut off, changed or not ours are refused with a typed error, and change nothing', async () => {
    const rng = new Rng(seed);
    const { entries } = randomHistory(rng, 200);
    const sender = new Replica();
    await sender.apply(entries);
    const source = sender.machine.snapshot();
    const whole = await bytesOf(source, 0);
    const inner = JSON.stringify(sender.tally.applied_).length;
    const prefixBytes = whole.length - inner;
    const mark = { term: source.term, index: source.index, config: source.config };
    for (let i = 0; i < 500; i++) {
      let bytes = whole.slice();
      const cut = rng.chance(0.3);
      if (cut) bytes = bytes.subarray(0, rng.int(prefixBytes));
      else for (let k = rng.range(1, 3); k > 0; k--) bytes[rng.int(prefixBytes)] = rng.int(256);
      const receiver = new Replica();
      let failure: unknown;
      try {
        await receiver.machine.stage(
          mark,
          (async function* () {
            yield bytes;
          })(),
        );
      } catch (error) {
        failure = error;
      }
      if (cut) expect(failure).toBeInstanceOf(RaftError);
      // A change that leaves a possible state is not seen; one of the length may be seen by the inner machine only.
      else if (failure !== undefined && !(failure instanceof RaftError)) expect(failure).toBeInstanceOf(SyntaxError);
      expect(receiver.machine.mark.index).toBe(FIRST_MARK.index);
      expect(receiver.machine.table.clientCount).toBe(0);
    }
    await expect(
      new Replica().machine.stage(
        mark,
        (async function* () {
          yield utf8.encode('["of another machine"]');
        })(),
      ),
    ).rejects.toThrow(/does not begin with outcomes/);
  });

  test('a transfer that is given up stages nothing, and its error comes through', async () => {
    const receiver = new Replica();
    const sender = new Replica();
    await sender.apply(randomHistory(new Rng(1), 20).entries);
    const whole = await bytesOf(sender.machine.snapshot(), 0);
    for (const after of [3, whole.length - 10]) {
      const broken = async function* () {
        yield whole.subarray(0, after);
        throw new Error('The sender fell silent.');
      };
      await expect(receiver.machine.stage(sender.machine.mark, broken())).rejects.toThrow('The sender fell silent.');
    }
  });

  test('a result over 4 KiB is given once and not kept', async () => {
    const machine = new ExactlyOnceMachine(new Tally(), TEXT_RESULTS);
    const request = new OutcomeSession(new Uint8Array(16)).request(utf8.encode('z'.repeat(5000)));
    expect(await machine.apply([entry(2, request.attempt(START_MS))])).toEqual([
      { status: 'applied', result: `1 ${'z'.repeat(5000)}` },
    ]);
    expect(await machine.apply([entry(3, request.attempt(START_MS))])).toEqual([{ status: 'result-forgotten' }]);
    expect(OUTCOME_LIMITS.resultBytesMax).toBe(4096);
  });
});

/** Compared as text, which is much faster than as bytes. */
function hex(bytes: Uint8Array = new Uint8Array(0)): string {
  return Buffer.from(bytes).toString('hex');
}

function entry(index: number, data: Uint8Array): Entry {
  return { type: 'normal', term: 1, index, data };
}
