import { Rng, seedFromEnv } from 'nori-testkit';
import { describe, expect, test } from 'vitest';
import { RaftError } from '../../src/errors.js';
import { blankMessage, MESSAGE_TYPES } from '../../src/message.js';
import {
  decodeFrame,
  encodeSnapshotAck,
  encodeSnapshotChunk,
  FrameEncoder,
  type FrameLimits,
  type SnapshotAck,
  type SnapshotChunk,
} from '../../src/multi/frame-codec.js';
import type { ConfState, Entry, Message, MessageType } from '../../src/types.js';

const seed = seedFromEnv();

type Item = { groupId: number; message: Message } | { chunk: SnapshotChunk } | { ack: SnapshotAck };

function decode(frame: Uint8Array, limits?: Partial<FrameLimits>): Item[] {
  const items: Item[] = [];
  const visitor = {
    message: (groupId: number, message: Message) => items.push({ groupId, message }),
    snapshotChunk: (chunk: SnapshotChunk) => items.push({ chunk }),
    snapshotAck: (ack: SnapshotAck) => items.push({ ack }),
  };
  decodeFrame(frame, visitor, limits);
  return items;
}

function encode(items: readonly Item[]): Uint8Array {
  const first = items[0];
  if (first !== undefined && 'chunk' in first) return encodeSnapshotChunk(first.chunk);
  if (first !== undefined && 'ack' in first) return encodeSnapshotAck(first.ack);
  const encoder = new FrameEncoder();
  for (const item of items) if ('message' in item) encoder.add(item.groupId, item.message);
  const { bytes } = encoder;
  const frame = encoder.finish();
  expect(frame.length).toBe(bytes);
  return frame;
}

/** Numbers of every length, at the edges of lengths above all. */
function number(rng: Rng): number {
  if (rng.chance(0.3)) return rng.int(4);
  const edge = 2 ** rng.int(54);
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, edge - 2 + rng.int(4)));
}

function ids(rng: Rng): number[] {
  const all = new Set<number>();
  for (let i = rng.int(5); i > 0; i--) all.add(1 + rng.int(rng.chance(0.5) ? 9 : 2 ** 40));
  return [...all].sort((a, b) => a - b);
}

function config(rng: Rng): ConfState {
  return {
    voters: ids(rng),
    votersOutgoing: ids(rng),
    learners: ids(rng),
    learnersNext: ids(rng),
    autoLeave: rng.chance(0.5),
  };
}

function entries(rng: Rng, message: Message): Entry[] {
  const all: Entry[] = [];
  const regular = rng.chance(0.7);
  for (let i = rng.int(6); i > 0; i--) {
    const index = regular ? message.index + all.length + 1 : number(rng);
    all.push({
      index: Math.min(index, Number.MAX_SAFE_INTEGER),
      term: regular ? message.term : number(rng),
      type: rng.chance(0.2) ? 'conf-change' : 'normal',
      data: rng.bytes(rng.chance(0.2) ? 0 : rng.int(200)),
    });
  }
  return all;
}

function anyMessage(rng: Rng): Message {
  const type = rng.pick(MESSAGE_TYPES);
  const message = blankMessage(type, number(rng), number(rng), number(rng));
  message.commit = number(rng);
  message.context = number(rng);
  message.transfer = number(rng);
  if (type.startsWith('heartbeat') && rng.chance(0.8)) return message;
  message.index = number(rng);
  message.logTerm = number(rng);
  message.rejectHint = number(rng);
  message.reject = rng.chance(0.5);
  message.entries = rng.chance(0.5) ? entries(rng, message) : [];
  if (rng.chance(0.2)) {
    message.snapshot = { index: number(rng), term: number(rng), config: config(rng), data: new Uint8Array(0) };
  }
  return message;
}

function anyFrame(rng: Rng): Item[] {
  const kind = rng.int(10);
  if (kind === 0) {
    const snapshot = { index: number(rng), term: number(rng), config: config(rng) };
    const chunk = {
      groupId: rng.uint32(),
      from: number(rng),
      to: number(rng),
      term: number(rng),
      snapshot,
      streamId: number(rng),
      offset: number(rng),
      last: rng.chance(0.5),
      bytes: rng.bytes(rng.int(100)),
    };
    return [{ chunk }];
  }
  if (kind === 1) {
    const status = rng.pick(['accepted', 'complete', 'refused', 'failed'] as const);
    const [from, to, streamId, offset] = [number(rng), number(rng), number(rng), number(rng)];
    return [{ ack: { groupId: rng.uint32(), from, to, streamId, status, offset } }];
  }
  const items: Item[] = [];
  for (let i = rng.int(8); i > 0; i--) {
    items.push({ groupId: rng.chance(0.5) ? rng.int(1025) : rng.uint32(), message: anyMessage(rng) });
  }
  return items;
}

/** The order in which a frame has its messages: stable within heartbeats, answers, others. */
function inFrameOrder(items: readonly Item[]): Item[] {
  const section = (item: Item) => {
    if (!('message' in item)) return 0;
    const { type, index, logTerm, rejectHint, reject, entries, snapshot } = item.message;
    const plain =
      index === 0 && logTerm === 0 && rejectHint === 0 && !reject && entries.length === 0 && snapshot === undefined;
    if (!plain) return 2;
    return type === 'heartbeat' ? 0 : type === 'heartbeat-response' ? 1 : 2;
  };
  return [...items].sort((a, b) => section(a) - section(b));
}

function codeOf(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    if (error instanceof RaftError) return error.code;
    throw error;
  }
  return 'none';
}

describe('frames', () => {
  test('decode to what was encoded, and encode to the same bytes again', () => {
    const rng = new Rng(seed);
    for (let round = 0; round < 3000; round++) {
      const items = anyFrame(rng);
      const frame = encode(items);
      const decoded = decode(frame);
      expect(decoded, `seed ${seed}, round ${round}`).toEqual(inFrameOrder(items));
      expect(Buffer.from(encode(decoded)).equals(frame), `seed ${seed}, round ${round}`).toBe(true);
    }
  });

  test('have the bytes that the format says', () => {
    const message = blankMessage('heartbeat', 1, 2, 5);
    message.commit = 300;
    message.context = 7;
    const frame = encode([{ groupId: 3, message }]);
    expect(Buffer.from(frame).toString('hex')).toBe(`0101${'01000000'}${'00000000'.repeat(3)}06010205ac020700`);
  });

  test('of entries have the bytes that the format says', () => {
    const message = blankMessage('append', 1, 2, 5);
    message.index = 9;
    message.logTerm = 4;
    message.commit = 8;
    message.entries = [
      { index: 10, term: 4, type: 'conf-change', data: Uint8Array.of(0xaa) },
      { index: 11, term: 4, type: 'normal', data: Uint8Array.of(0xbb, 0xcc) },
    ];
    const frame = encode([{ groupId: 300, message }]);
    const head = `0101${'00000000'.repeat(2)}0100000003000000`;
    expect(Buffer.from(frame).toString('hex')).toBe(
      `${head}0100ac02010205090408000000${'02'}${'050401'}${'0002'}aabbcc`,
    );
  });

  test('of a chunk and of an acknowledgement have the bytes that the format says', () => {
    const snapshot = {
      index: 9,
      term: 4,
      config: { voters: [1, 3], votersOutgoing: [], learners: [7], learnersNext: [], autoLeave: true },
    };
    const chunk = { groupId: 3, from: 1, to: 7, term: 5, snapshot, streamId: 2, offset: 128, last: true };
    const bytes = Uint8Array.of(0xaa, 0xbb);
    expect(Buffer.from(encodeSnapshotChunk({ ...chunk, bytes })).toString('hex')).toBe(
      `010201${'03010705'}${'090401'}${'020102'}00${'0107'}00${'02'}8001aabb`,
    );
    const ack = { groupId: 3, from: 7, to: 1, streamId: 2, status: 'complete', offset: 130 } as const;
    expect(Buffer.from(encodeSnapshotAck(ack)).toString('hex')).toBe('01030203070102' + '8201');
  });

  test('decode to messages of the shape that the core makes', () => {
    const [item] = decode(encode([{ groupId: 1, message: blankMessage('vote', 1, 2, 3) }]));
    expect(Object.keys((item as { message: Message }).message)).toEqual(Object.keys(blankMessage('vote', 1, 2, 3)));
    const [beat] = decode(encode([{ groupId: 1, message: blankMessage('heartbeat', 1, 2, 3) }]));
    expect(Object.keys((beat as { message: Message }).message)).toEqual(Object.keys(blankMessage('vote', 1, 2, 3)));
  });

  test('lend views of themselves as data', () => {
    const message = blankMessage('append', 1, 2, 3);
    message.entries = [{ index: 1, term: 3, type: 'normal', data: new Uint8Array(100) }];
    const frame = encode([{ groupId: 1, message }]);
    const [item] = decode(frame);
    expect((item as { message: Message }).message.entries[0]!.data.buffer).toBe(frame.buffer);
  });

  test('leave out the data of snapshot messages, which goes by chunks', () => {
    const message = blankMessage('snapshot', 1, 2, 3);
    const empty: ConfState = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    message.snapshot = { index: 5, term: 2, config: empty, data: new Uint8Array(1000) };
    const frame = encode([{ groupId: 1, message }]);
    expect(frame.length).toBeLessThan(100);
    const [item] = decode(frame);
    expect((item as { message: Message }).message.snapshot).toEqual({ ...message.snapshot, data: new Uint8Array(0) });
  });

  test('of 1,024 heartbeats take about nine bytes each', () => {
    const encoder = new FrameEncoder();
    for (let i = 1; i <= 1024; i++) {
      const message = blankMessage('heartbeat', i * 3, i * 3 + 1, 7);
      message.commit = 1000;
      encoder.add(i, message);
    }
    expect(encoder.messageCount).toBe(1024);
    expect(encoder.finish().length / 1024).toBeLessThan(11);
  });
});

describe('limits', () => {
  const limits = { frameBytesMax: 1000, messagesMax: 3, entriesMax: 4 };

  function append(lengths: readonly number[]): Message {
    const message = blankMessage('append', 1, 2, 3);
    message.entries = lengths.map((length, i) => ({
      index: i + 1,
      term: 3,
      type: 'normal',
      data: new Uint8Array(length),
    }));
    return message;
  }

  test('are told before they are broken', () => {
    const encoder = new FrameEncoder(limits);
    expect(encoder.fits(append([990]))).toBe(false);
    expect(encoder.fits(append([1, 1, 1, 1, 1]))).toBe(false);
    expect(encoder.fits(append([500]))).toBe(true);
    encoder.add(1, append([500]));
    expect(encoder.fits(append([500]))).toBe(false);
    encoder.add(1, blankMessage('heartbeat', 1, 2, 3));
    encoder.add(1, append([1, 1, 1]));
    expect(encoder.fits(blankMessage('heartbeat', 1, 2, 3))).toBe(false);
    expect(codeOf(() => encoder.add(1, append([])))).toBe('RAFT_MISUSE');
    const frame = encoder.finish();
    expect(frame.length).toBeLessThanOrEqual(limits.frameBytesMax);
    expect(decode(frame, limits)).toHaveLength(3);
    expect(encoder.fits(append([500]))).toBe(true);
  });

  test.each([
    ['messagesMax', { ...limits, messagesMax: 2 }],
    ['entriesMax', { ...limits, entriesMax: 3 }],
    ['frameBytesMax', { ...limits, frameBytesMax: 100 }],
  ])('hold for what is read: %s', (_name, tighter) => {
    const encoder = new FrameEncoder(limits);
    encoder.add(1, append([100, 1, 1, 1]));
    encoder.add(1, blankMessage('heartbeat', 1, 2, 3));
    encoder.add(1, blankMessage('heartbeat', 1, 2, 3));
    expect(codeOf(() => decode(encoder.finish(), tighter))).toBe('RAFT_BAD_FRAME');
  });

  test.each([
    ['a group id', (encoder: FrameEncoder) => encoder.add(2 ** 32, append([]))],
    ['a group id that is a fraction', (encoder: FrameEncoder) => encoder.add(1.5, blankMessage('heartbeat', 1, 2, 3))],
    ['a term', (encoder: FrameEncoder) => encoder.add(1, blankMessage('vote', 1, 2, -1))],
    ['a type', (encoder: FrameEncoder) => encoder.add(1, blankMessage('no' as MessageType, 1, 2, 1))],
    ['an index', (encoder: FrameEncoder) => encoder.add(1, { ...append([1]), index: Number.NaN })],
  ])('refuse to encode what is not %s, and the frame stays as it was', (_name, add) => {
    const encoder = new FrameEncoder();
    encoder.add(1, append([3]));
    expect(codeOf(() => add(encoder))).toBe('RAFT_MISUSE');
    expect(decode(encoder.finish())).toHaveLength(1);
  });
});

describe('malformed frames', () => {
  const u32 = (n: number) => [n & 255, (n >>> 8) & 255, (n >>> 16) & 255, n >>> 24];
  const messages = (counts: readonly number[], ...rest: number[]) => [1, 1, ...counts.flatMap(u32), ...rest];
  const one = (...rest: number[]) => messages([0, 0, 1, 0], ...rest);

  test.each([
    ['empty', []],
    ['of one byte', [1]],
    ['of another version', [2, 1, ...new Array(16).fill(0)]],
    ['of another kind', [1, 4, 0, 0]],
    ['with counts that are cut', [1, 1, 0, 0]],
    ['with more heartbeats than bytes', messages([1000, 0, 0, 0], 0, 0)],
    ['with more messages than bytes', messages([0, 0, 0xffff, 0], 0, 0)],
    ['with counts that overflow', messages([0xffffffff, 0xffffffff, 0xffffffff, 0])],
    ['with more data than bytes', messages([0, 0, 0, 5], 1)],
    ['with data that nobody owns', messages([0, 0, 0, 2], 1, 1)],
    ['with bytes left over', messages([0, 0, 0, 0], 1)],
    ['with a group below 0', messages([1, 0, 0, 0], 1, 0, 0, 0, 0, 0, 0)],
    ['with a group above 2^32', messages([1, 0, 0, 0], 0x80, 0x80, 0x80, 0x80, 0x20, 0, 0, 0, 0, 0, 0)],
    ['with a number that is not in its shortest form', messages([1, 0, 0, 0], 0x80, 0, 0, 0, 0, 0, 0, 0)],
    ['with a number of nine bytes', messages([1, 0, 0, 0], ...new Array(8).fill(0xff), 1, 0, 0, 0, 0, 0, 0)],
    ['with a number above 2^53', messages([1, 0, 0, 0], ...new Array(7).fill(0xff), 0x7f, 0, 0, 0, 0, 0, 0)],
    ['with a column that is cut', messages([1, 0, 0, 0], 0, 0, 0, 0, 0, 0, 0x80)],
    ['with type 0', one(0, 0, ...new Array(11).fill(0))],
    ['with type 15', one(15, 0, ...new Array(11).fill(0))],
    ['with unknown flags of a message', one(5, 4, ...new Array(11).fill(0))],
    ['with a heartbeat outside of the columns', one(3, 0, ...new Array(11).fill(0))],
    ['with more entries than bytes', one(1, 0, ...new Array(10).fill(0), 100, 0, 0)],
    ['with unknown flags of an entry', one(1, 0, ...new Array(10).fill(0), 1, 8, 0)],
    ['with an index without need', one(1, 0, ...new Array(10).fill(0), 1, 2, 1, 0)],
    ['with a term without need', one(1, 0, ...new Array(10).fill(0), 1, 4, 0, 0)],
    ['with an entry longer than the data', one(1, 0, ...new Array(10).fill(0), 1, 0, 5)],
    ['with voters that do not ascend', one(9, 2, ...new Array(11).fill(0), 1, 1, 0, 2, 1, 0, 0, 0, 0)],
    ['with unknown flags of a chunk', [1, 2, 2, ...new Array(20).fill(0)]],
    ['with a chunk that is cut', [1, 2, 0, 1, 1]],
    ['with status 0', [1, 3, 0, 1, 1, 1, 1, 1]],
    ['with status 5', [1, 3, 5, 1, 1, 1, 1, 1]],
    ['with bytes behind an acknowledgement', [1, 3, 1, 1, 1, 1, 1, 1, 1]],
  ])('are refused: %s', (_name, bytes) => {
    expect(codeOf(() => decode(Uint8Array.from(bytes)))).toBe('RAFT_BAD_FRAME');
  });

  test('name the offset', () => {
    expect(() => decode(Uint8Array.of(1, 9))).toThrow(/offset 1: kind 9/);
  });

  test('never do anything but be refused, or decode to what encodes to the same bytes', () => {
    const rng = new Rng(seed);
    let refused = 0;
    const rounds = 20_000;
    for (let round = 0; round < rounds; round++) {
      const frame = rng.chance(0.1) ? rng.bytes(rng.int(60)) : encode(anyFrame(rng));
      const bytes = damaged(rng, frame);
      let items: Item[];
      try {
        items = decode(bytes);
      } catch (error) {
        if (!(error instanceof RaftError && error.code === 'RAFT_BAD_FRAME')) {
          throw new Error(`seed ${seed}, round ${round}`, { cause: error });
        }
        refused++;
        continue;
      }
      expect(Buffer.from(encode(items)).equals(bytes), `seed ${seed}, round ${round}`).toBe(true);
    }
    expect(refused).toBeGreaterThan(rounds / 10);
    expect(refused).toBeLessThan(rounds);
  });

  /** A frame with a few bytes changed, cut, repeated or put in. */
  function damaged(rng: Rng, frame: Uint8Array): Uint8Array {
    let bytes = Array.from(frame);
    for (let i = rng.int(3) + 1; i > 0; i--) {
      const at = rng.int(bytes.length + 1);
      const kind = rng.int(5);
      if (kind === 0) bytes = bytes.slice(0, at);
      else if (kind === 1) bytes.splice(at, 0, rng.int(256));
      else if (kind === 2) bytes.splice(at, 1 + rng.int(4));
      else if (at < bytes.length)
        bytes[at] = kind === 3 ? bytes[at]! ^ (1 << rng.int(8)) : rng.pick([0, 1, 127, 128, 255]);
    }
    return Uint8Array.from(bytes);
  }
});
