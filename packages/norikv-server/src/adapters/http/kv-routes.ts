// REST on keys: `PUT | GET | HEAD | DELETE /kv/{key}`, values as raw bodies, versions as headers.
//
// Conditions come as parameters, or as the headers HTTP has for them: If-Match: "term.index" is if_version, If-None-Match: *
// on PUT is if_absent, If-None-Match: "term.index" on GET answers 304 if the version is still that.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS } from 'norikv-protocol';
import { NodeError } from '../../domain/node-error.js';
import type { Version } from '../../domain/version.js';
import type { ReadConsistency } from '../../ports/kv.js';
import type { SingleOperations } from '../net/single-operation.js';
import { decodeKey } from './key-path.js';
import { choiceParameter, integerParameter, parseQuery } from './query.js';
import { announcedLength, BodyTooLarge, readBody } from './read-body.js';
import { sendError, sendHttpError, sendJson, setVersion } from './reply.js';
import { parseVersion } from './version-text.js';

/** Methods of `/kv/{key}`. */
export const KV_METHODS = ['GET', 'HEAD', 'PUT', 'DELETE'] as const;

const CONSISTENCIES: readonly ReadConsistency[] = ['lease', 'linearizable', 'stale_ok'];
/** How long a request may take; HTTP has no deadlines of its own. */
const TIMEOUT_MS = 30_000;
/** How long the rest of a body that is too large is read, so that the client sees the answer, before it is cut off. */
const LINGER_MS = 1_000;

/** What the routes need. */
export interface KvRouteContext {
  readonly operations: SingleOperations;
  /** Calls `fn` once after `delayMs`. */
  readonly after: (delayMs: number, fn: () => void) => void;
  /** Told of errors that are defects of the node. */
  readonly defect: (error: unknown) => void;
}

const invalid = (message: string): NodeError => new NodeError('INVALID_ARGUMENT', message);

/** The version that the request asks for by parameter or If-Match. */
const ifVersionOf = (query: ReadonlyMap<string, string>, request: IncomingMessage): Version | undefined => {
  const parameter = query.get('if_version');
  const header = request.headers['if-match'];
  if (parameter === undefined && header === undefined) return undefined;
  if (parameter !== undefined && header !== undefined) throw invalid('Give if_version or If-Match, not both');
  const text = parameter ?? /^"(.*)"$/.exec(header!)?.[1] ?? '';
  const version = parseVersion(text);
  if (version !== undefined) return version;
  throw invalid(
    parameter === undefined
      ? `If-Match is ${header}: must be one version, "term.index" in quotes`
      : `if_version is '${parameter}': must be term.index, as in the header Norikv-Version`,
  );
};

const ifAbsentOf = (query: ReadonlyMap<string, string>, request: IncomingMessage): boolean => {
  const header = request.headers['if-none-match'];
  if (header !== undefined && header.trim() !== '*')
    throw invalid(`If-None-Match is ${header}: only * is allowed on PUT`);
  const parameter = choiceParameter('if_absent', query.get('if_absent'), ['true', 'false'], 'false');
  return parameter === 'true' || header !== undefined;
};

const sendNotFound = (response: ServerResponse, more: object = {}): void =>
  sendJson(response, 404, { code: 'NOT_FOUND', message: 'There is no such key', ...more });

/** Serves one request on `/kv/{key}`. */
export class KvRoutes {
  readonly #context: KvRouteContext;

  constructor(context: KvRouteContext) {
    this.#context = context;
  }

  /** @param keyPath what follows `/kv/`, still encoded */
  async serve(request: IncomingMessage, response: ServerResponse, keyPath: string, search: string): Promise<void> {
    try {
      const key = decodeKey(keyPath);
      if (request.method === 'PUT') await this.#put(request, response, key, search);
      else if (request.method === 'DELETE') await this.#delete(request, response, key, search);
      else await this.#get(request, response, key, search);
    } catch (error) {
      if (error instanceof BodyTooLarge) this.#cutOff(request, response, error.message);
      else {
        if (!(error instanceof NodeError)) this.#context.defect(error);
        if (!response.headersSent) sendError(response, error);
      }
    }
  }

  async #get(request: IncomingMessage, response: ServerResponse, key: Uint8Array, search: string): Promise<void> {
    const query = parseQuery(search, ['consistency']);
    const consistency = choiceParameter('consistency', query.get('consistency'), CONSISTENCIES, 'lease');
    const { operations } = this.#context;
    const found = await operations.get(key, consistency, operations.deadline(TIMEOUT_MS));
    if (found === undefined) {
      sendNotFound(response);
      return;
    }
    setVersion(response, found.version);
    const known = request.headers['if-none-match'];
    if (known !== undefined && (known.trim() === '*' || known.includes(String(response.getHeader('etag'))))) {
      response.writeHead(304).end();
      return;
    }
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': found.value.length,
      'cache-control': 'no-cache',
    });
    response.end(found.value);
  }

  async #put(request: IncomingMessage, response: ServerResponse, key: Uint8Array, search: string): Promise<void> {
    const query = parseQuery(search, ['ttl_ms', 'if_absent', 'if_version']);
    const write = {
      kind: 'put',
      key,
      ttlMs: integerParameter('ttl_ms', query.get('ttl_ms'), 0),
      ifAbsent: ifAbsentOf(query, request),
      ifVersion: ifVersionOf(query, request),
    } as const;
    const value = await this.#readValue(request, response);
    const { operations } = this.#context;
    const deadlineMs = operations.deadline(TIMEOUT_MS);
    const { version } = await operations.write({ ...write, value }, deadlineMs, goneSignal(response));
    setVersion(response, version);
    sendJson(response, 200, { version });
  }

  async #delete(request: IncomingMessage, response: ServerResponse, key: Uint8Array, search: string): Promise<void> {
    const query = parseQuery(search, ['if_version']);
    const write = { kind: 'delete', key, ifVersion: ifVersionOf(query, request) } as const;
    const { operations } = this.#context;
    const deadlineMs = operations.deadline(TIMEOUT_MS);
    const { version, existed } = await operations.write(write, deadlineMs, goneSignal(response));
    setVersion(response, version);
    if (existed) sendJson(response, 200, { deleted: true, version });
    else sendNotFound(response, { deleted: false, version });
  }

  #readValue(request: IncomingMessage, response: ServerResponse): Promise<Uint8Array> {
    const fits = !(announcedLength(request) > LIMITS.valueBytesMax);
    if (fits && request.headers.expect?.toLowerCase() === '100-continue') response.writeContinue();
    return readBody(request, LIMITS.valueBytesMax);
  }

  /** Answers 413 and gives the client a moment to see it before the connection is cut. */
  #cutOff(request: IncomingMessage, response: ServerResponse, message: string): void {
    response.shouldKeepAlive = false;
    sendHttpError(response, 413, 'INVALID_ARGUMENT', message);
    request.resume();
    this.#context.after(LINGER_MS, () => request.socket.destroy());
  }
}

/** Aborted when the client goes away before it is answered. */
const goneSignal = (response: ServerResponse): AbortSignal => {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
};
