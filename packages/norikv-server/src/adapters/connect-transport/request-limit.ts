// The limit of a request, enforced on the bytes of its body as they come, before anything is decoded.
import { Code, ConnectError } from '@connectrpc/connect';
import type { UniversalServerRequest } from '@connectrpc/connect/protocol';
import { LIMITS, MESSAGE_PREFIX_BYTES } from 'norikv-protocol';
import { connectError } from './error-details.js';

/** The error for a request of `bytes`, a number or "more" if nobody counted further. */
export const requestTooLarge = (bytes: number | 'more', limit: number = LIMITS.requestBytesMax): ConnectError =>
  connectError(
    'INVALID_ARGUMENT',
    `The request has ${bytes === 'more' ? `more than ${limit}` : bytes} bytes: the limit is ${limit}`,
  );

/** Content types whose bodies are messages with a 5-byte prefix each. */
const ENVELOPED = /^application\/(grpc|connect\+)/i;
/** gRPC-web as text: base64 of an enveloped body; what it decodes to is checked by Connect. */
const TEXT = /^application\/grpc-web-text/i;

/** Bytes of a refused request that are still read. */
const DISCARD_BYTES_MAX = 8 * LIMITS.requestBytesMax;

/**
 * Reads on, so that a caller who is still sending gets to see the answer: a reset right after it makes some clients drop
 * what they have received.
 */
const discard = async (source: AsyncIterator<Uint8Array>): Promise<void> => {
  try {
    for (let bytes = 0; bytes < DISCARD_BYTES_MAX; ) {
      const next = await source.next();
      if (next.done === true) return;
      bytes += next.value.length;
    }
  } catch {
    // The caller has gone.
  }
};

const refuse = (source: AsyncIterator<Uint8Array>, bytes: number | 'more'): ConnectError => {
  void discard(source);
  return requestTooLarge(bytes);
};

/** Reads a body. That it ends in the middle is the caller's doing: not an error of the node. */
const fromCaller = (body: AsyncIterable<Uint8Array>): AsyncIterableIterator<Uint8Array> => {
  const source = body[Symbol.asyncIterator]();
  const cutOff = (cause: unknown) => {
    throw new ConnectError('The request was cut off', Code.Canceled, undefined, undefined, cause);
  };
  return {
    next: () => source.next().catch(cutOff),
    return: async (value) => (await source.return?.(value)) ?? { done: true, value },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
};

/**
 * The request's body, which throws `INVALID_ARGUMENT`, naming limit and size, where a message exceeds the limit. The
 * underlying stream is then left as it is: to end it would cut the connection before the answer is sent.
 */
export const limitRequestBody = (request: UniversalServerRequest): UniversalServerRequest['body'] => {
  const { body, header } = request;
  if (typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)) return body;
  const source = fromCaller(body as AsyncIterable<Uint8Array>);
  const type = header.get('content-type') ?? '';
  if (TEXT.test(type)) return source;
  if (ENVELOPED.test(type)) return limitEnvelopes(source);
  const announced = Number(header.get('content-length') ?? 0);
  return limitWhole(source, announced);
};

async function* limitWhole(source: AsyncIterator<Uint8Array>, announced: number): AsyncGenerator<Uint8Array> {
  if (announced > LIMITS.requestBytesMax) throw refuse(source, announced);
  let bytes = 0;
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    bytes += next.value.length;
    if (bytes > LIMITS.requestBytesMax) throw refuse(source, 'more');
    yield next.value;
  }
}

async function* limitEnvelopes(source: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let prefixBytes = 0;
  let length = 0;
  let missing = 0;
  for (let next = await source.next(); next.done !== true; next = await source.next()) {
    const chunk = next.value;
    for (let at = 0; at < chunk.length; ) {
      if (missing > 0) {
        const taken = Math.min(missing, chunk.length - at);
        missing -= taken;
        at += taken;
        continue;
      }
      // Byte 0 of the prefix is flags, the others the length, big-endian.
      if (prefixBytes > 0) length = length * 256 + chunk[at]!;
      at++;
      if (++prefixBytes < MESSAGE_PREFIX_BYTES) continue;
      if (length > LIMITS.requestBytesMax) throw refuse(source, length);
      missing = length;
      prefixBytes = length = 0;
    }
    yield chunk;
  }
}
