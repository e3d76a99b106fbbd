import { LIMITS } from 'norikv-protocol';
import { describe, expect, test } from 'vitest';
import { ByteReader } from '../../src/domain/byte-reader.js';
import { ByteWriter } from '../../src/domain/byte-writer.js';
import {
  CLIENT_RETENTION_MS,
  CLIENTS_PER_SHARD_MAX,
  CLOCK_MARGIN_MS,
  ClientOutcomes,
  OUTCOMES_PER_SHARD_MAX,
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
    expect(outcomes.admit(write(1), START_MS)).toBe('new');
    outcomes.record(write(1), done(5));
    expect(outcomes.admit(write(1, 1, 300), START_MS + 300)).toEqual(done(5));
    expect(recoded(outcomes).admit(write(1, 1, 300), START_MS + 300)).toEqual(done(5));
  });

  test('a client that was forgotten and writes again does not get an earlier write applied twice', () => {
    const outcomes = new ClientOutcomes();
    outcomes.admit(write(1), START_MS);
    outcomes.record(write(1), done(1));
    for (let other = 2; other <= CLIENTS_PER_SHARD_MAX + 1; other++) {
      outcomes.record(write(1, 1, 0, other), done(other));
    }
    // Its record is gone; the next write makes a new one.
    expect(outcomes.admit(write(2), START_MS + 1)).toBe('new');
    outcomes.record(write(2), done(2000, START_MS + 1));
    expect(outcomes.admit(write(1, 1, 100), START_MS + 100)).toBe('unknown');
    expect(recoded(outcomes).admit(write(1, 1, 100), START_MS + 100)).toBe('unknown');
  });

  test('outcomes below the floor are forgotten and such writes refused', () => {
    const outcomes = new ClientOutcomes();
    outcomes.record(write(1), done(1));
    outcomes.record(write(2), done(2));
    expect(outcomes.admit(write(3, 3), START_MS)).toBe('new');
    outcomes.record(write(3, 3), done(3));
    expect(outcomes.admit(write(2, 1), START_MS)).toBe('below_floor');
    expect(outcomes.admit(write(3, 3), START_MS)).toEqual(done(3));
    expect(recoded(outcomes).admit(write(1, 1), START_MS)).toBe('below_floor');
  });

  test('a write forgotten for want of room is unknown, and never new again', () => {
    const outcomes = new ClientOutcomes();
    const count = LIMITS.outcomesPerClientMax + 1;
    for (let sequence = 1; sequence <= count; sequence++) {
      outcomes.record(write(sequence), done(sequence, START_MS + sequence));
    }
    expect(outcomes.admit(write(1, 1, 5000), START_MS + 5000)).toBe('unknown');
    expect(outcomes.admit(write(1, 1, 0), START_MS + 5000)).toBe('unknown');
    expect(outcomes.admit(write(2, 1, 1), START_MS + 5000)).toEqual(done(2, START_MS + 2));
    expect(recoded(outcomes).admit(write(1), START_MS + 5000)).toBe('unknown');
    expect(outcomes.admit(write(count + 1), START_MS + 5000)).toBe('new');
  });

  test('the retry of a client idle for too long is unknown, a fresh write of it is new', () => {
    const outcomes = new ClientOutcomes();
    outcomes.record(write(1), done(1));
    const later = START_MS + CLIENT_RETENTION_MS;
    outcomes.record(write(1, 1, 0, 2), done(2, later));
    expect(outcomes.clientCount).toBe(1);
    for (const clockJumpMs of [0, CLOCK_MARGIN_MS]) {
      const retry = write(1, 1, CLIENT_RETENTION_MS);
      expect(recoded(outcomes).admit(retry, later + clockJumpMs)).toBe('unknown');
    }
    expect(outcomes.admit(write(2, 2, 0), later)).toBe('new');
  });

  test('no more clients are kept than the limit; the longest idle goes first, and its retries are unknown', () => {
    const outcomes = new ClientOutcomes();
    for (let number = 1; number <= CLIENTS_PER_SHARD_MAX + 1; number++) {
      outcomes.record(write(1, 1, 0, number), done(number, START_MS));
    }
    expect(outcomes.clientCount).toBe(CLIENTS_PER_SHARD_MAX);
    expect(outcomes.admit(write(1, 1, 1, 2), START_MS)).toEqual(done(2, START_MS));
    expect(outcomes.admit(write(1, 1, 1, 1), START_MS + 1)).toBe('unknown');
    expect(outcomes.admit(write(1, 1, 0, 99_999), START_MS)).toBe('new');
  });

  test('no more outcomes are kept than the limit of the shard', () => {
    const outcomes = new ClientOutcomes();
    const perClient = LIMITS.outcomesPerClientMax;
    const clients = OUTCOMES_PER_SHARD_MAX / perClient + 1;
    for (let number = 1; number <= clients; number++) {
      for (let sequence = 1; sequence <= perClient; sequence++) {
        outcomes.record(write(sequence, 1, 0, number), done(sequence));
      }
    }
    expect(outcomes.clientCount).toBe(clients - 1);
    expect(outcomes.admit(write(5, 1, 1, 1), START_MS)).toBe('unknown');
    expect(outcomes.admit(write(5, 1, 1, 2), START_MS)).toEqual(done(5));
  });
});
