// The services behind one Node request handler: routing, limits, errors with details. Speaks Connect, gRPC and gRPC-web
// over HTTP/1.1 and HTTP/2. (The universal-handler interfaces of Connect are used directly, so that a request over the
// limit is answered by name before it is decoded, and failures go to the node's log.)
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { DescService } from '@bufbuild/protobuf';
import { Code, ConnectError, type ConnectRouter, createConnectRouter, type Interceptor } from '@connectrpc/connect';
import type { Compression, UniversalHandler } from '@connectrpc/connect/protocol';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { Clock } from 'nori-io';
import { Admin, Health, Kv, LIMITS, Meta, ServerReflection } from 'norikv-protocol';
import type { KvNode } from '../../ports/kv.js';
import type { Logger } from '../../ports/logger.js';
import type { Readiness } from '../net/readiness.js';
import type { RequestMetrics } from '../net/request-metrics.js';
import { adminService } from './admin-service.js';
import { connectError, toConnectError } from './error-details.js';
import { healthService } from './health-service.js';
import { kvService } from './kv-service.js';
import { metaService } from './meta-service.js';
import { reflectionService } from './reflection-service.js';
import { limitRequestBody, requestTooLarge } from './request-limit.js';

/** What the services are made of. */
export interface RpcContext {
  readonly node: KvNode;
  readonly clock: Clock;
  readonly metrics: RequestMetrics;
  readonly readiness: Readiness;
  readonly logger: Logger;
  /** Aborted when the node begins to drain: ends watches. */
  readonly drainSignal: AbortSignal;
  /** Aborted when the port is closed: ends every call. */
  readonly shutdownSignal: AbortSignal;
}

/** Handles a request of either HTTP version. */
export type RpcHandler = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
) => void;

/** Services that serve while the node is ready, and those that serve whenever it runs. */
const DEPENDENT = [Kv, Meta];
const INDEPENDENT = [Admin, Health, ServerReflection];
const SERVICES: readonly DescService[] = [...DEPENDENT, ...INDEPENDENT];

/** Paths of the methods whose callers may take their time between messages. */
const STREAMED_PATHS = new Set(
  SERVICES.flatMap(({ typeName, methods }) =>
    methods
      .filter(({ methodKind }) => methodKind === 'bidi_streaming' || methodKind === 'client_streaming')
      .map(({ name }) => `/${typeName}/${name}`),
  ),
);

/** True if a request on this path is whole when its one message is. */
export const hasSingleRequest = (path: string): boolean => !STREAMED_PATHS.has(path);

/** Longest timeout a caller may ask for. */
const TIMEOUT_MS_MAX = 60 * 60 * 1000;

const NOT_AN_RPC =
  'This is the port for Connect, gRPC and gRPC-web calls, such as POST /norikv.v1.Kv/Get. The REST endpoints and the status page are on the HTTP port (--http-addr).\n';

/** gzip, with the limit of a request named like that of one that is not compressed. */
const gzip: Compression = {
  name: compressionGzip.name,
  compress: (bytes) => compressionGzip.compress(bytes),
  async decompress(bytes, readMaxBytes) {
    try {
      return await compressionGzip.decompress(bytes, readMaxBytes);
    } catch (error) {
      throw ConnectError.from(error).code === Code.ResourceExhausted ? requestTooLarge('more', readMaxBytes) : error;
    }
  },
};

/** Gives every failure of a service its code and ErrorDetail, and logs defects, which a caller that goes away is not. */
const errorInterceptor = (logger: Logger): Interceptor => {
  const translate = (reason: unknown, method: string, signal: AbortSignal): ConnectError => {
    // The reason is what the connection gave: a status, or none at all.
    if (signal.aborted && reason === signal.reason) {
      logger.debug({ err: reason, method }, 'A call ended before it was answered');
      return reason instanceof ConnectError ? reason : connectError('CANCELLED', 'The caller has gone');
    }
    const error = toConnectError(reason);
    if (error.code === Code.Internal) logger.error({ err: reason, method }, 'A call failed');
    return error;
  };
  async function* translated<T>(messages: AsyncIterable<T>, method: string, signal: AbortSignal): AsyncGenerator<T> {
    try {
      yield* messages;
    } catch (error) {
      throw translate(error, method, signal);
    }
  }
  return (next) => async (request) => {
    const { signal } = request;
    const method = request.method.name;
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: translated(response.message, method, signal) } : response;
    } catch (error) {
      throw translate(error, method, signal);
    }
  };
};

const addServices = (router: ConnectRouter, context: RpcContext): void => {
  const { node, clock, metrics, readiness, logger, drainSignal } = context;
  const names = (services: readonly DescService[]) => services.map((service) => service.typeName);
  router.service(Kv, kvService({ node, clock, metrics, logger }));
  router.service(Meta, metaService(node, drainSignal));
  router.service(Admin, adminService(node, readiness));
  router.service(Health, healthService(readiness, names(DEPENDENT), names(INDEPENDENT), drainSignal));
  router.service(ServerReflection, reflectionService(SERVICES));
};

/** Builds the handler of the client port. */
export const createRpcHandler = (context: RpcContext): RpcHandler => {
  const { logger } = context;
  const router = createConnectRouter({
    acceptCompression: [gzip],
    readMaxBytes: LIMITS.requestBytesMax,
    writeMaxBytes: LIMITS.responseBytesMax,
    jsonOptions: { ignoreUnknownFields: false },
    maxTimeoutMs: TIMEOUT_MS_MAX,
    shutdownSignal: context.shutdownSignal,
    interceptors: [errorInterceptor(logger)],
  });
  addServices(router, context);
  const handlers = new Map<string, UniversalHandler>(router.handlers.map((handler) => [handler.requestPath, handler]));

  const handle = async (handler: UniversalHandler, ...[request, response]: Parameters<RpcHandler>): Promise<void> => {
    const universal = universalRequestFromNodeRequest(request, response, undefined, undefined);
    const body = limitRequestBody(universal);
    // Connect would refuse a length over the limit too, but with another code.
    universal.header.delete('content-length');
    await universalResponseToNodeResponse(await handler({ ...universal, body }), response);
  };

  return (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0]!;
    const handler = handlers.get(path);
    if (handler === undefined) {
      end(response, 404, NOT_AN_RPC);
      return;
    }
    handle(handler, request, response).catch((error: unknown) => {
      // The caller has gone, or sent headers that are no request.
      logger.debug({ err: error, path }, 'A call ended without an answer');
      if (response.headersSent) response.destroy();
      else end(response, 400, 'Malformed request\n');
    });
  };
};

/** Answers with plain text. */
export const end = (response: ServerResponse | Http2ServerResponse, status: number, text: string): void => {
  const plain = response as ServerResponse;
  plain.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  plain.end(text);
};
