// Answers of the HTTP port: every error is JSON with the code and message of the protocol's table.
import type { ServerResponse } from 'node:http';
import { ERROR_TABLE } from 'norikv-protocol';
import { NodeError } from '../../domain/node-error.js';
import type { Version } from '../../domain/version.js';
import { formatVersion } from './version-text.js';

/** Answers with JSON. */
export const sendJson = (response: ServerResponse, status: number, body: unknown): void => {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
};

/** Answers with text. */
export const sendText = (response: ServerResponse, status: number, text: string, type = 'text/plain'): void => {
  response.writeHead(status, {
    'content-type': type.includes(';') ? type : `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
};

/** An error that is not in the protocol's table, since only HTTP has it. */
export const sendHttpError = (response: ServerResponse, status: number, code: string, message: string): void =>
  sendJson(response, status, { code, message });

/** Answers with what went wrong; what is no NodeError is a defect and said to be one. */
export const sendError = (response: ServerResponse, reason: unknown): void => {
  const error =
    reason instanceof NodeError ? reason : new NodeError('INTERNAL', 'Internal error; the log of the node says more');
  if (error.retryAfterMs !== undefined) {
    response.setHeader('retry-after', Math.max(1, Math.ceil(error.retryAfterMs / 1000)));
  }
  sendJson(response, ERROR_TABLE[error.code].httpStatus, {
    code: error.code,
    message: error.message,
    current: error.current,
    leader: error.leader,
    retryAfterMs: error.retryAfterMs,
  });
};

/** Sets the headers that carry a key's version. */
export const setVersion = (response: ServerResponse, version: Version): void => {
  const text = formatVersion(version);
  response.setHeader('norikv-version', text);
  response.setHeader('etag', `"${text}"`);
};
