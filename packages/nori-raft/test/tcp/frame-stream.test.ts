import { Rng, seedFromEnv } from 'nori-testkit';
import { expect, test } from 'vitest';
import { FrameStreamReader, framesToWrite } from '../../src/tcp/frame-stream.js';

const seed = seedFromEnv();
const always = () => true;

function bytesOf(frames: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(framesToWrite(frames)));
}

test('frames come out as they went in, however the stream is cut', () => {
  const rng = new Rng(seed);
  for (let round = 0; round < 100; round++) {
    const frames = Array.from({ length: rng.range(1, 20) }, () =>
      rng.bytes(rng.chance(0.1) ? 40_000 : rng.range(1, 60)),
    );
    const stream = bytesOf(frames);
    const seen: Uint8Array[] = [];
    const reader = new FrameStreamReader(40_000, (frame) => seen.push(frame));
    const chunkMax = rng.pick([3, 70, 1000, 65_536]);
    for (let at = 0; at < stream.length; ) {
      const end = Math.min(stream.length, at + rng.range(1, chunkMax));
      reader.push(stream.slice(at, end), always);
      at = end;
    }
    expect(seen.length).toBe(frames.length);
    for (const [i, frame] of frames.entries()) {
      expect(Buffer.from(seen[i]!).equals(frame), `seed ${seed}, round ${round}`).toBe(true);
    }
  }
});

test('signs of life are no frames', () => {
  const seen: Uint8Array[] = [];
  const reader = new FrameStreamReader(10, (frame) => seen.push(frame));
  const zeros = new Uint8Array(4);
  for (const chunk of [zeros, zeros, bytesOf([Uint8Array.of(1)]), zeros.subarray(0, 3), zeros.subarray(3)]) {
    reader.push(chunk, always);
  }
  reader.push(bytesOf([Uint8Array.of(2)]), always);
  expect(seen).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
});

test.each([11, 0x7fff_ffff, 0xffff_ffff])(
  'a length of %i over the limit is refused before anything is allocated',
  (length) => {
    const reader = new FrameStreamReader(10, () => {});
    const head = Uint8Array.of(length, length >>> 8, length >>> 16, length >>> 24);
    expect(() => reader.push(head, always)).toThrow(expect.objectContaining({ code: 'RAFT_BAD_FRAME' }));
  },
);

test('the rest of a chunk is forgotten when nobody wants it any more', () => {
  const seen: number[] = [];
  const reader = new FrameStreamReader(10, (frame) => seen.push(frame[0]!));
  reader.push(bytesOf([Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)]), () => seen.length < 2);
  expect(seen).toEqual([1, 2]);
});

test('small frames are written as one piece, large ones are not copied', () => {
  const small = [new Uint8Array(10), new Uint8Array(100), new Uint8Array(1000)];
  expect(framesToWrite(small)).toHaveLength(1);
  const large = new Uint8Array(100_000);
  const pieces = framesToWrite([...small, large, ...small]);
  expect(pieces).toHaveLength(3);
  expect(pieces[1]).toBe(large);
});
