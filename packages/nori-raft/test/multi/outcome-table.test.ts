import { RaftError } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { decodeOutcomes, encodeOutcomes, outcomeBytesMax } from '../../src/multi/outcome-codec.js';
import { CLOCK_MARGIN_MS, LONG_IDLE_MS, OUTCOME_LIMITS, OutcomeTable } from '../../src/multi/outcome-table.js';
import { START_MS } from './helpers/outcome-history.js';

const seed = seedFromEnv();

/** A request of client `number`, in an entry of time START_MS + `atMs`. */
function request(number: number, sequence: number, { floor = 1, ageMs = 0, atMs = 0 } = {}) {
  const client = number.toString(16).padStart(16, '0');
  return { client, sequence, floor, ageMs, timeMs: START_MS + atMs };
}

/** Applies requests to a table as a state machine's wrapper does. */
class Driver {
  table = new OutcomeTable(OUTCOME_LIMITS);
  index = 1;

  apply(
    each: ReturnType<typeof request>,
    result: Uint8Array = Uint8Array.of(1),
  ): 'new' | 'known' | 'below-floor' | 'unknown' {
    this.index++;
    const admission = this.table.admit(each);
    if (admission === undefined) {
      this.table.record(each, this.index).result = result;
      if (this.index % 64 === 0) this.table.settle();
      return 'new';
    }
    return typeof admission === 'string' ? admission : 'known';
  }

  /** Fills the table with other clients, so that all from before are forgotten. */
  crowd(atMs: number): void {
    for (let i = 0; i < OUTCOME_LIMITS.clientsMax; i++) this.apply(request(1_000_000 + this.index, 1, { atMs }));
  }

  encode(): Uint8Array {
    this.table.settle();
    return encodeOutcomes({ index: this.index, state: this.table.settled });
  }
}

describe('the outcomes of a group', () => {
  test('are forgotten below the floor, and requests there refused', () => {
    const driver = new Driver();
    for (const sequence of [1, 2, 3]) expect(driver.apply(request(1, sequence))).toBe('new');
    expect(driver.apply(request(1, 4, { floor: 3 }))).toBe('new');
    expect(driver.table.outcomeCount).toBe(2);
    expect(driver.apply(request(1, 2, { ageMs: 9 }))).toBe('below-floor');
    expect(driver.apply(request(1, 3, { ageMs: 9 }))).toBe('known');
  });

  test('count no more than 1,024 a client: what is forgotten is unknown, whatever its age', () => {
    const driver = new Driver();
    for (let sequence = 1; sequence <= 1026; sequence++) expect(driver.apply(request(1, sequence))).toBe('new');
    expect(driver.table.outcomeCount).toBe(1024);
    for (const ageMs of [0, 5, 1_000_000]) expect(driver.apply(request(1, 2, { ageMs }))).toBe('unknown');
    expect(driver.apply(request(1, 3, { ageMs: 5 }))).toBe('known');
    expect(driver.apply(request(1, 2000, { ageMs: 5 }))).toBe('new');
  });

  test('of a client that was forgotten make its retries unknown, but not its new requests', () => {
    const driver = new Driver();
    driver.apply(request(1, 1));
    driver.crowd(20_000);
    expect(driver.table.clientCount).toBe(OUTCOME_LIMITS.clientsMax);
    expect(driver.apply(request(1, 1, { ageMs: 20_000, atMs: 20_000 }))).toBe('unknown');
    expect(driver.apply(request(1, 2, { atMs: 20_000 }))).toBe('new');
  });

  test('of a client that was forgotten stay unknown when it is known again', () => {
    const driver = new Driver();
    driver.apply(request(1, 1));
    driver.crowd(500);
    expect(driver.apply(request(1, 2, { atMs: 1000 }))).toBe('new');
    expect(driver.apply(request(1, 1, { ageMs: 1000, atMs: 1000 }))).toBe('unknown');
  });

  test('of forgotten clients are behind a watermark a margin ahead, to the millisecond', () => {
    const driver = new Driver();
    driver.apply(request(1, 1));
    driver.crowd(0);
    const at = (atMs: number) => request(1, 1, { ageMs: 1000, atMs });
    expect(driver.apply(at(CLOCK_MARGIN_MS + 1000))).toBe('unknown');
    expect(driver.apply(at(CLOCK_MARGIN_MS + 1001))).toBe('new');
  });

  test('of a client that was long idle when it was forgotten leave room for the retries of new ones', () => {
    const driver = new Driver();
    driver.apply(request(1, 1));
    const atMs = LONG_IDLE_MS + CLOCK_MARGIN_MS + 10_000;
    driver.crowd(atMs);
    expect(driver.apply(request(2, 1, { ageMs: 5000, atMs }))).toBe('new');
    expect(driver.apply(request(1, 1, { ageMs: atMs, atMs }))).toBe('unknown');
  });

  test('survive a clock that jumps ahead while clients are being forgotten', () => {
    const driver = new Driver();
    driver.apply(request(1, 1));
    const jumpMs = LONG_IDLE_MS - 1000;
    driver.crowd(jumpMs);
    // Really 3 s old: its first attempt was before the jump.
    expect(driver.apply(request(1, 1, { ageMs: 3000, atMs: jumpMs + 3000 }))).toBe('unknown');
  });

  test('stay bounded, whatever clients do', () => {
    const rng = new Rng(seed);
    const driver = new Driver();
    const big = new Uint8Array(OUTCOME_LIMITS.resultBytesMax);
    const next = new Map<number, number>();
    for (let i = 0; i < 400_000; i++) {
      // A few that never raise their floor, and no end of others.
      const number = rng.chance(0.8) ? rng.int(3) : i;
      const sequence = (next.get(number) ?? 0) + (rng.chance(0.01) ? rng.int(2 ** 30) : 1);
      if (number < 3) next.set(number, sequence);
      driver.apply(request(number, sequence, { atMs: i }), rng.chance(0.5) ? big : new Uint8Array(1));
      if (i % 10_000 === 0) {
        const { clientCount, outcomeCount } = driver.table;
        expect(clientCount).toBeLessThanOrEqual(OUTCOME_LIMITS.clientsMax);
        expect(outcomeCount).toBeLessThanOrEqual(OUTCOME_LIMITS.outcomesMax);
      }
    }
    const bytes = driver.encode();
    expect(bytes.length).toBeLessThanOrEqual(outcomeBytesMax(OUTCOME_LIMITS));
    const { state } = decodeOutcomes(bytes, OUTCOME_LIMITS);
    let outcomes = 0;
    for (const record of state.clients.values()) {
      expect(record.outcomes.size).toBeLessThanOrEqual(OUTCOME_LIMITS.outcomesPerClientMax);
      outcomes += record.outcomes.size;
    }
    expect([state.clients.size, outcomes]).toEqual([driver.table.clientCount, driver.table.outcomeCount]);
  });
});

describe('encoded outcomes', () => {
  function example(): Uint8Array {
    const rng = new Rng(seed);
    const driver = new Driver();
    for (let i = 0; i < 60; i++) {
      const sequence = rng.range(1, 30);
      const floor = Math.max(1, sequence - rng.int(8));
      driver.apply(request(rng.int(6), sequence, { floor, atMs: rng.int(90_000) }), rng.bytes(rng.int(20)));
    }
    return driver.encode();
  }

  test('are laid out as documented', () => {
    const driver = new Driver();
    driver.apply(
      { ...request(0, 2, { floor: 1 }), timeMs: 300, client: '\u0001'.repeat(16) },
      Uint8Array.of(0xaa, 0xbb),
    );
    const id = '01'.repeat(16);
    expect(Buffer.from(driver.encode()).toString('hex')).toBe(`0102ac020001${id}0102ac020000010203aabb`);
  });

  test('decode to what was encoded', () => {
    const bytes = example();
    const { index, state } = decodeOutcomes(bytes, OUTCOME_LIMITS);
    expect(encodeOutcomes({ index, state })).toEqual(bytes);
  });

  test('are refused with a typed error when cut or changed, or are another state with one encoding', () => {
    const rng = new Rng(seed);
    const whole = example();
    for (let i = 0; i < 20_000; i++) {
      let bytes: Uint8Array = whole.slice();
      for (let k = rng.int(4); k > 0; k--) bytes[rng.int(bytes.length)] = rng.chance(0.5) ? rng.int(256) : 0xff;
      if (rng.chance(0.2)) bytes = bytes.subarray(0, rng.int(bytes.length));
      if (rng.chance(0.1)) bytes = rng.bytes(rng.int(60));
      try {
        const decoded = decodeOutcomes(bytes, OUTCOME_LIMITS);
        expect(Buffer.compare(encodeOutcomes(decoded), bytes), `NORI_SEED=${seed}`).toBe(0);
      } catch (error) {
        if (!(error instanceof RaftError)) throw error;
        expect(error.code).toMatch(/^RAFT_(CORRUPT_STATE|UNSUPPORTED_FORMAT)$/);
      }
    }
  });
});
