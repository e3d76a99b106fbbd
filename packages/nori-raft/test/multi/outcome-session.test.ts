import { OutcomeSession } from 'nori-raft';
import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { decodeRequest } from '../../src/multi/request-codec.js';

const seed = seedFromEnv();
const PAYLOAD = Uint8Array.of(1);
const session = () => new OutcomeSession(new Uint8Array(16).fill(7));

describe('a session', () => {
  test('numbers requests from 1; attempts of one differ in age alone', () => {
    const client = session();
    const [first, second] = [client.request(PAYLOAD), client.request(PAYLOAD)];
    const read = (data: Uint8Array) => decodeRequest(data)!.identity;
    const one = { client: '\x07'.repeat(16), sequence: 1, floor: 1 };
    expect(read(first.attempt(1000))).toEqual({ ...one, ageMs: 0, timeMs: 1000 });
    expect(read(first.attempt(1000))).toEqual({ ...one, ageMs: 1, timeMs: 1000 });
    expect(read(first.attempt(1500.7))).toEqual({ ...one, ageMs: 501, timeMs: 1500 });
    expect(read(second.attempt(1600))).toEqual({ ...one, sequence: 2, ageMs: 0, timeMs: 1600 });
  });

  test('takes for the age what either clock has advanced', () => {
    const request = session().request(PAYLOAD);
    request.attempt(50_000, 10);
    expect(request.identity(20_000, 510).ageMs).toBe(500);
    expect(request.identity(53_000, 20).ageMs).toBe(3000);
  });

  test('has its floor at the oldest request that is not resolved', () => {
    const rng = new Rng(seed);
    const client = session();
    const open = new Map<number, { resolve(): void }>();
    for (let i = 0; i < 20_000; i++) {
      if (rng.chance(0.5) && open.size < 500) {
        const request = client.request(PAYLOAD);
        open.set(request.sequence, request);
      } else if (open.size > 0) {
        // The oldest ones mostly, or the ring would be full.
        const sequence = rng.chance(0.6) ? Math.min(...open.keys()) : rng.pick([...open.keys()]);
        open.get(sequence)!.resolve();
        open.get(sequence)!.resolve();
        open.delete(sequence);
      }
      const oldest = Math.min(...open.keys());
      if (open.size > 0) expect(client.floor, `NORI_SEED=${seed}`).toBe(oldest);
    }
  });

  test('refuses a request that is 1,024 ahead of the oldest unresolved one', () => {
    const client = session();
    const first = client.request(PAYLOAD);
    for (let i = 1; i < 1024; i++) client.request(PAYLOAD).resolve();
    expect(() => client.request(PAYLOAD)).toThrow(expect.objectContaining({ code: 'RAFT_BUSY' }));
    first.resolve();
    expect(client.floor).toBe(1025);
    expect(client.request(PAYLOAD).sequence).toBe(1025);
  });

  test('makes no attempt of what is resolved', () => {
    const request = session().request(PAYLOAD);
    request.resolve();
    expect(() => request.attempt(1)).toThrow(expect.objectContaining({ code: 'RAFT_MISUSE' }));
  });

  test('needs an id of 16 bytes, and keeps a copy of it', () => {
    expect(() => new OutcomeSession(new Uint8Array(8))).toThrow(
      expect.objectContaining({ code: 'RAFT_INVALID_OPTION' }),
    );
    const id = new Uint8Array(16).fill(1);
    const client = new OutcomeSession(id);
    id.fill(2);
    expect(client.clientId[0]).toBe(1);
  });
});
