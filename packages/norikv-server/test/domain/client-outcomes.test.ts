import { describe, expect, test } from 'vitest';
import { ByteReader } from '../../src/domain/byte-reader.js';
import { ByteWriter } from '../../src/domain/byte-writer.js';
import {
  CLIENT_RETENTION_MS,
  CLIENTS_PER_SHARD_MAX,
  CLOCK_MARGIN_MS,
  ClientOutcomes,
  OUTCOMES_PER_CLIENT_MAX,
  type Outcome,
} from '../../src/domain/client-outcomes.js';

const START_MS = 1_700_000_000_000;
const client = (number: number) => number.toString(16).padStart(32, '0');
const write = (sequence: number, floor = 1, ageMs = 0, clientNumber = 1) => ({
  clientId: client(clientNumber),
  sequence,
  floor,
  ageMs,
});
const done = (index: number, timeMs = START_MS): Outcome => ({
  status: 'done',
  term: 1,
  index,
  existed: [true],
  failedOperation: 0,
  timeMs,
});
const recoded = (outcomes: ClientOutcomes): ClientOutcomes => {
  const writer = new ByteWriter();
  outcomes.encode(writer);
  return ClientOutcomes.decode(new ByteReader(writer.view().slice()));
};

describe('client outcomes', () => {
  test('a retry is answered with the first outcome', () => {
    const outcomes = new ClientOutcomes();
    expect(outcomes.check(write(1), START_MS)).toBe('new');
    outcomes.record(write(1), done(5));
    expect(outcomes.check(write(1, 1, 300), START_MS + 300)).toEqual(done(5));
    expect(recoded(outcomes).check(write(1, 1, 300), START_MS + 300)).toEqual(done(5));
  });

  test('outcomes below the floor are forgotten and such writes refused', () => {
    const outcomes = new ClientOutcomes();
    outcomes.record(write(1), done(1));
    outcomes.record(write(2), done(2));
    outcomes.record(write(3, 3), done(3));
    expect(outcomes.check(write(2, 1), START_MS)).toBe('below_floor');
    expect(outcomes.check(write(3, 3), START_MS)).toEqual(done(3));
    expect(recoded(outcomes).check(write(1, 1), START_MS)).toBe('below_floor');
  });

  test('a write forgotten for want of room is unknown, and never new again', () => {
    const outcomes = new ClientOutcomes();
    for (let sequence = 1; sequence <= OUTCOMES_PER_CLIENT_MAX + 1; sequence++) {
      outcomes.record(write(sequence), done(sequence, START_MS + sequence));
    }
    expect(outcomes.check(write(1, 1, 5000), START_MS + 5000)).toBe('unknown');
    expect(outcomes.check(write(1, 1, 0), START_MS + 5000)).toBe('unknown');
    expect(outcomes.check(write(2), START_MS + 5000)).toEqual(done(2, START_MS + 2));
    expect(outcomes.check(write(OUTCOMES_PER_CLIENT_MAX + 2), START_MS + 5000)).toBe('new');
    expect(recoded(outcomes).check(write(1), START_MS + 5000)).toBe('unknown');
  });

  test('the retry of a client idle for too long is unknown, a fresh write of it is new', () => {
    const outcomes = new ClientOutcomes();
    outcomes.record(write(1), done(1));
    const later = START_MS + CLIENT_RETENTION_MS;
    outcomes.record(write(1, 1, 0, 2), done(2, later));
    expect(outcomes.clientCount).toBe(1);
    expect(outcomes.check(write(1, 1, CLIENT_RETENTION_MS), later)).toBe('unknown');
    expect(outcomes.check(write(2, 2, 0), later)).toBe('new');
    expect(recoded(outcomes).check(write(1, 1, CLIENT_RETENTION_MS), later)).toBe('unknown');
  });

  test('a leader whose clock runs ahead within the margin does not take a forgotten retry for new', () => {
    const outcomes = new ClientOutcomes();
    outcomes.record(write(1), done(1));
    const later = START_MS + CLIENT_RETENTION_MS;
    outcomes.record(write(1, 1, 0, 2), done(2, later));
    const ahead = later + CLOCK_MARGIN_MS - 1;
    expect(outcomes.check(write(1, 1, CLIENT_RETENTION_MS), ahead)).toBe('unknown');
  });

  test('no more clients are kept than the limit; the longest idle goes first', () => {
    const outcomes = new ClientOutcomes();
    for (let number = 1; number <= CLIENTS_PER_SHARD_MAX + 1; number++) {
      outcomes.record(write(1, 1, 0, number), done(number, START_MS + number));
    }
    expect(outcomes.clientCount).toBe(CLIENTS_PER_SHARD_MAX);
    expect(outcomes.check(write(1, 1, 0, 2), START_MS + 2)).toEqual(done(2, START_MS + 2));
    expect(outcomes.check(write(1, 1, 1, 1), START_MS + 1)).toBe('unknown');
  });
});
