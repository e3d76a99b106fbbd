import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { frameMessage, LIMITS, MessageSplitter, ProtocolError } from '../src/index.js';

const joined = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]));

const codeOf = (run: () => void): string | undefined => {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  return undefined;
};

describe('message framing', () => {
  test('gives the same messages back however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 40 }),
        (messages, cuts) => {
          const stream = joined(messages.map(frameMessage));
          const out: Uint8Array[] = [];
          const splitter = new MessageSplitter((message) => out.push(message.slice()));
          let at = 0;
          for (let i = 0; at < stream.length; i++) {
            const size = i < 500 ? cuts[i % cuts.length]! : stream.length;
            splitter.push(stream.slice(at, at + size));
            at += size;
          }
          expect(out).toEqual(messages);
          expect(splitter.pendingBytes).toBe(0);
        },
      ),
    );
  });

  test('knows what is pending of a message that is not whole', () => {
    const splitter = new MessageSplitter(() => {});
    splitter.push(frameMessage(new Uint8Array(10)).subarray(0, 3));
    expect(splitter.pendingBytes).toBe(3);
    splitter.push(frameMessage(new Uint8Array(10)).subarray(3, 12));
    expect(splitter.pendingBytes).toBe(12);
  });

  test('takes a message of exactly the limit and refuses one byte more from its prefix alone', () => {
    let got = 0;
    const splitter = new MessageSplitter((message) => {
      got = message.length;
    });
    splitter.push(frameMessage(new Uint8Array(LIMITS.requestBytesMax)));
    expect(got).toBe(LIMITS.requestBytesMax);
    const prefix = frameMessage(new Uint8Array(LIMITS.requestBytesMax + 1)).subarray(0, 5);
    expect(codeOf(() => splitter.push(prefix))).toBe('PROTOCOL_MESSAGE_TOO_LARGE');
    expect(codeOf(() => new MessageSplitter(() => {}).push(Uint8Array.of(0, 255, 255, 255, 255)))).toBe(
      'PROTOCOL_MESSAGE_TOO_LARGE',
    );
  });

  test('refuses compressed messages and what is no gRPC, and takes nothing more afterwards', () => {
    expect(codeOf(() => new MessageSplitter(() => {}).push(Uint8Array.of(1, 0, 0, 0, 0)))).toBe('PROTOCOL_COMPRESSED');
    const splitter = new MessageSplitter(() => expect.unreachable());
    expect(codeOf(() => splitter.push(new TextEncoder().encode('GET / HTTP/1.1\r\n')))).toBe('PROTOCOL_NOT_GRPC');
    splitter.push(frameMessage(new Uint8Array(3)));
  });

  test('stays linear in the bytes when a large message comes in small chunks', () => {
    const bytes = frameMessage(new Uint8Array(LIMITS.requestBytesMax));
    let count = 0;
    const splitter = new MessageSplitter(() => count++);
    for (let at = 0; at < bytes.length; at += 100) splitter.push(bytes.subarray(at, at + 100));
    expect(count).toBe(1);
  });
});
